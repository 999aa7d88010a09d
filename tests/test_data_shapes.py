"""Drawn shapes: exact masks and boxes, and controls that control what they say and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.data import (
    COLORS,
    SHAPES,
    SPLITS,
    TEXTURES,
    Between,
    Each,
    ShapeStyle,
    shapes,
)

BUSY = ShapeStyle(objects=Between(1, 4), overlap=0.6, clutter=Between(0, 9), rotation=None)
PLAIN = ShapeStyle(texture="plain", background="plain", rotation=0, position=(0.5, 0.5), scale=0.8)


def one(name, size=201, **controls):
    style = {**vars(PLAIN), "color": "red", "background_color": "white", **controls}
    return shapes(items=1, size=size, classes=(name,), style=ShapeStyle(**style))


# The share of the enclosing circle's box, by school geometry in units of its radius: area / 4.
def segment(radius, distance):
    """Area of a disc beyond a straight line at `distance` from its middle."""
    angle = np.arccos(distance / radius)
    return radius**2 * angle - distance * np.sqrt(radius**2 - distance**2)


AREAS = {
    "circle": np.pi * 0.85**2,
    "square": 1.4**2,
    "triangle": 3 * np.sqrt(3) / 4,
    "star": 5 * 0.45 * np.sin(np.pi / 5),
    "cross": 2 * 1.9 * 0.56 - 0.56**2,
    "ring": np.pi * (0.93**2 - 0.47**2),
    # Minus the lens that the two discs share: two segments at their common chord.
    "crescent": np.pi * 0.97**2
    - segment(0.97, (0.48**2 + 0.97**2 - 0.75**2) / 0.96)
    - segment(0.75, (0.48**2 + 0.75**2 - 0.97**2) / 0.96),
    # A square of side sqrt(1/2), and two half discs on its upper sides.
    "heart": (0.5 + np.pi / 8) / 0.65**2,
    "arrow": 0.88 * 0.8 + 0.48 * 1.04,
    "hourglass": 2 * 0.75 * (0.16 + 0.72 * 0.75),
    "bar": 4 * 0.68 * 0.3 + np.pi * 0.3**2,
    "half": np.pi * 0.9**2 / 2,
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("turn", [0, 37])
def test_the_mask_has_the_area_of_the_figure(name, turn):
    scene = one(name, size=401, rotation=turn)
    area = scene.masks.sum().item() / (401 * 0.4) ** 2
    assert area == pytest.approx(AREAS[name], rel=0.01)


@pytest.mark.parametrize("name", SHAPES)
def test_the_circle_of_the_scale_holds_the_shape_and_hardly_more(name):
    scene = one(name)
    rows, columns = np.nonzero(scene.masks[0, 0].numpy())
    farthest = np.hypot((rows + 0.5) / 201 - 0.5, (columns + 0.5) / 201 - 0.5).max()
    assert 0.8 * 0.4 < farthest <= 0.4


def test_arrow_and_half_point_up_and_turn_counterclockwise():
    for name in ("arrow", "half", "triangle", "star"):
        upright, turned = (one(name, rotation=turn).masks[0, 0] for turn in (0, 90))
        assert torch.equal(torch.rot90(upright), turned)
    rows = one("triangle").masks[0, 0].sum(1)
    assert rows[140] > rows[70]  # broad below


def box_by_loop(mask):
    inside = [(x, y) for y, row in enumerate(mask.tolist()) for x, on in enumerate(row) if on]
    if not inside:
        return [0, 0, 0, 0]
    xs, ys = zip(*inside, strict=True)
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


def test_a_box_is_the_extent_of_its_mask_and_visible_is_what_nothing_covers():
    scene = shapes(items=37, size=31, style=BUSY)
    absent = covered = 0
    for masks, visible, boxes, labels in zip(
        scene.masks, scene.visible, scene.boxes, scene.object_labels, strict=True
    ):
        for k, label in enumerate(labels.tolist()):
            assert boxes[k].tolist() == box_by_loop(masks[k])
            assert masks[k].any() == (label >= 0)
            above = torch.stack([masks[j] for j in range(k + 1, 4)]).any(0) if k < 3 else False
            assert torch.equal(visible[k], masks[k] & ~torch.as_tensor(above))
            absent += label < 0
            covered += bool((visible[k] != masks[k]).any())
    assert absent > 9
    assert covered > 3


def test_an_object_beyond_the_edge_has_an_empty_mask_and_box():
    scene = one("square", position=(2, 0.5))
    assert not scene.masks.any()
    assert scene.boxes.tolist() == [[[0, 0, 0, 0]]]
    half = one("square", position=(0, 0.5), scale=0.5)
    assert half.boxes[0, 0, 0] == 0
    assert half.boxes[0, 0, 2] == 0.7 * 0.25 * 201 // 1  # as far as the right side goes


def test_inside_the_mask_is_the_color_and_outside_the_background():
    scene = one("heart")
    mask, image = scene.masks[0, 0], scene.images[0]
    edge = torch.nn.functional.max_pool2d(mask[None].float(), 3, 1, 1)[0] > 0
    core = -torch.nn.functional.max_pool2d(-mask[None].float(), 3, 1, 1)[0] > 0
    red, white = (torch.tensor(COLORS[name]).mul(255).round() for name in ("red", "white"))
    assert (image[:, core] == red[:, None]).all()
    assert (image[:, ~edge] == white[:, None]).all()
    assert torch.equal(scene.colors[0, 0], torch.tensor(COLORS["red"]))


@given(
    items=st.integers(1, 9),
    more=st.integers(1, 9),
    seed=st.integers(0, 2**31),
    split=st.sampled_from(SPLITS),
)
@settings(max_examples=15, deadline=None, database=None, derandomize=True)
def test_an_image_depends_on_split_seed_and_its_place_only(items, more, seed, split):
    few, many = (
        shapes(split, items=n, size=17, seed=seed, style=BUSY) for n in (items, items + more)
    )
    objects = few.masks.shape[1]
    assert torch.equal(few.images, many.images[:items])
    assert torch.equal(few.masks, many.masks[:items, :objects])
    assert torch.equal(few.object_labels, many.object_labels[:items, :objects])


def test_splits_and_seeds_are_different_pictures():
    streams = [(split, seed) for split in SPLITS for seed in (0, 1)]
    drawn = [shapes(split, items=50, size=16, seed=seed).images for split, seed in streams]
    everything = torch.cat(drawn).flatten(1)
    assert len(torch.unique(everything, dim=0)) == len(everything)


def test_the_same_scene_at_twice_the_size_is_the_same_picture():
    small, large = (shapes(items=60, size=size, style=BUSY) for size in (32, 64))
    assert torch.equal(small.centers, large.centers)
    pooled = torch.nn.functional.avg_pool2d(large.images.float(), 2)
    assert (pooled - small.images).abs().mean() < 2  # of 255
    there = small.object_labels >= 0
    share = torch.nn.functional.avg_pool2d(large.masks.float(), 2)[there]
    # Only pixels on an outline may differ; a thin point may pass between four middles.
    assert (small.masks[there][share == 1]).all()
    assert small.masks[there][share == 0].sum() < 0.005 * small.masks.sum()
    assert ((share > 0) & (share < 1)).float().mean() < 0.1


def test_a_control_changes_what_it_says_and_nothing_else():
    base = {"texture": "plain", "color": "red", "background": "plain", "clutter": 0}
    before = shapes(items=20, style=ShapeStyle(**base))
    for change in ({"texture": "dots"}, {"color": "blue"}, {"background": "noise"}, {"clutter": 5}):
        after = shapes(items=20, style=ShapeStyle(**{**base, **change}))
        assert torch.equal(before.masks, after.masks), change
        assert torch.equal(before.object_labels, after.object_labels)
        differs = (before.images != after.images).any(1)
        inside = before.masks[:, 0]
        assert differs.flatten(1).any(1).all()
        core = -torch.nn.functional.max_pool2d(-inside.float(), 3, 1, 1) > 0
        if "background" in change or "clutter" in change:
            assert not differs[core].any()
        else:
            # The horns of a crescent are so sharp that the soft edge goes on beyond two pixels.
            wide = torch.nn.functional.max_pool2d(inside.float(), 5, 1, 2) > 0
            assert differs[~wide].sum() < 0.01 * inside.sum()


def test_texture_by_class_and_image_by_image():
    tied = dict(zip(SHAPES, [*TEXTURES, "plain", "dots"], strict=True))
    scene = shapes(items=48, size=16, style=ShapeStyle(texture=tied))
    for label, texture in zip(scene.labels.tolist(), scene.textures[:, 0].tolist(), strict=True):
        assert TEXTURES[texture] == tied[SHAPES[label]]
    pairs = [(SHAPES[i % 12], TEXTURES[(3 * i) % 10]) for i in range(48)]
    style = ShapeStyle(shape=Each([s for s, _ in pairs]), texture=Each([t for _, t in pairs]))
    conflict = shapes(items=48, size=16, style=style)
    found = zip(conflict.labels.tolist(), conflict.textures[:, 0].tolist(), strict=True)
    assert [(SHAPES[label], TEXTURES[texture]) for label, texture in found] == pairs


def test_every_kind_of_control_gives_what_it_says():
    style = ShapeStyle(
        position=Between((0.25, 0.5), (0.75, 0.5)), scale=[0.3, 0.4], color=["red", (0, 0, 1)]
    )
    scene = shapes(items=200, size=16, style=style)
    x, y = scene.centers[:, 0].T
    assert (y == 0.5).all()
    assert x.min() > 0.25
    assert x.max() < 0.75
    assert x.min() < 0.3
    assert x.max() > 0.7
    assert {round(v, 2) for v in scene.scales.flatten().tolist()} == {0.3, 0.4}
    assert len({tuple(color) for color in scene.colors[:, 0].tolist()}) == 2
    counts = (shapes(items=200, size=16, style=BUSY).object_labels >= 0).sum(1).bincount()
    assert counts[0] == 0
    assert (counts[1:] > 30).all()
    each = ShapeStyle(objects=2, shape=Each([["star", "ring"]] * 3))
    labels = shapes(items=3, style=each).object_labels
    assert labels.tolist() == [[SHAPES.index("star"), SHAPES.index("ring")]] * 3


def test_classes_are_balanced_and_labels_are_their_places():
    scene = shapes(items=35, size=16, classes=("ring", "star", "bar"))
    assert sorted(scene.labels.bincount().tolist()) == [11, 12, 12]
    assert scene.classes == ("ring", "star", "bar")
    ring, bar = (scene.masks[scene.labels == k].sum((1, 2, 3)).float().mean() for k in (0, 2))
    assert ring > bar


def test_objects_apart_never_touch_and_lie_within_the_image():
    scene = shapes(items=150, size=48, style=ShapeStyle(objects=4))
    assert (scene.masks.sum(1) <= 1).all()
    radius = scene.scales / 2
    assert (scene.centers >= radius[..., None] - 1e-6).all()
    assert (scene.centers <= 1 - radius[..., None] + 1e-6).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"split": "dev"}, "train, validation, test; got 'dev'"),
        ({"classes": ("dog",)}, "no shape 'dog'; there are: circle, square"),
        ({"classes": ("star", "star")}, "different shapes"),
        ({"size": 7}, r"size >= 8 .* size=7"),
        ({"texture": "wool"}, "texture must be of plain, stripes, .*; got 'wool'"),
        (
            {"texture": {"star": "dots"}},
            "texture by class must name every class .* is missing in star",
        ),
        ({"texture": []}, "at least one value to choose from"),
        ({"color": "scarlet"}, "color must be of red, .*; got 'scarlet'"),
        ({"color": (255, 0, 0)}, r"each 0 \.\.\. 1; got \(255, 0, 0\)"),
        ({"background": "sea"}, "background must be of plain, gradient, stripes, noise; got 'sea'"),
        ({"position": 0.5}, r"position must be \(x, y\).*got 0\.5: write a list"),
        ({"scale": 3}, r"scale must be a number from 0\.05 to 2; got 3"),
        ({"objects": 9}, "objects must be a whole number from 1 to 8; got 9"),
        ({"clutter": 1.5}, r"clutter must be a whole number from 0 to 16; got 1\.5"),
        (
            {"shape": Each(["star"])},
            r"shape=Each\(\.\.\.\) has 1 values.*for image 1: give as many",
        ),
        ({"objects": 4, "scale": 0.8}, "4 objects of this scale found no place .* smaller scale"),
    ],
)
def test_mistakes_are_explained(arguments, text, without_shape_types):
    style = {k: v for k, v in arguments.items() if k in vars(ShapeStyle())}
    rest = {k: v for k, v in arguments.items() if k not in style}
    with pytest.raises(ValueError, match=text):
        shapes(items=2, style=ShapeStyle(**style), **rest)


def test_labels_are_for_one_object():
    with pytest.raises(ValueError, match="these have up to 2: use object_labels"):
        _ = shapes(items=2, size=16, style=ShapeStyle(objects=2)).labels
