"""The tests of explanations, tested: loops, scipy, and models whose reasons are known."""

import numpy as np
import pytest
import torch
from test_explain_record import IMAGES, LARGE, course_cvt, course_vit, normal
from torch import nn

from course_utils.data import shapes
from course_utils.explain import (
    METHODS,
    area_under,
    blurred,
    center_maps,
    mean_interval,
    measure_faithfulness,
    perturbation_curve,
    pointing_game,
    random_maps,
    saliency_maps,
)


class Linear(nn.Module):
    """Two logits that are weighted sums of the pixels."""

    def __init__(self, height, width):
        super().__init__()
        self.weight = nn.Parameter(normal(2, 3, height, width, seed=7) / 5)

    def forward(self, images):
        return torch.einsum("bchw,ochw->bo", images, self.weight)


class SeesRed(nn.Module):
    """Class 1 is red, class 0 is not: the map of the only layer is its reason."""

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Conv2d(3, 1, 1, bias=False)
        self.layer1.weight.data = torch.tensor([1.0, -1, -1]).reshape(1, 3, 1, 1)

    def forward(self, images):
        red = self.layer1(images).relu().mean(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(red), 40 * red - 1], dim=1)


# --- Deletion and insertion ---


@pytest.mark.parametrize("mode", ["deletion", "insertion"])
def test_the_curve_is_the_loop_over_pixels(mode):
    model, images, maps = Linear(5, 7), normal(3, 3, 5, 7), normal(3, 5, 7, seed=2)
    target, fill = torch.tensor([1, 0, 1]), normal(3, 1, 1, seed=3)
    got = perturbation_curve(model, images, maps, target, mode=mode, steps=4, fill=fill)
    assert got.shape == (3, 5)
    for i in range(3):
        order = sorted(range(35), key=lambda k: -maps[i].flatten()[k].item())
        for step, count in enumerate((0, 9, 18, 26, 35)):  # quarters of 35, rounded
            first = {(k // 7, k % 7) for k in order[:count]}
            image = images[i].clone()
            for y in range(5):
                for x in range(7):
                    if ((y, x) in first) == (mode == "deletion"):
                        image[:, y, x] = fill[:, 0, 0]
            scores = [(image * model.weight[c]).sum().item() for c in (0, 1)]
            expected = np.exp(scores[target[i]]) / np.exp(scores).sum()
            assert got[i, step].item() == pytest.approx(expected), (i, step)


def test_pixels_become_the_mean_color_unless_said():
    model, images, maps = Linear(5, 7), normal(2, 3, 5, 7), normal(2, 5, 7)
    curve = perturbation_curve(model, images, maps, torch.tensor([0, 1]), mode="deletion", steps=1)
    torch.testing.assert_close(curve[:, 1], torch.full((2,), 0.5, dtype=torch.float64))


def test_of_equal_pixels_none_is_favored():
    """Half of a flat map is deleted: if the order were that of the pixels, the upper half."""

    class Share(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, images):
            self.seen.append(images[0, 0, :10].mean().item())
            return images.mean(dim=(2, 3))

    model = Share()
    flat, images = torch.zeros(1, 20, 20), torch.ones(1, 2, 20, 20)
    perturbation_curve(model, images, flat, torch.tensor([0]), mode="deletion", steps=2)
    assert model.seen[0] == 1
    assert model.seen[1] == pytest.approx(0.5, abs=0.15)
    first = list(model.seen)
    model.seen.clear()
    perturbation_curve(model, images, flat, torch.tensor([0]), mode="deletion", steps=2)
    assert model.seen == first


def test_the_area_is_the_sum_of_trapezoids():
    curve = normal(5, 8)
    expected = sum((curve[:, k] + curve[:, k + 1]) / 2 / 7 for k in range(7))
    torch.testing.assert_close(area_under(curve), expected)
    assert area_under(torch.ones(1, 17)).item() == pytest.approx(1)


def test_blurring_is_scipys():
    from scipy.ndimage import gaussian_filter1d

    images = normal(2, 3, 23, 29)
    expected = images.numpy()
    for axis in (2, 3):
        expected = gaussian_filter1d(expected, 2, axis=axis, mode="mirror", truncate=3)
    torch.testing.assert_close(blurred(images, 2.0), torch.from_numpy(expected))
    assert blurred(normal(1, 3, 7, 5), 4.0).shape == (1, 3, 7, 5)  # a border of less than 3 sigma


def test_what_does_not_exist_is_refused(without_shape_types):
    model, images, maps = Linear(5, 7), normal(2, 3, 5, 7), normal(2, 5, 7)
    target = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="one of deletion, insertion and steps at least 1; got 'e"):
        perturbation_curve(model, images, maps, target, mode="erase")
    with pytest.raises(ValueError, match="got 'deletion' and 0"):
        perturbation_curve(model, images, maps, target, mode="deletion", steps=0)


def test_maps_of_another_size_are_refused(without_shape_types):
    images = normal(2, 3, 5, 7)
    with pytest.raises(ValueError, match=r"maps \(2, 7, 5\): see upsample"):
        perturbation_curve(
            Linear(5, 7), images, normal(2, 7, 5), torch.tensor([0, 1]), mode="deletion"
        )
    with pytest.raises(ValueError, match=r"got \(2, 7, 5\) and \(2, 5, 7\)"):
        pointing_game(normal(2, 7, 5), normal(2, 5, 7) > 0)


# --- The pointing game ---


@pytest.mark.parametrize("tolerance", [0, 1, 3])
def test_a_hit_is_a_highest_place_near_the_mask(tolerance):
    maps, masks = normal(41, 11, 7, seed=1), normal(41, 11, 7, seed=2) > 1.7
    masks[:, 5, 3] = True
    got = pointing_game(maps, masks, tolerance=tolerance)
    for i in range(41):
        y, x = divmod(maps[i].argmax().item(), 7)
        on = [((y - v) ** 2 + (x - u) ** 2) ** 0.5 for v, u in masks[i].nonzero().tolist()]
        assert got[i].item() == (min(on) <= tolerance)
    assert 0 < got.mean() < 1


def test_of_several_highest_places_their_share_counts():
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    mask[0, 1:3, 1:3] = True
    assert pointing_game(torch.zeros(1, 4, 5), mask).item() == pytest.approx(4 / 20)
    two = torch.zeros(1, 4, 5)
    two[0, 0, 0] = two[0, 1, 1] = 1
    assert pointing_game(two, mask).item() == 0.5
    with pytest.raises(ValueError, match="empty mask: leave out"):
        pointing_game(two, torch.zeros_like(mask))


def test_the_middle_is_the_middle_and_chance_is_seeded():
    maps = center_maps(normal(2, 3, 5, 9))
    assert [divmod(m.argmax().item(), 9) for m in maps] == [(2, 4), (2, 4)]
    images = normal(400, 3, 16, 24)
    maps = random_maps(images, cells=8, seed=3)
    torch.testing.assert_close(maps, random_maps(images, cells=8, seed=3), rtol=0, atol=0)
    assert (maps - random_maps(images, cells=8, seed=4)).abs().max() > 0.1
    halves = maps[:, :8].mean(), maps[:, 8:].mean()
    assert halves[0].item() == pytest.approx(0.5, abs=0.02)
    assert halves[1].item() == pytest.approx(0.5, abs=0.02)


def test_the_interval_is_scipys():
    from scipy.stats import norm

    values = normal(97).square()
    mean, low, high = mean_interval(values)
    sample = values.numpy()
    expected = norm.interval(0.95, sample.mean(), sample.std(ddof=1) / 97**0.5)
    assert (mean, low, high) == pytest.approx((sample.mean(), *expected))
    with pytest.raises(ValueError, match="at least 2 items; got 1"):
        mean_interval(values[:1])


# --- All of it ---


def red_squares(items=48):
    """Noise without red, and a red square somewhere; its mask."""
    images = normal(items, 3, 32, 32).float().abs() * torch.tensor([0, 0.3, 0.3]).reshape(3, 1, 1)
    masks = torch.zeros(items, 32, 32, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for i, (y, x) in enumerate(torch.randint(0, 26, (items, 2), generator=generator).tolist()):
        masks[i, y : y + 6, x : x + 6] = True
    images[:, 0][masks] = 1.0
    images[:, 1:].transpose(0, 1)[:, masks] = 0.0
    return images, masks


def test_a_model_whose_reason_is_known_is_explained():
    images, masks = red_squares()
    target, model = torch.ones(48, dtype=torch.long), SeesRed()
    marks = {
        method: measure_faithfulness(model, images, target, masks, method, batch_size=31)
        for method in ("grad_cam", "gradient", "random", "center")
    }
    for method in ("grad_cam", "gradient"):
        assert marks[method].pointing.eq(1).all()
        deletion = marks["random"].deletion - marks[method].deletion
        insertion = marks[method].insertion - marks["random"].insertion
        assert mean_interval(deletion)[1] > 0.1
        assert mean_interval(insertion)[1] > 0.1
    assert marks["random"].pointing.mean() < 0.2
    assert marks["center"].pointing.mean() < 0.4


@pytest.mark.parametrize("method", ["grad_cam", "random"])
def test_batches_change_nothing(method):
    images, masks = red_squares(8)
    target = torch.ones(8, dtype=torch.long)
    whole, parts = (
        measure_faithfulness(SeesRed(), images, target, masks, method, batch_size=size)
        for size in (8, 3)
    )
    torch.testing.assert_close(whole.insertion, parts.insertion)
    torch.testing.assert_close(whole.pointing, parts.pointing)


def test_methods_on_the_courses_transformers():
    target = torch.tensor([1, 2, 3])
    vit, cvt = course_vit(), course_cvt()
    for method in METHODS:
        maps = saliency_maps(vit, IMAGES, target, method)
        assert maps.shape == (3, 14, 14)
        assert maps.isfinite().all()
        if method != "rollout":
            assert saliency_maps(cvt, LARGE, target[:2], method).shape == (2, 29, 29)
    with pytest.raises(ValueError, match="in CvT keys are strided"):
        saliency_maps(cvt, LARGE, target[:2], "rollout")
    with pytest.raises(ValueError, match="SeesRed has no attention to look at: take grad_cam"):
        saliency_maps(SeesRed(), IMAGES.float(), target, "attention")
    with pytest.raises(ValueError, match=r"one of attention, rollout, .*; got 'lime'"):
        saliency_maps(vit, IMAGES, target, "lime")


def test_exact_masks_of_shapes_are_what_the_game_needs():
    drawn = shapes("test", items=5, size=32)
    masks = drawn.visible[:, 0]
    assert pointing_game(masks.float(), masks).eq(1).all()
    assert pointing_game(1 - masks.float(), masks).eq(0).all()
