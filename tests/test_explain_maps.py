"""Attention maps, rollout and distances against loops; Grad-CAM against CAM and small steps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_explain_record import EPS, IMAGES, LARGE, VITS, course_cvt, course_vit, normal
from test_weights import (
    huggingface_cvt,
    huggingface_resnet,
    randomized,
    timm_resnet,
    torchvision_resnet,
)
from torch import nn

from course_utils.cnn import ResNet
from course_utils.explain import (
    attention_maps,
    attention_rollout,
    grad_cam,
    grad_cam_layer,
    gradient_map,
    grid_of_tokens,
    mean_attention_distance,
    record,
    upsample,
)
from course_utils.weights import load_weights

CLASSES = torch.tensor([3, 0, 4])


def weights_of(*shape, seed=0):
    return normal(*shape, seed=seed).softmax(dim=-1)


# --- Maps of attention ---


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 1))
def test_the_grid_is_the_one_that_the_patches_made(rows, columns, patch, prefix):
    size = (rows * patch, columns * patch)
    assert grid_of_tokens(rows * columns + prefix, size) == (rows, columns)


def test_registers_are_no_part_of_the_grid_and_none_is_refused():
    assert grid_of_tokens(5 + 14 * 14, (224, 224)) == (14, 14)
    assert grid_of_tokens(5 + 4 * 6, (64, 96)) == (4, 6)
    with pytest.raises(ValueError, match=r"3 tokens .* of 7 x 11 pixels: give grid"):
        grid_of_tokens(3, (7, 11))


@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_a_map_is_the_first_query_or_the_mean(prefix):
    rows, columns = 3, 5
    weights = weights_of(2, 3, prefix + 15, prefix + 15)
    maps = attention_maps(weights, (21, 35), grid=(3, 5))
    for image in range(2):
        for head in range(3):
            for y in range(rows):
                for x in range(columns):
                    column = weights[image, head, :, prefix + y * columns + x]
                    expected = column[0] if prefix else sum(column) / len(column)
                    torch.testing.assert_close(maps[image, head, y, x], expected)
    torch.testing.assert_close(attention_maps(weights, (21, 35)), maps)


def test_a_grid_with_more_places_than_keys_is_refused():
    with pytest.raises(ValueError, match="4 x 4 has more places than the 5 keys"):
        attention_maps(weights_of(1, 1, 17, 5), (8, 8), grid=(4, 4))
    with pytest.raises(ValueError, match="4 x 4 has more places than the 5 tokens"):
        mean_attention_distance(weights_of(1, 1, 17, 5), (8, 8), grid=(4, 4))


def test_a_small_map_becomes_as_large_as_the_image():
    # Half a place from the border it is level, between two middles a straight line.
    got = upsample(torch.tensor([[[0.0, 4.0]]]), (1, 8))
    expected = torch.tensor([0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])
    torch.testing.assert_close(got[0, 0], expected)


# --- Rollout ---


def test_rollout_by_hand():
    layer = torch.tensor([[1, 0], [0.5, 0.5]], dtype=torch.float64)[None, None]
    # Half of it and half of the identity: [[1, 0], [1/4, 3/4]]; its square is this.
    expected = torch.tensor([[1, 0], [7 / 16, 9 / 16]], dtype=torch.float64)
    torch.testing.assert_close(attention_rollout([layer, layer])[0], expected)


def test_rollout_is_the_loop_over_all_paths():
    layers = [weights_of(2, 3, 5, 5, seed=seed) for seed in range(3)]
    expected = torch.zeros(2, 5, 5, dtype=torch.float64)
    for image in range(2):
        for start in range(5):
            for end in range(5):
                for a in range(5):
                    for b in range(5):  # input `start` -> a -> b -> output `end`
                        share = 1.0
                        for layer, out, into in zip(
                            layers, (a, b, end), (start, a, b), strict=True
                        ):
                            heads = layer[image, :, out, into]
                            share = share * (0.5 * sum(heads) / 3 + 0.5 * (out == into))
                        expected[image, end, start] += share
    got = attention_rollout(layers)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(got.sum(-1), torch.ones(2, 5, dtype=torch.float64))


def test_rollout_takes_what_record_gives():
    model = course_vit()
    with record(model) as maps:
        model(IMAGES)
    flow = attention_rollout(maps)
    torch.testing.assert_close(flow.sum(-1), torch.ones(3, 5, dtype=torch.float64))
    torch.testing.assert_close(flow, attention_rollout([maps[name] for name in maps]))


def test_rollout_refuses_strided_keys_and_nothing():
    model = course_cvt()
    with record(model) as maps:
        model(LARGE)
    with pytest.raises(ValueError, match=r"\(2, 3, 49, 16\), \(2, 2, 17, 5\): in CvT keys"):
        attention_rollout(maps)
    with pytest.raises(ValueError, match="at least one layer; got none"):
        attention_rollout([])


# --- Distance ---


def distance_by_loop(weights, middles, key_middles, prefix):
    """Of one head: every query's mean distance, then their mean."""
    total = 0.0
    for i, (y, x) in enumerate(middles):
        row = weights[prefix + i, prefix:]
        for j, (v, u) in enumerate(key_middles):
            total += math.hypot(y - v, x - u) * row[j].item() / row.sum().item()
    return total / len(middles)


@pytest.mark.parametrize("prefix", [0, 1])
def test_distance_is_the_loop(prefix):
    tokens = prefix + 15
    weights = weights_of(2, 3, tokens, tokens)
    got = mean_attention_distance(weights, (21, 35))
    middles = [(7 * y + 3.5, 7 * x + 3.5) for y in range(3) for x in range(5)]
    for image in range(2):
        for head in range(3):
            expected = distance_by_loop(weights[image, head], middles, middles, prefix)
            assert got[image, head].item() == pytest.approx(expected)


def test_distance_to_fewer_keys():
    weights = weights_of(1, 2, 1 + 24, 1 + 6)
    got = mean_attention_distance(weights, (16, 24))
    middles = [(4 * y + 2, 4 * x + 2) for y in range(4) for x in range(6)]
    keys = [(8 * y + 4, 8 * x + 4) for y in range(2) for x in range(3)]
    for head in range(2):
        expected = distance_by_loop(weights[0, head], middles, keys, 1)
        assert got[0, head].item() == pytest.approx(expected)
    given = mean_attention_distance(weights, (16, 24), grid=(4, 6), key_grid=(2, 3))
    torch.testing.assert_close(given, got)


def test_who_looks_at_itself_looks_nowhere_far():
    itself = torch.eye(5)[None, None]
    neighbor = torch.tensor([[1, 0, 0], [0.9, 0, 0.1], [0.2, 0.8, 0]])[None, None]
    assert mean_attention_distance(itself, (14, 14)).item() == 0
    assert mean_attention_distance(neighbor, (16, 32)).item() == pytest.approx(16)


# --- Grad-CAM ---


def small_resnet():
    return randomized(ResNet(depths=(1, 1), widths=(5, 7), num_classes=5))


def test_of_a_cnn_with_mean_and_linear_layer_it_is_cam():
    """Zhou et al. 2016: the head's weights times the last map; Grad-CAM has 1 / places besides."""
    model, images = small_resnet(), normal(3, 3, 37, 41)
    maps = model.forward_features(images)
    rows, columns = maps.shape[-2:]
    expected = torch.zeros(3, rows, columns, dtype=torch.float64)
    for image, label in enumerate(CLASSES):
        for channel in range(7):
            expected[image] += model.fc.weight[label, channel] * maps[image, channel]
    expected = upsample(expected.relu().detach() / (rows * columns), (37, 41))
    assert grad_cam_layer(model) == "layer2"
    torch.testing.assert_close(grad_cam(model, images, CLASSES), expected)


@pytest.mark.parametrize("make", [course_vit, course_cvt])
def test_of_a_transformer_it_is_the_answer_to_small_steps(make):
    model, images = make(), LARGE[:, :, :28, :28]
    if make is course_vit:
        images = images[:, :, :14, :14]
    layer, labels = grad_cam_layer(model), CLASSES[:2]
    norm = model.get_submodule(layer)
    with record(model, layer) as seen:
        model(images)
    tokens = seen[layer][:, 1:]  # a class token stands in front
    side = math.isqrt(tokens.shape[1])
    strength = torch.zeros(len(images), tokens.shape[2], dtype=torch.float64)
    for channel in range(tokens.shape[2]):
        scores = []
        for step in (1e-5, -1e-5):

            def nudge(_m, _i, out, channel=channel, step=step):
                out = out.clone()
                out[:, 1:, channel] += step
                return out

            handle = norm.register_forward_hook(nudge)
            scores.append(model(images)[range(2), labels])
            handle.remove()
        strength[:, channel] = (scores[0] - scores[1]).detach() / 2e-5 / tokens.shape[1]
    cam = (strength[:, None] * tokens).sum(-1).relu().unflatten(1, (side, side))
    assert cam.max() > 5e-5
    # A difference quotient has some nine digits.
    torch.testing.assert_close(
        grad_cam(model, images, labels), upsample(cam, images.shape[-2:]), atol=1e-8, rtol=1e-5
    )


@pytest.mark.parametrize("library", VITS)
def test_every_librarys_vit_gives_the_map_of_ours(library):
    theirs = VITS[library]()
    ours = load_weights(course_vit(norm_eps=EPS.get(library, 1e-6)), theirs)
    expected = grad_cam(ours, IMAGES, CLASSES)
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam(theirs, IMAGES, CLASSES), expected)


@pytest.mark.parametrize(
    ("theirs", "ours", "images"),
    [
        (huggingface_cvt, course_cvt, LARGE),
        (timm_resnet, lambda: ResNet(num_classes=5).double().eval(), normal(3, 3, 67, 71)),
        (torchvision_resnet, lambda: ResNet(num_classes=5).double().eval(), normal(3, 3, 67, 71)),
        (
            huggingface_resnet,
            lambda: ResNet(depths=(1, 2, 1), widths=(7, 11, 13), num_classes=5).double().eval(),
            normal(3, 3, 67, 71),
        ),
    ],
    ids=["transformers CvT", "timm ResNet", "torchvision ResNet", "transformers ResNet"],
)
def test_every_librarys_cnn_and_cvt_give_the_map_of_ours(theirs, ours, images):
    theirs = theirs()
    ours = load_weights(ours(), theirs)
    expected = grad_cam(ours, images, CLASSES[: len(images)])
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam(theirs, images, CLASSES[: len(images)]), expected)


def test_the_class_is_the_answer_unless_said():
    model = small_resnet()
    images = normal(3, 3, 37, 41)
    answer = model(images).argmax(-1)
    torch.testing.assert_close(grad_cam(model, images), grad_cam(model, images, answer))
    torch.testing.assert_close(gradient_map(model, images), gradient_map(model, images, answer))


def test_it_leaves_the_model_as_it_was_and_works_on_a_frozen_one():
    model, images = small_resnet(), normal(3, 3, 37, 41)
    expected = grad_cam(model, images, CLASSES)
    model.requires_grad_(False).train()
    model.layer2.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(model, images, CLASSES), expected)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert (model.training, model.layer1.training, model.layer2.training) == (True, True, False)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not images.requires_grad


def test_a_layer_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"fc gives \(3, 5\): take an earlier one"):
        grad_cam(small_resnet(), normal(3, 3, 37, 41), CLASSES, layer="fc")
    with pytest.raises(ValueError, match="is known for Sequential: give layer="):
        grad_cam(nn.Sequential(nn.Conv2d(3, 5, 1)), normal(3, 3, 7, 7), CLASSES)


def test_the_gradient_map_is_the_answer_to_small_steps():
    model, images = course_vit(), IMAGES[:1]
    got = gradient_map(model, images, CLASSES[:1])
    for y, x in ((0, 0), (3, 11), (13, 7)):
        slopes = []
        for channel in range(3):
            step = torch.zeros_like(images)
            step[0, channel, y, x] = 1e-5
            up, down = (model(images + sign * step)[0, CLASSES[0]] for sign in (1, -1))
            slopes.append(abs((up - down).item()) / 2e-5)
        assert got[0, y, x].item() == pytest.approx(max(slopes), rel=1e-5, abs=1e-9)
