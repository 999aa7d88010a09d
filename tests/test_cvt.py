"""CvT against Hugging Face's on the same weights, in float64."""

import pytest
import torch
from torch import nn

from course_utils.cvt import (
    PRESETS,
    ConvAttention,
    ConvEmbedding,
    ConvolutionalVisionTransformer,
    ConvProjection,
    to_maps,
    to_tokens,
)

# Hugging Face's names and ours, replaced in this order.
NAMES = [
    ("cvt.encoder.", ""),
    ("embedding.convolution_embeddings.projection", "embed.proj"),
    ("embedding.convolution_embeddings.normalization", "embed.norm"),
    ("layers.", "blocks."),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    ("attention.attention.convolution_projection_", "attn."),
    ("convolution_projection.convolution", "conv"),
    ("convolution_projection.normalization", "norm"),
    ("attention.attention.projection_query", "attn.query.linear"),
    ("attention.attention.projection_key", "attn.key.linear"),
    ("attention.attention.projection_value", "attn.value.linear"),
    ("attention.output.dense", "attn.proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("layernorm.", "norm."),
    ("classifier.", "head."),
]


def cvt_names(key: str) -> str:
    """The name in our model of what Hugging Face's `CvtForImageClassification` calls `key`."""
    for theirs, ours in NAMES:
        key = key.replace(theirs, ours)
    return key


# Narrow, and no size a multiple of another stage's. Hugging Face's needs a depth of at least 3 in
# the third stage: it looks up its drop path rates by the number of the stage.
NARROW = {
    "dims": (11, 26, 51),
    "depths": (1, 2, 3),
    "heads": (1, 2, 3),
    "scale": "stage",
    "num_classes": 7,
}
ODD = {
    "patch_sizes": (5, 3, 4),
    "strides": (3, 2, 1),
    "paddings": (1, 0, 2),
    "mlp_ratio": 29 / 13,
    "kv_stride": 3,
    "channels": 5,
}


@pytest.fixture(autouse=True)
def one_thread():
    """The layers here are tiny: a second thread costs more than it does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def huggingfaces(options: dict) -> nn.Module:
    """Their model for our keyword arguments, without drop path."""
    from transformers import CvtConfig, CvtForImageClassification

    given = {"num_classes": 1000, **options}
    renamed = {
        "dims": "embed_dim",
        "depths": "depth",
        "heads": "num_heads",
        "patch_sizes": "patch_sizes",
        "strides": "patch_stride",
        "paddings": "patch_padding",
        "channels": "num_channels",
        "num_classes": "num_labels",
    }
    config = {renamed[name]: value for name, value in given.items() if name in renamed}
    if "mlp_ratio" in given:
        config["mlp_ratio"] = (given["mlp_ratio"],) * 3
    if "kv_stride" in given:
        config["stride_kv"] = (given["kv_stride"],) * 3
    if given.get("pool") == "mean":
        config["cls_token"] = (False, False, False)
    return CvtForImageClassification(CvtConfig(drop_path_rate=(0.0, 0.0, 0.0), **config))


def both(options: dict, seed: int = 0) -> tuple[ConvolutionalVisionTransformer, nn.Module]:
    """Ours and theirs with the same random weights and running statistics."""
    torch.manual_seed(seed)
    theirs = huggingfaces(options).double()
    for name, tensor in theirs.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point():
            tensor.normal_(std=0.3)
    ours = ConvolutionalVisionTransformer(**options).double()
    ours.load_state_dict({cvt_names(k): v for k, v in theirs.state_dict().items()}, strict=True)
    return ours, theirs


def pictures(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, height, width, dtype=torch.float64)


def logits(theirs: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Theirs; by its parts where there is no class token, because its own head then fails."""
    if theirs.config.cls_token[-1]:
        return theirs(images).logits
    tokens = theirs.cvt(images).last_hidden_state.flatten(2).mT
    return theirs.classifier(theirs.layernorm(tokens).mean(dim=1))


def assert_same(ours: nn.Module, theirs: nn.Module, images: torch.Tensor) -> None:
    """Logits, and the gradients at the images and at every parameter."""
    a, b = images.clone().requires_grad_(), images.clone().requires_grad_()
    got, expected = ours(a), logits(theirs, b)
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected)
    got.pow(3).sum().backward()
    expected.pow(3).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    mine = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(mine[cvt_names(name)].grad, parameter.grad)


@pytest.mark.parametrize("size", [(67, 45), (31, 79), (32, 32), (3, 5)])
def test_equals_hugging_faces_logits_and_gradients(size):
    ours, theirs = both(NARROW)
    assert_same(ours.eval(), theirs.eval(), pictures(*size))


@pytest.mark.parametrize("options", [{"pool": "mean"}, ODD, {**ODD, "pool": "mean"}])
def test_other_options_equal_hugging_faces(options):
    ours, theirs = both({**NARROW, **options}, seed=1)
    assert_same(ours.eval(), theirs.eval(), pictures(41, 37, options.get("channels", 3)))


def test_in_training_batch_norm_takes_the_batch_s_statistics_and_keeps_the_running_ones():
    ours, theirs = both(NARROW, seed=2)
    assert_same(ours.train(), theirs.train(), pictures(67, 45))
    mine = ours.state_dict()
    for name, tensor in theirs.state_dict().items():
        torch.testing.assert_close(mine[cvt_names(name)], tensor)


@pytest.mark.parametrize("name", ["cvt_13", "cvt_21", "cvt_w24"])
def test_a_preset_made_narrow_equals_hugging_faces(name):
    heads = PRESETS[name].get("heads", (1, 3, 6))
    narrow = {"dims": tuple(5 * h for h in heads), "num_classes": 7}
    ours, theirs = both({**PRESETS[name], **narrow}, seed=3)
    assert_same(ours.eval(), theirs.eval(), pictures(53, 37))


PARAMETERS = {
    "cvt_13": 19_997_480,
    "cvt_21": 31_622_696,
    "cvt_w24": 277_196_392,
    "cvt_small32": 685_258,
}


def test_every_preset_has_its_count():
    assert set(PARAMETERS) == set(PRESETS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_preset_has_hugging_faces_names_and_shapes(name, on_meta):
    options = dict(PRESETS[name])
    depths = options["depths"]
    with on_meta():
        ours = ConvolutionalVisionTransformer(**options)
        # Theirs cannot be built with fewer than 3 layers in the third stage.
        theirs = huggingfaces({**options, "depths": (*depths[:2], max(3, depths[2]))})
    assert sum(p.numel() for p in ours.parameters()) == PARAMETERS[name]
    shapes = {cvt_names(k): v.shape for k, v in theirs.state_dict().items()}
    extra = tuple(f"stages.2.blocks.{i}." for i in range(depths[2], 3))
    expected = {k: shape for k, shape in shapes.items() if not k.startswith(extra)}
    assert {k: v.shape for k, v in ours.state_dict().items()} == expected


def test_scale_head_divides_by_the_square_root_of_the_head_s_width():
    ours, theirs = both({**NARROW, "scale": "head"}, seed=4)
    for stage, dim, heads in zip(
        theirs.cvt.encoder.stages, NARROW["dims"], NARROW["heads"], strict=True
    ):
        for layer in stage.layers:
            layer.attention.attention.scale = (dim // heads) ** -0.5
    assert_same(ours.eval(), theirs.eval(), pictures(67, 45))


def test_features_are_the_normalized_class_token_and_then_the_map_row_by_row():
    ours, theirs = both(NARROW, seed=5)
    images = pictures(67, 45)
    inside = theirs.eval().cvt(images)
    tokens = torch.cat([inside.cls_token_value, inside.last_hidden_state.flatten(2).mT], dim=1)
    features = ours.eval().forward_features(images)
    torch.testing.assert_close(features, theirs.layernorm(tokens))
    torch.testing.assert_close(ours.head(features[:, 0]), ours(images))
    headless = ConvolutionalVisionTransformer(**{**NARROW, "num_classes": 0}).double()
    torch.testing.assert_close(headless(images), headless.forward_features(images)[:, 0])


def test_recorded_weights_are_hugging_faces_and_recording_changes_no_output():
    ours, theirs = both(NARROW, seed=6)
    ours.eval(), theirs.eval()
    images = pictures(67, 45)
    fused = ours(images)
    mine, others = [], []
    handles = [
        module.weights.register_forward_hook(lambda _, __, weights: mine.append(weights))
        for module in ours.modules()
        if isinstance(module, ConvAttention)
    ]
    for stage in theirs.cvt.encoder.stages:
        for layer in stage.layers:
            layer.attention.attention.dropout.register_forward_hook(
                lambda _, __, weights: others.append(weights)
            )
    a, b = images.clone().requires_grad_(), images.clone().requires_grad_()
    recorded = ours(a)
    torch.testing.assert_close(recorded, fused)
    theirs(images)
    assert len(mine) == 6
    torch.testing.assert_close(mine, others)
    for handle in handles:
        handle.remove()
    recorded.pow(3).sum().backward()
    ours(b).pow(3).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    assert len(mine) == 6


def test_the_class_token_skips_the_convolution_and_stands_in_front():
    torch.manual_seed(7)
    layer = ConvProjection(dim=13, stride=2).double().eval()
    maps = torch.randn(2, 13, 5, 7, dtype=torch.float64)
    prefix = torch.randn(2, 1, 13, dtype=torch.float64)
    with_token = layer(maps, prefix)
    torch.testing.assert_close(with_token[:, :1], layer.linear(prefix))
    torch.testing.assert_close(with_token[:, 1:], layer(maps, prefix[:, :0]))
    windows = nn.functional.unfold(maps, 3, padding=1, stride=2).unflatten(1, (13, 9))
    summed = (windows * layer.conv.weight.flatten(1)[:, :, None]).sum(dim=2)
    torch.testing.assert_close(with_token[:, 1:], layer.linear(summed.mT * (1 + 1e-5) ** -0.5))


def test_tokens_and_channels_last_maps_share_their_memory():
    tokens = torch.randn(2, 15, 7)
    maps = to_maps(tokens, (3, 5))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert maps.data_ptr() == to_tokens(maps).data_ptr() == tokens.data_ptr()
    assert to_tokens(maps).is_contiguous()
    assert torch.equal(to_tokens(maps), tokens)
    assert torch.equal(maps[1, :, 2, 4], tokens[1, 2 * 5 + 4])
    embed = ConvEmbedding(channels=3, dim=7, patch_size=3, stride=2, padding=1)
    assert embed(torch.randn(2, 3, 9, 5)).is_contiguous(memory_format=torch.channels_last)


def test_a_channels_last_model_computes_the_same():
    ours, _ = both(NARROW, seed=8)
    images = pictures(67, 45)
    expected = ours.eval()(images)
    ours.to(memory_format=torch.channels_last)
    torch.testing.assert_close(ours(images.to(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize(
    ("size", "text"),
    [((2, 50), r"at least 3 .*got 2 x 50.*enlarge"), ((50, 2), r"at least 3 .*got 50 x 2")],
)
def test_an_image_smaller_than_a_window_is_refused(size, text):
    model = ConvolutionalVisionTransformer(**NARROW)
    with pytest.raises(ValueError, match=text):
        model(torch.randn(1, 3, *size))


def test_a_map_smaller_than_a_later_stage_s_window_is_refused():
    model = ConvolutionalVisionTransformer(**NARROW, paddings=(2, 1, 0)).eval()
    with pytest.raises(ValueError, match=r"at least 3 .*got 1 x 2.*fewer stages"):
        model(torch.randn(1, 3, 8, 13))


def test_options_that_do_not_fit_are_refused(without_shape_types):
    make = ConvolutionalVisionTransformer
    with pytest.raises(ValueError, match=r"one entry for each stage; got 3, 2, 3, 3, 3, 3 entries"):
        make(**{**NARROW, "depths": (1, 2)})
    with pytest.raises(ValueError, match=r"one entry for each stage; got 0"):
        make(dims=(), depths=(), heads=(), patch_sizes=(), strides=(), paddings=())
    with pytest.raises(ValueError, match=r"dim=26, heads=3: .*\[1, 2, 13, 26\]"):
        make(**{**NARROW, "heads": (1, 3, 3)})
    with pytest.raises(ValueError, match=r"\"head\".*\"stage\".*got 'width'"):
        make(**{**NARROW, "scale": "width"})
    with pytest.raises(ValueError, match=r"cls, mean; got 'max'"):
        make(**NARROW, pool="max")
