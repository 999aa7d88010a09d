"""`record`: the weights of every library's attention, and a model that is as it was before."""

import pytest
import torch
import torch.nn.functional as F
from test_weights import (
    CVT,
    DEPTH,
    DIM,
    HEADS,
    PATCH,
    SIDE,
    VIT,
    huggingface_cvt,
    huggingface_vit,
    randomized,
    timm_vit,
    torchvision_vit,
)
from torch import nn

from course_utils.attention import MultiHeadAttention
from course_utils.cnn import ResNet
from course_utils.cvt import ConvolutionalVisionTransformer
from course_utils.explain import explicit_attention, record
from course_utils.vit import VisionTransformer
from course_utils.weights import load_weights


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def course_vit(**changes):
    return randomized(VisionTransformer(**VIT | changes))


def course_cvt():
    return randomized(ConvolutionalVisionTransformer(**CVT))


IMAGES = normal(3, 3, SIDE, SIDE)
LARGE = normal(2, 3, 29, 29)
VITS = {"timm": timm_vit, "torchvision": torchvision_vit, "transformers": huggingface_vit}
EPS = {"transformers": 1e-3}  # of the models that huggingface_vit makes
MODELS = {
    "course ViT": (course_vit, IMAGES),
    "course CvT": (course_cvt, LARGE),
    **{name: (make, IMAGES) for name, make in VITS.items()},
    "transformers CvT": (huggingface_cvt, LARGE),
}


def state_of(model):
    """Everything about a model that watching could change, and what intercepts PyTorch's calls."""
    names = [name for name in vars(nn.Module()) if "hook" in name]
    return (
        [
            (name, hook, repr(vars(module)[hook]))
            for name, module in model.named_modules()
            for hook in names
        ],
        [getattr(module, "fused_attn", None) for module in model.modules()],
        getattr(getattr(model, "config", None), "_attn_implementation", None),
        [vars(module).get("forward") for module in model.modules()],
        torch._C._len_torch_function_stack(),
    )


# --- What is recorded ---


def test_a_layers_weights_are_pytorchs():
    ours = randomized(MultiHeadAttention(dim=21, heads=3))
    theirs = nn.MultiheadAttention(21, 3, batch_first=True, dtype=torch.float64)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    x = normal(2, 5, 21)
    _, expected = theirs(x, x, x, average_attn_weights=False)
    for layer, call in ((ours, (x,)), (theirs, (x, x, x))):
        with record(layer) as maps:
            layer(*call)
        assert list(maps) == ["(model)"]
        torch.testing.assert_close(maps["(model)"], expected.detach())


@pytest.mark.parametrize("library", VITS)
def test_every_librarys_vit_has_the_weights_of_ours(library):
    theirs = VITS[library]()
    ours = load_weights(course_vit(norm_eps=EPS.get(library, 1e-6)), theirs)
    with record(ours) as expected:
        ours(IMAGES)
    with record(theirs) as maps:
        theirs(IMAGES)
    assert list(expected) == [f"blocks.{i}.attn" for i in range(DEPTH)]
    assert len(maps) == DEPTH
    for got, weights in zip(maps.values(), expected.values(), strict=True):
        assert weights.shape == (3, HEADS, 1 + (SIDE // PATCH) ** 2, 1 + (SIDE // PATCH) ** 2)
        torch.testing.assert_close(got, weights)


def test_cvt_has_the_weights_of_hugging_faces():
    theirs = huggingface_cvt()
    ours = load_weights(course_cvt(), theirs)
    with record(ours) as expected:
        ours(LARGE)
    with record(theirs) as maps:
        theirs(LARGE)
    assert [tuple(w.shape) for w in maps.values()] == [
        (2, 3, 49, 16), (2, 2, 17, 5), (2, 2, 17, 5)
    ]  # fmt: skip
    for got, weights in zip(maps.values(), expected.values(), strict=True):
        torch.testing.assert_close(got, weights)


def test_hugging_faces_own_weights_are_the_same():
    model = huggingface_vit(attn_implementation="eager")
    expected = model(IMAGES, output_attentions=True).attentions
    for implementation in ("eager", "sdpa"):
        other = huggingface_vit(attn_implementation=implementation)
        with record(other) as maps:
            other(IMAGES)
        for got, weights in zip(maps.values(), expected, strict=True):
            # Its explicit softmax runs in float32, whatever the model's type.
            torch.testing.assert_close(got.double(), weights, atol=1e-6, rtol=1e-5)


def test_timms_own_weights_are_the_same():
    model, seen = timm_vit(), []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda _m, inputs, _out: seen.append(inputs[0]))
    model(IMAGES)
    fused = timm_vit()
    with record(fused) as maps:
        fused(IMAGES)
    assert list(maps) == [f"blocks.{i}.attn" for i in range(DEPTH)]
    for got, weights in zip(maps.values(), seen, strict=True):
        torch.testing.assert_close(got, weights)


def test_a_query_without_a_key_is_seen_to_look_at_nothing():
    layer, mask = randomized(MultiHeadAttention(dim=6, heads=2)), torch.ones(5, 5) > 0
    mask[3] = False
    with record(layer) as maps:
        layer(normal(2, 5, 6), mask=mask)
    sums = maps["(model)"].sum(-1)
    torch.testing.assert_close(sums[..., 3], torch.zeros(2, 2, dtype=torch.float64))
    torch.testing.assert_close(sums[..., :3], torch.ones(2, 2, 3, dtype=torch.float64))


def test_any_layers_output_can_be_recorded_as_it_was():
    model = randomized(ResNet(depths=(1, 1), widths=(5, 7), num_classes=3))
    images, expected = normal(2, 3, 37, 41), []
    handle = model.bn1.register_forward_hook(lambda _m, _i, out: expected.append(out.clone()))
    with record(model, "bn1", "layer2") as seen:
        model(images)
    handle.remove()
    assert list(seen) == ["bn1", "layer2"]
    torch.testing.assert_close(seen["bn1"], expected[0])  # the ReLU after it works in place
    torch.testing.assert_close(seen["layer2"], model.forward_features(images))


def test_the_graph_is_kept_when_asked_for():
    model = course_vit()
    with record(model, "weights", "norm", graph=True) as seen:
        model(IMAGES)
    (slope,) = torch.autograd.grad(seen["norm"].sum(), seen["blocks.0.attn"])
    assert slope.abs().max() > 0
    with record(model) as seen:
        model(IMAGES)
    assert not seen["blocks.0.attn"].requires_grad


def test_calls_are_joined_and_sizes_that_differ_refused():
    model = course_vit()
    with record(model) as whole:
        model(IMAGES)
    with record(model) as parts:
        model(IMAGES[:2])
        model(IMAGES[2:])
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name])
    with record(model) as mixed:
        model(IMAGES)
        model(normal(1, 3, SIDE, 2 * SIDE))
    with pytest.raises(ValueError, match=r"different shapes, \[\(3, 5, 5\), \(3, 9, 9\)\]"):
        mixed["blocks.0.attn"]


# --- What is left behind ---


@pytest.mark.parametrize("name", MODELS)
def test_watching_changes_neither_the_answer_nor_the_model(name):
    make, images = MODELS[name]
    model = make()
    before = state_of(model)
    answers = []
    for watch in (False, True, False):
        x = images.clone().requires_grad_()
        if watch:
            with record(model) as maps:
                out = model(x)
            assert maps
        else:
            out = model(x)
        out = getattr(out, "logits", out)
        answers.append((out, *torch.autograd.grad(out.pow(3).sum(), x)))
        assert state_of(model) == before
    torch.testing.assert_close(answers[1], answers[0])
    torch.testing.assert_close(answers[2], answers[0], rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_left_after_an_exception(name):
    make, images = MODELS[name]
    model = make()
    before = state_of(model)
    inside = []

    def stops():
        with record(model):
            inside.append(state_of(model))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stops()
    assert inside[0] != before
    assert state_of(model) == before
    with pytest.raises((ValueError, RuntimeError, AssertionError)), record(model):
        model(images[:, :2])  # two channels: an error deep inside
    assert state_of(model) == before


def test_an_exception_inside_the_block_does_not_mix_up_the_names():
    model = course_vit()

    def fails(*_):
        raise RuntimeError("stop")

    for watched in (model, timm_vit()):
        with record(watched) as maps:
            handle = watched.blocks[1].mlp.fc1.register_forward_pre_hook(fails)
            with pytest.raises(RuntimeError, match="stop"):
                watched(IMAGES)
            handle.remove()
            timm_vit()(IMAGES)  # another model, which nobody watches
            watched(IMAGES)
        # Both layers had run before the error: twice three images.
        assert {name: len(weights) for name, weights in maps.items()} == {
            "blocks.0.attn": 6,
            "blocks.1.attn": 6,
        }


def test_another_model_in_the_block_is_not_recorded():
    watched, other = timm_vit(), timm_vit()
    with record(watched) as maps:
        other(IMAGES)
    assert not maps


@pytest.mark.parametrize("wanted", [True, False])
def test_a_watched_multihead_attention_returns_what_was_asked(wanted):
    layer = nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    x = normal(2, 5, DIM).float()
    expected = layer(x, x, x, need_weights=wanted)
    with record(layer) as maps:
        got = layer(x, x, x, need_weights=wanted)
    torch.testing.assert_close(got[0], expected[0])
    assert (got[1] is None) == (not wanted)
    if wanted:
        torch.testing.assert_close(got[1], expected[1])
    assert maps["(model)"].shape == (2, HEADS, 5, 5)


# --- The explicit computation, and errors ---


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.3},
        {"attn_mask": normal(7, 11, seed=4) > -1},
        {"attn_mask": normal(3, 7, 11, seed=4)},
        {"is_causal": True},
    ],
    ids=lambda options: next(iter(options), "plain"),
)
def test_explicit_attention_is_the_fused(options):
    inputs = [normal(2, 3, n, 5, seed=n).requires_grad_() for n in (7, 11, 13)]
    query, key, value = inputs[0], inputs[1], inputs[2][:, :, :11]
    output, weights = explicit_attention(query, key, value, **options)
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7, dtype=torch.float64))
    torch.testing.assert_close(
        *(torch.autograd.grad(out.pow(3).sum(), inputs) for out in (output, expected))
    )


def test_explicit_attention_shares_keys_among_heads():
    query, key, value = normal(2, 6, 5, 7), normal(2, 2, 11, 7), normal(2, 2, 11, 3)
    output, _ = explicit_attention(query, key, value, enable_gqa=True)
    repeated = [torch.stack([part[:, i // 3] for i in range(6)], dim=1) for part in (key, value)]
    torch.testing.assert_close(output, F.scaled_dot_product_attention(query, *repeated))


def test_a_layer_that_is_not_there_is_refused():
    model = course_vit()
    with (
        pytest.raises(
            ValueError, match=r"has no layer 'blocks\.9\.norm1'; it has blocks\.0\.norm1"
        ),
        record(model, "blocks.9.norm1"),
    ):
        pass
    with record(model) as maps:
        pass
    with pytest.raises(KeyError, match="recorded: nothing: run the model inside"):
        maps["blocks.0.attn"]


def test_a_compiled_model_is_refused():
    compiled = torch.compile(course_vit())
    with pytest.raises(ValueError, match=r"record the module that went into torch\.compile"):
        record(compiled).__enter__()
