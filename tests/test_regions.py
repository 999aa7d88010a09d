"""Regions: RoIAlign by hand, boxes by loops, torchvision and torchmetrics, a detector that learns."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_utils.data import shapes
from course_utils.data.controls import Between, ShapeStyle
from course_utils.regions import (
    Detections,
    Detector,
    Places,
    ProposalHead,
    RegionHead,
    assign_places,
    average_precision,
    detect,
    label_regions,
    patch_map,
    place_middles,
    proposal_loss,
    propose,
    roi_features,
    scene_images,
    select,
    train_detector,
    true_boxes,
)
from course_utils.vit import VisionTransformer


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def boxes_of(*rows):
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)


# --- Features of regions ---


def at_point(plane, y, x):
    """The value of a map at a point; the middle of place (i, j) is (i + 0.5, j + 0.5)."""
    rows, columns = plane.shape
    y, x = min(max(y - 0.5, 0), rows - 1), min(max(x - 0.5, 0), columns - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    down, over = y - top, x - left
    upper = plane[top, left] * (1 - over) + plane[top, right] * over
    lower = plane[bottom, left] * (1 - over) + plane[bottom, right] * over
    return upper * (1 - down) + lower * down


def roi_by_loop(maps, boxes, size, scale, samples):
    cells = []
    for plane_set, part in zip(maps, boxes, strict=True):
        for x1, y1, x2, y2 in (part * scale).tolist():
            region = torch.zeros(maps.shape[1], *size, dtype=maps.dtype)
            height, width = (y2 - y1) / size[0], (x2 - x1) / size[1]
            for channel, i, j in itertools.product(*map(range, region.shape)):
                points = [
                    at_point(
                        plane_set[channel],
                        y1 + (i + (a + 0.5) / samples) * height,
                        x1 + (j + (b + 0.5) / samples) * width,
                    )
                    for a, b in itertools.product(range(samples), repeat=2)
                ]
                region[channel, i, j] = sum(points) / len(points)
            cells.append(region)
    return torch.stack(cells)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_roi_features_are_the_mean_of_interpolated_points(samples):
    maps = normal(2, 3, 7, 11).requires_grad_()
    boxes = [boxes_of([3, 5, 31, 22], [0, 0, 44, 28]), boxes_of([12.5, 3.25, 20, 27.5])]
    got = roi_features(maps, boxes, (5, 2), image_size=(28, 44), samples=samples)
    expected = roi_by_loop(maps, boxes, (5, 2), 1 / 4, samples)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(out.pow(3).sum(), maps)[0] for out in (got, expected))
    )


@settings(max_examples=30, deadline=None)
@given(st.floats(10, 30), st.floats(10, 30), st.floats(1, 10), st.floats(1, 10))
def test_on_a_ramp_each_cell_gives_its_own_middle(x, y, width, height):
    """A map whose value is its place in the image: half a pixel of misalignment would show."""
    middles = (torch.arange(11, dtype=torch.float64) + 0.5) * 4
    ramps = torch.stack([middles.expand(11, 11), middles[:, None].expand(11, 11)])[None]
    box = boxes_of([x, y, x + width, y + height])
    got = roi_features(ramps, [box], 3, image_size=(44, 44))[0]
    thirds = (torch.arange(3, dtype=torch.float64) + 0.5) / 3
    torch.testing.assert_close(got[0], (x + thirds * width).expand(3, 3))
    torch.testing.assert_close(got[1], (y + thirds * height)[:, None].expand(3, 3))


def test_a_box_around_one_patch_gives_that_patchs_token():
    model = VisionTransformer(image_size=(28, 42), patch_size=7, dim=9, depth=1, heads=3)
    model = model.double().eval()
    images = normal(2, 3, 28, 42)
    tokens = model.forward_features(images)
    maps = patch_map(tokens, (4, 6))
    box = boxes_of([14, 7, 21, 14])  # the third patch of the second row
    got = roi_features(maps, [box, box], 1, image_size=(28, 42), samples=1)
    torch.testing.assert_close(got[:, :, 0, 0], tokens[:, 1 + 6 + 2])
    torch.testing.assert_close(maps[1, :, 3, 5], tokens[1, -1])


def test_images_without_boxes_are_left_out():
    maps = normal(3, 2, 4, 4)
    box, none = boxes_of([0, 0, 8, 8]), boxes_of()
    got = roi_features(maps, [none, box, none], 2, image_size=(16, 16))
    torch.testing.assert_close(got, roi_features(maps[1:2], [box], 2, image_size=(16, 16)))


def test_maps_and_boxes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="got 2 maps and 1 tensors of boxes"):
        roi_features(normal(2, 3, 4, 4), [boxes_of()], 2, image_size=(16, 16))
    with pytest.raises(ValueError, match="4 x 5 places for 16 x 18 pixels: resize or pad"):
        roi_features(normal(1, 3, 4, 5), [boxes_of()], 2, image_size=(16, 18))
    with pytest.raises(ValueError, match="4 x 4 needs 16 tokens; got 10"):
        patch_map(normal(1, 10, 3), (4, 4))


# --- Proposals ---


def test_a_place_reaches_to_four_edges():
    head = ProposalHead(channels=3, stride=4).double()
    maps = normal(2, 3, 5, 7)
    places = head(maps)
    out = head.out(F.relu(head.conv(maps)))
    for image, row, column in itertools.product(range(2), range(5), range(7)):
        logit, left, up, right, down = out[image, :, row, column].tolist()
        x, y, place = 4 * column + 2, 4 * row + 2, 7 * row + column
        reach = (4 * torch.tensor([left, up, right, down], dtype=torch.float64).exp()).tolist()
        expected = [x - reach[0], y - reach[1], x + reach[2], y + reach[3]]
        assert places.boxes[image, place].tolist() == pytest.approx(expected)
        assert places.logits[image, place].item() == pytest.approx(logit)


def test_a_place_belongs_to_the_smallest_box_in_whose_middle_it_is():
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(7, 2, generator=generator) * 30
    boxes = torch.cat([corner, corner + 3 + 20 * torch.rand(7, 2, generator=generator)], dim=1)
    middles = place_middles((11, 13), 4)
    got = assign_places(middles, boxes, 4).tolist()
    for place, found in enumerate(got):
        x, y = 4 * (place % 13) + 2, 4 * (place // 13) + 2
        best, area = -1, float("inf")
        for k, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            near_x = abs(x - (x1 + x2) / 2) <= max((x2 - x1) / 4, 3)
            near_y = abs(y - (y1 + y2) / 2) <= max((y2 - y1) / 4, 3)
            if near_x and near_y and (x2 - x1) * (y2 - y1) < area:
                best, area = k, (x2 - x1) * (y2 - y1)
        assert found == best, place
    assert len(set(got)) > 5
    assert assign_places(middles, torch.zeros(0, 4), 4).eq(-1).all()


def giou(a, b):
    """Rezatofighi et al. 2019, algorithm 1."""
    inner = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    union = sum(areas) - inner
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inner / union - (hull - union) / hull


def test_the_loss_of_proposals_is_the_loop():
    middles = place_middles((4, 4), 4).double()
    logits, spread = normal(2, 16), normal(2, 16, 4, seed=1).exp()
    guesses = torch.cat([middles - spread[..., :2], middles + spread[..., 2:]], dim=-1)
    truth = [boxes_of([1, 2, 9, 8], [8, 8, 15, 16]), boxes_of([3, 3, 14, 15])]
    got = proposal_loss(Places(logits, guesses), truth, middles, 4)
    objects, edges, count = 0.0, 0.0, 0
    for image in range(2):
        which = assign_places(middles, truth[image], 4).tolist()
        for place, box in enumerate(which):
            chance = torch.sigmoid(logits[image, place])
            objects -= torch.log(chance if box >= 0 else 1 - chance).item()
            if box >= 0:
                edges += 1 - giou(guesses[image, place].tolist(), truth[image][box].tolist())
                count += 1
    assert count > 3
    assert got.item() == pytest.approx((objects + edges) / count, rel=1e-6)
    nothing = [boxes_of(), boxes_of()]
    alone = F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits), reduction="sum")
    torch.testing.assert_close(proposal_loss(Places(logits, guesses), nothing, middles, 4), alone)


def test_the_likeliest_of_overlapping_proposals_stays_cut_at_the_edge():
    boxes = boxes_of([0, 0, 10, 10], [1, 0, 10, 10], [20, 20, 40, 31], [0, 0, 10, 4])
    logits = torch.tensor([[1.0, 2.0, 0.5, 1.5]], dtype=torch.float64)
    ((kept, chance),) = propose(Places(logits, boxes[None]), (30, 32), overlap=0.6)
    torch.testing.assert_close(kept, boxes_of([1, 0, 10, 10], [0, 0, 10, 4], [20, 20, 32, 30]))
    torch.testing.assert_close(chance, torch.tensor([2, 1.5, 0.5], dtype=torch.float64).sigmoid())
    ((kept, _),) = propose(Places(logits, boxes[None]), (30, 32), overlap=0.6, keep=2)
    assert len(kept) == 2


# --- What is in a region ---


def test_the_region_head_is_one_linear_layer():
    head, regions = RegionHead(channels=3, cells=5, num_classes=4).double(), normal(7, 3, 5, 5)
    weight = head.linear.weight.unflatten(1, (3, 5, 5))
    expected = torch.einsum("rchw,lchw->rl", regions, weight) + head.linear.bias
    torch.testing.assert_close(head(regions), expected)


def test_a_region_has_the_class_of_the_box_it_fits():
    truth = Detections(
        boxes_of([0, 0, 10, 10], [20, 0, 30, 10]),
        torch.tensor([2, 1]),
        torch.ones(2, dtype=torch.float64),
    )
    boxes = boxes_of([0, 0, 10, 5], [0, 0, 10, 4.9], [21, 0, 31, 10], [12, 0, 18, 10])
    assert label_regions(boxes, truth, 4).tolist() == [2, 4, 1, 4]
    none = Detections(boxes_of(), torch.zeros(0, dtype=torch.long), torch.zeros(0).double())
    assert label_regions(boxes, none, 4).tolist() == [4] * 4


def test_each_class_suppresses_only_itself():
    """Against torchvision's plain `nms`, class by class."""
    from torchvision.ops import nms

    corner = normal(41, 2).abs() * 5
    boxes = torch.cat([corner, corner + 5 + normal(41, 2, seed=1).abs()], dim=1)
    scores = normal(41, 3, seed=2).softmax(dim=1)
    got = select(boxes, scores, smallest=0.2)
    expected = []
    for label in range(3):
        rows = (scores[:, label] >= 0.2).nonzero()[:, 0]
        kept = rows[nms(boxes[rows], scores[rows, label], 0.5)]
        expected += [(scores[row, label].item(), label, boxes[row].tolist()) for row in kept]
    found = zip(got.scores.tolist(), got.labels.tolist(), got.boxes.tolist(), strict=True)
    assert list(found) == sorted(expected, reverse=True)
    assert len(expected) < (scores >= 0.2).sum()


# --- Average precision ---


def found(rows):
    """(x, label, score): boxes 10 x 10 in a row."""
    return Detections(
        torch.tensor([[x, 0.0, x + 10, 10] for x, _, _ in rows]).reshape(-1, 4),
        torch.tensor([label for _, label, _ in rows], dtype=torch.long),
        torch.tensor([score for _, _, score in rows]),
    )


def test_average_precision_by_hand():
    truth = [found([(0.0, 0, 1.0), (20.0, 0, 1.0), (40.0, 1, 1.0)])]
    # Class 0: right, wrong, right. Recall 1/2 at precision 1; recall 1 at 2/3: 51 of COCO's 101
    # points are up to a half. Class 1: found, but as class 0 (the wrong one).
    guess = [found([(0.0, 0, 0.9), (40.0, 0, 0.8), (21.0, 0, 0.7)])]
    result = average_precision(guess, truth)
    first = (51 + 50 * 2 / 3) / 101
    assert result.by_class == pytest.approx({0: first, 1: 0.0})
    assert result.mean == pytest.approx(first / 2)


def test_an_overlap_below_a_half_is_a_miss():
    truth = [found([(0.0, 0, 1.0)])]
    assert average_precision([found([(3.3, 0, 0.9)])], truth).mean == pytest.approx(1)  # 67 / 133
    assert average_precision([found([(3.4, 0, 0.9)])], truth).mean == 0  # 66 / 134
    assert average_precision([found([])], truth).mean == 0
    with pytest.raises(ValueError, match="got 2 and 1"):
        average_precision([found([])] * 2, truth)


# --- The detector ---

SCENES = ShapeStyle(objects=Between(1, 3))


def test_the_truth_of_a_scene_is_what_can_be_seen():
    style = ShapeStyle(objects=Between(1, 4), position=(0.5, 0.5), scale=Between(0.2, 0.6))
    drawn = shapes("train", items=23, size=32, style=style)
    truth = true_boxes(drawn)
    hidden = 0
    for i, one in enumerate(truth):
        expected = []
        for k, label in enumerate(drawn.object_labels[i].tolist()):
            if label >= 0 and drawn.visible[i, k].any():
                y, x = drawn.masks[i, k].nonzero(as_tuple=True)
                box = [x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1]
                expected.append((label, box))
            hidden += label >= 0 and not drawn.visible[i, k].any()
        assert list(zip(one.labels.tolist(), one.boxes.tolist(), strict=True)) == expected
    assert hidden > 0
    torch.testing.assert_close(
        scene_images(drawn)[5, 1, 3, 7].item(), (drawn.images[5, 1, 3, 7].item() / 255 - 0.5) / 0.25
    )


class Oracle(nn.Module):
    """A backbone whose map is a copy of the image, a place for each 4 x 4 pixels."""

    def forward_features(self, images):
        return F.avg_pool2d(images, 4)


def test_the_detections_are_put_together_from_the_parts():
    torch.manual_seed(0)
    detector = Detector(num_classes=2, backbone=Oracle(), channels=3, cells=3).double().eval()
    images = normal(2, 3, 32, 32)
    maps = F.avg_pool2d(images, 4)
    for one, image in zip(detector(images), maps, strict=True):
        ((boxes, sure),) = propose(detector.proposals(image[None]), (32, 32))
        chance = detector.head(roi_features(image[None], [boxes], 3, image_size=(32, 32))).softmax(
            1
        )
        expected = select(boxes, sure[:, None] * chance[:, :2])
        torch.testing.assert_close(tuple(one), tuple(expected))


def test_the_loss_is_that_of_both_stages():
    torch.manual_seed(0)
    detector = Detector(num_classes=2, backbone=Oracle(), channels=3, cells=3).double().eval()
    images, maps = normal(1, 3, 32, 32), F.avg_pool2d(normal(1, 3, 32, 32), 4)
    truth = Detections(boxes_of([4, 4, 20, 24]), torch.tensor([1]), torch.ones(1).double())
    places = detector.proposals(maps)
    ((boxes, _),) = propose(places, (32, 32))
    boxes = torch.cat([boxes, truth.boxes])
    chances = detector.head(roi_features(maps, [boxes], 3, image_size=(32, 32))).softmax(1)
    labels = label_regions(boxes, truth, 2).tolist()
    second = -sum(chances[i, label].log() for i, label in enumerate(labels)) / len(labels)
    first = proposal_loss(places, [truth.boxes], place_middles((8, 8), 4).double(), 4)
    torch.testing.assert_close(detector.loss(images, [truth]), first + second)
    assert labels[-1] == 1


def test_a_wrong_stride_and_missing_truth_are_refused():
    detector = Detector(num_classes=2, backbone=Oracle(), channels=3, stride=8)
    with pytest.raises(ValueError, match=r"must become maps of \(4, 4\); got \(8, 8\)"):
        detector(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="got 1 images and 0"):
        detector.loss(torch.zeros(1, 3, 32, 32), [])
    with pytest.raises(ValueError, match="got 1 images and 0"):
        train_detector(detector, torch.zeros(1, 3, 32, 32), [])


def test_it_learns_a_few_scenes_and_the_same_twice():
    drawn = shapes("train", items=8, size=32, classes=("square", "star"), style=SCENES)
    images, truth = scene_images(drawn), true_boxes(drawn)
    runs = []
    for epochs in (1, 1, 30):
        torch.manual_seed(0)
        detector = Detector(num_classes=2, channels=24)
        torch.manual_seed(len(runs))  # the order is that of the training's own seed
        losses = train_detector(detector, images, truth, epochs=epochs, batch_size=4)
        runs.append((losses, average_precision(detect(detector, images), truth).mean))
    assert runs[0] == runs[1]
    assert runs[2][0][-1] < 0.5 * runs[2][0][0]
    assert runs[2][1] > 0.9 > runs[0][1]
    assert not detector.training
