"""The Vision Transformer against timm, torchvision and Hugging Face on the same weights, in float64."""

import pytest
import torch
from parity import assert_same
from torch import nn

from course_utils.positions import sinusoidal_positions_2d
from course_utils.vit import PRESETS, ConvStem, PatchEmbedding, VisionTransformer

# Parameters, written down; timm's models have as many.
SIZES = {
    "vit_tiny_patch16_224": 5_717_416,
    "vit_small_patch16_224": 22_050_664,
    "vit_base_patch16_224": 86_567_656,
    "vit_base_patch32_224": 88_224_232,
    "vit_large_patch16_224": 304_326_632,
    "vit_small32": 683_242,
}

# dim, heads, patch, height, width, mlp hidden: primes where one divides the other, else coprime.
SHAPES = {
    "wide image": {"dim": 33, "heads": 3, "patch": 7, "sides": (14, 35), "hidden": 47},
    "tall image": {"dim": 35, "heads": 5, "patch": 5, "sides": (55, 10), "hidden": 53},
    "one patch": {"dim": 22, "heads": 11, "patch": 13, "sides": (13, 13), "hidden": 31},
    "square": {"dim": 26, "heads": 2, "patch": 3, "sides": (15, 15), "hidden": 104},
}
BATCH, DEPTH, CLASSES = 2, 3, 17


def ours_of(shape: str, **changes) -> VisionTransformer:
    """Ours, with every parameter random: zeros and ones would hide what is missing."""
    s = SHAPES[shape]
    options = {
        "image_size": s["sides"],
        "patch_size": s["patch"],
        "dim": s["dim"],
        "depth": DEPTH,
        "heads": s["heads"],
        "mlp_ratio": s["hidden"] / s["dim"],
        "num_classes": CLASSES,
    }
    torch.manual_seed(0)
    model = VisionTransformer(**options | changes).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def timms(shape: str, **changes) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer as Theirs

    s = SHAPES[shape]
    options = {
        "img_size": s["sides"],
        "patch_size": s["patch"],
        "embed_dim": s["dim"],
        "depth": DEPTH,
        "num_heads": s["heads"],
        "mlp_ratio": s["hidden"] / s["dim"],
        "num_classes": CLASSES,
    }
    return Theirs(**options | changes).double()


def images_of(shape: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    sides = SHAPES[shape]["sides"]
    return torch.randn(BATCH, 3, *sides, dtype=torch.float64, generator=generator)


# --- the same as the libraries -----------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_vit_equals_timms(shape, pool):
    mean = {"global_pool": "avg", "class_token": False, "fc_norm": False} if pool == "mean" else {}
    ours, theirs = ours_of(shape, pool=pool), timms(shape, **mean)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = images_of(shape)
    assert_same(ours, theirs, images)
    assert_same(ours.forward_features, theirs.forward_features, images)


# Our names and torchvision's, written down here and not taken from course_utils.weights.
def for_torchvision(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    pairs = [
        ("cls_token", "class_token"),
        ("pos_embed", "encoder.pos_embedding"),
        ("patch_embed.proj", "conv_proj"),
        ("blocks.", "encoder.layers.encoder_layer_"),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
        ("attn.qkv.", "self_attention.in_proj_"),
        ("attn.proj", "self_attention.out_proj"),
        ("mlp.fc1", "mlp.0"),
        ("mlp.fc2", "mlp.3"),
        ("head.", "heads.head."),
    ]
    renamed = {}
    for name, tensor in state.items():
        new = "encoder.ln" + name[4:] if name.startswith("norm.") else name
        for mine, other in pairs:
            new = new.replace(mine, other)
        renamed[new] = tensor
    return renamed


@pytest.mark.parametrize("shape", ["square", "one patch"])  # it takes square images only
def test_vit_equals_torchvisions(shape):
    from torchvision.models import VisionTransformer as Theirs

    s = SHAPES[shape]
    ours = ours_of(shape)
    theirs = Theirs(
        image_size=s["sides"][0],
        patch_size=s["patch"],
        num_layers=DEPTH,
        num_heads=s["heads"],
        hidden_dim=s["dim"],
        mlp_dim=s["hidden"],
        num_classes=CLASSES,
    ).double()
    theirs.load_state_dict(for_torchvision(ours.state_dict()), strict=True)
    assert_same(ours, theirs, images_of(shape))


def test_vit_b_16_has_torchvisions_structure():
    from torchvision.models import vit_b_16

    with torch.device("meta"):
        ours, theirs = VisionTransformer(**PRESETS["vit_base_patch16_224"]), vit_b_16()
    renamed = for_torchvision(ours.state_dict())
    shapes = [
        {name: t.shape for name, t in state.items()} for state in (renamed, theirs.state_dict())
    ]
    assert shapes[0] == shapes[1]


def huggingfaces(shape: str, eps: float, classifier: bool) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification, ViTModel

    s = SHAPES[shape]
    config = ViTConfig(
        image_size=list(s["sides"]),
        patch_size=s["patch"],
        hidden_size=s["dim"],
        num_hidden_layers=DEPTH,
        num_attention_heads=s["heads"],
        intermediate_size=s["hidden"],
        num_labels=CLASSES,
        layer_norm_eps=eps,
    )
    if classifier:
        return ViTForImageClassification(config).double()
    return ViTModel(config, add_pooling_layer=False).double()


def copy_to_huggingface(ours: VisionTransformer, theirs: nn.Module) -> None:
    """Parameter by parameter: the names differ between its versions, the order does not."""
    vit = getattr(theirs, "vit", theirs)
    layers = vit.layers if hasattr(vit, "layers") else vit.encoder.layer
    pairs = [
        (vit.embeddings.cls_token, ours.cls_token),
        (vit.embeddings.position_embeddings, ours.pos_embed),
    ]
    modules = [
        (vit.embeddings.patch_embeddings.projection, ours.patch_embed.proj),
        (vit.layernorm, ours.norm),
    ]
    if hasattr(theirs, "classifier"):
        modules.append((theirs.classifier, ours.head))
    for layer, block in zip(layers, ours.blocks, strict=True):
        linears = [m for m in layer.modules() if isinstance(m, nn.Linear)]  # q, k, v, out, two more
        thirds = zip(block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3), strict=True)
        for linear, (weight, bias) in zip(linears[:3], thirds, strict=True):
            pairs += [(linear.weight, weight), (linear.bias, bias)]
        rest = (block.attn.proj, block.mlp.fc1, block.mlp.fc2)
        modules += zip(linears[3:], rest, strict=True)
        modules += [(layer.layernorm_before, block.norm1), (layer.layernorm_after, block.norm2)]
    for target, source in modules:
        pairs += [(target.weight, source.weight), (target.bias, source.bias)]
    with torch.no_grad():
        for target, source in pairs:
            target.copy_(source)
    copied = {id(target) for target, _ in pairs}
    assert copied == {id(parameter) for parameter in theirs.parameters()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("eps", [1e-12, 1e-2])
def test_vit_equals_hugging_faces(shape, eps):
    images = images_of(shape)
    ours = ours_of(shape, norm_eps=eps)
    theirs = huggingfaces(shape, eps, classifier=True).eval()
    copy_to_huggingface(ours, theirs)
    assert_same(ours, lambda x: theirs(x).logits, images)
    backbone = huggingfaces(shape, eps, classifier=False).eval()
    copy_to_huggingface(ours, backbone)
    assert_same(ours.forward_features, lambda x: backbone(x).last_hidden_state, images)


def test_pytorchs_encoder_layers_make_the_same_post_norm_vit():
    ours = ours_of("wide image", norm="post")
    s = SHAPES["wide image"]
    layer = nn.TransformerEncoderLayer(
        s["dim"], s["heads"], s["hidden"], 0.0, "gelu", 1e-6, batch_first=True, dtype=torch.float64
    )
    stack = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
    with torch.no_grad():
        for theirs, block in zip(stack.layers, ours.blocks, strict=True):
            theirs.self_attn.in_proj_weight.copy_(block.attn.qkv.weight)
            theirs.self_attn.in_proj_bias.copy_(block.attn.qkv.bias)
            pairs = [
                (theirs.self_attn.out_proj, block.attn.proj),
                (theirs.linear1, block.mlp.fc1),
                (theirs.linear2, block.mlp.fc2),
                (theirs.norm1, block.norm1),
                (theirs.norm2, block.norm2),
            ]
            for target, source in pairs:
                target.load_state_dict(source.state_dict())

    def theirs(x):
        tokens = ours.patch_embed(x)
        tokens = torch.cat([ours.cls_token.expand(BATCH, -1, -1), tokens], 1) + ours.pos_embed
        return ours.head(stack(tokens)[:, 0])

    assert_same(ours, theirs, images_of("wide image"))
    assert isinstance(ours.norm, nn.Identity)


# --- sizes -------------------------------------------------------------------------------------


def test_every_preset_has_its_exact_size():
    assert SIZES.keys() == PRESETS.keys()
    for name, size in SIZES.items():
        with torch.device("meta"):
            model = VisionTransformer(**PRESETS[name])
        assert sum(p.numel() for p in model.parameters()) == size, name


@pytest.mark.parametrize("name", SIZES)
def test_timm_counts_the_same(name, on_meta):
    import timm

    small = {"img_size": 32, "patch_size": 4, "embed_dim": 96, "depth": 6, "num_classes": 10}
    options = small if name == "vit_small32" else {"num_classes": 1000}
    theirs = "vit_tiny_patch16_224" if name == "vit_small32" else name
    with on_meta():
        model = timm.create_model(theirs, **options)
    assert sum(p.numel() for p in model.parameters()) == SIZES[name]


def test_no_head_gives_the_pooled_tokens():
    ours = ours_of("wide image")
    bare = ours_of("wide image", num_classes=0)
    shared = {n: t for n, t in ours.state_dict().items() if not n.startswith("head.")}
    bare.load_state_dict(shared, strict=True)
    images = images_of("wide image")
    torch.testing.assert_close(ours.head(bare(images)), ours(images))


# --- images of another size --------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_another_resolution_gives_what_timm_gives(pool):
    mean = {"global_pool": "avg", "class_token": False, "fc_norm": False} if pool == "mean" else {}
    ours, theirs = ours_of("square", pool=pool), timms("square", dynamic_img_size=True, **mean)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for sides in [(21, 33), (9, 12), (15, 15)]:
        assert_same(ours, theirs, torch.randn(BATCH, 3, *sides, dtype=torch.float64))


def test_another_resolution_of_a_model_for_wide_images_resamples_as_timm_does():
    from timm.layers import resample_abs_pos_embed

    ours = ours_of("wide image")  # a grid of 2 x 5
    bigger = ours_of("wide image", image_size=(28, 21))
    state = ours.state_dict()
    state["pos_embed"] = resample_abs_pos_embed(ours.pos_embed, [4, 3], [2, 5])
    bigger.load_state_dict(state, strict=True)
    images = torch.randn(BATCH, 3, 28, 21, dtype=torch.float64)
    torch.testing.assert_close(ours(images), bigger(images))


# --- the parts ---------------------------------------------------------------------------------


def test_patch_embedding_is_one_matrix_on_every_square():
    torch.manual_seed(0)
    layer = PatchEmbedding(patch_size=5, channels=2, dim=7).double()
    images = torch.randn(3, 2, 10, 15, dtype=torch.float64)
    tokens = layer(images)
    matrix = layer.proj.weight.flatten(1)
    for row in range(2):
        for column in range(3):
            square = images[:, :, 5 * row : 5 * row + 5, 5 * column : 5 * column + 5]
            expected = square.flatten(1) @ matrix.T + layer.proj.bias
            torch.testing.assert_close(tokens[:, 3 * row + column], expected)


@pytest.mark.parametrize(
    ("patch", "widths"), [(2, [24]), (4, [12, 24]), (8, [6, 12, 24]), (16, [3, 6, 12, 24])]
)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_conv_stem_is_a_sequence_of_halving_convolutions(patch, widths, mode):
    torch.manual_seed(0)
    stem = ConvStem(patch_size=patch, channels=2, dim=24).double().train(mode == "train")
    layers: list[nn.Module] = []
    for before, width in zip([2, *widths], widths, strict=False):
        convolution = nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
    layers.append(nn.Conv2d(24, 24, 1))
    by_hand = nn.Sequential(*layers).double().train(mode == "train")
    state = {name.removeprefix("convs."): t for name, t in stem.state_dict().items()}
    state = {name.replace("proj.", f"{len(layers) - 1}."): t for name, t in state.items()}
    by_hand.load_state_dict(state, strict=True)
    images = torch.randn(3, 2, 3 * patch, 5 * patch, dtype=torch.float64)
    assert_same(stem, lambda x: by_hand(x).permute(0, 2, 3, 1).reshape(3, 15, 24), images)


def test_a_vit_with_a_conv_stem_has_as_many_tokens_and_differs_in_the_stem_only():
    patch = ours_of("square", patch_size=4, image_size=(12, 20))
    conv = ours_of("square", patch_size=4, image_size=(12, 20), stem="conv").eval()
    shared = {n: t for n, t in patch.state_dict().items() if not n.startswith("patch_embed.")}
    conv.load_state_dict(shared, strict=False)
    images = torch.randn(BATCH, 3, 12, 20, dtype=torch.float64)
    assert conv.forward_features(images).shape == patch.forward_features(images).shape
    patch.patch_embed = conv.patch_embed
    torch.testing.assert_close(conv(images), patch(images))


def test_dropout_drops_while_training_and_only_then():
    ours = ours_of("square", dropout=0.5)
    images = images_of("square")
    assert not torch.equal(ours(images), ours(images))
    plain = ours_of("square")
    plain.load_state_dict(ours.state_dict(), strict=True)
    torch.testing.assert_close(ours.eval()(images), plain(images))


# --- positions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_sinusoidal_positions_are_a_fixed_table_added_to_the_patches(pool):
    dim = 28
    fixed = ours_of("wide image", dim=dim, heads=7, pool=pool, positions="sinusoidal")
    learned = ours_of("wide image", dim=dim, heads=7, pool=pool)
    table = sinusoidal_positions_2d(2, 5, dim).double()
    zeros = torch.zeros(1 if pool == "cls" else 0, dim, dtype=torch.float64)
    state = fixed.state_dict()
    assert "pos_embed" not in state
    learned.load_state_dict(state | {"pos_embed": torch.cat([zeros, table])[None]}, strict=True)
    assert_same(fixed, learned, images_of("wide image"))
    # Any other grid has its own table, not a resized one.
    bigger = torch.randn(BATCH, 3, 21, 14, dtype=torch.float64)
    other = ours_of("wide image", dim=dim, heads=7, pool=pool, image_size=(21, 14))
    table = sinusoidal_positions_2d(3, 2, dim).double()
    other.load_state_dict(state | {"pos_embed": torch.cat([zeros, table])[None]}, strict=True)
    torch.testing.assert_close(fixed(bigger), other(bigger))


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_no_positions_are_positions_of_zero(pool):
    without = ours_of("wide image", pool=pool, positions="none")
    zero = ours_of("wide image", pool=pool)
    state = without.state_dict() | {"pos_embed": torch.zeros_like(zero.pos_embed)}
    zero.load_state_dict(state, strict=True)
    assert_same(without, zero, images_of("wide image"))


def shuffled(images: torch.Tensor, patch: int) -> torch.Tensor:
    """The squares of every image in another order."""
    batch, channels, height, width = images.shape
    rows, columns = height // patch, width // patch
    squares = images.reshape(batch, channels, rows, patch, columns, patch)
    squares = squares.permute(2, 4, 0, 1, 3, 5).flatten(0, 1)
    squares = squares[torch.randperm(len(squares), generator=torch.Generator().manual_seed(3))]
    squares = squares.unflatten(0, (rows, columns)).permute(2, 3, 0, 4, 1, 5)
    return squares.reshape(images.shape)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_without_positions_the_order_of_the_patches_does_not_matter(pool):
    images = images_of("wide image")
    other = shuffled(images, SHAPES["wide image"]["patch"])
    assert not torch.equal(images, other)
    without = ours_of("wide image", pool=pool, positions="none")
    torch.testing.assert_close(without(other), without(images))
    for positions in ("learned", "sinusoidal"):
        model = ours_of("wide image", dim=28, heads=7, pool=pool, positions=positions)
        assert not torch.allclose(model(other), model(images), rtol=1e-3)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pool": "max"}, "pool must be one of cls, mean; got 'max'"),
        (
            {"positions": "rotary"},
            "positions must be one of learned, sinusoidal, none; got 'rotary'",
        ),
        ({"stem": "fourier"}, "stem must be one of patch, conv; got 'fourier'"),
        ({"norm": "both"}, r'"pre".*"post".*got \'both\''),
        ({"dim": 10, "heads": 4}, "dim=10, heads=4"),
        ({"image_size": (32, 30)}, "multiples of patch_size=8; got 32 x 30.*32 x 32"),
        ({"image_size": 3}, "multiples of patch_size=8; got 3 x 3.*8 x 8"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, text, without_shape_types):
    good = {"image_size": 32, "patch_size": 8, "dim": 12, "depth": 1, "heads": 3}
    VisionTransformer(**good)
    with pytest.raises(ValueError, match=text):
        VisionTransformer(**good | options)


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_images_that_do_not_divide_are_refused(stem):
    model = VisionTransformer(image_size=32, patch_size=8, dim=24, depth=1, heads=3, stem=stem)
    with pytest.raises(ValueError, match=r"got 28 x 45: resize or crop it, for example to 32 x 48"):
        model(torch.zeros(2, 3, 28, 45))


@pytest.mark.parametrize("patch", [1, 6, 7])
def test_a_conv_stem_needs_a_power_of_two(patch):
    with pytest.raises(
        ValueError, match=rf'power of two; got {patch}: take 2, 4, 8, 16, or stem="p'
    ):
        ConvStem(patch_size=patch, channels=3, dim=12)
