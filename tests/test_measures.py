"""Measures against scipy, scikit-learn, the textbook formula and loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.measures import (
    binomial_interval,
    expected_calibration_error,
    linear_cka,
    reliability,
    shift_images,
    shuffle_patches,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- Accuracy ---


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_scipys(case):
    from scipy.stats import binomtest

    expected = binomtest(*case).proportion_ci(0.95, method="wilson")
    assert binomial_interval(*case) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("case", [(-1, 3), (4, 3), (0, 0)])
def test_a_share_that_is_none_is_refused(case):
    with pytest.raises(ValueError, match=rf"must hold; got {case[0]} of {case[1]}"):
        binomial_interval(*case)


# --- Calibration ---


def answers(items=997, classes=5, seed=0):
    return 2 * normal(items, classes, seed=seed), torch.randint(
        classes, (items,), generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_bins_are_scikit_learns(bins):
    from sklearn.calibration import calibration_curve

    logits, labels = answers()
    probability, answer = logits.softmax(1).max(1)
    accuracy, confidence = calibration_curve(answer == labels, probability, n_bins=bins)
    ours = reliability(logits, labels, bins)
    filled = ours.share > 0
    assert ours.share.shape == (bins,)
    torch.testing.assert_close(ours.accuracy[filled], torch.tensor(accuracy))
    torch.testing.assert_close(ours.confidence[filled], torch.tensor(confidence))
    assert (ours.accuracy[~filled] == 0).all()


def test_the_error_is_the_loop_over_bins():
    logits, labels = answers()
    probability, answer = logits.softmax(1).max(1)
    error = 0.0
    for low in range(15):
        inside = (probability > low / 15) & (probability <= (low + 1) / 15)
        if inside.any():
            right = (answer == labels)[inside].double().mean()
            error += abs(right - probability[inside].mean()) * inside.sum() / len(labels)
    assert expected_calibration_error(logits, labels) == pytest.approx(error.item())


def test_who_is_as_sure_as_right_has_no_error_and_who_is_always_sure_has_it_all():
    labels = torch.tensor([0] * 3 + [1])
    sure_of_three_quarters = torch.tensor([0.75, 0.25]).log().repeat(4, 1)
    assert expected_calibration_error(sure_of_three_quarters, labels) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(torch.tensor([[50.0, 0]] * 4), labels) == pytest.approx(0.25)


def test_nothing_to_calibrate_is_refused():
    with pytest.raises(ValueError, match="an item and a bin; got 0 and 15"):
        reliability(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    with pytest.raises(ValueError, match="got 2 and 0"):
        reliability(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), bins=0)


# --- Similarity ---


def cka_by_kernels(x, y):
    """The definition: HSIC of the two kernels, by their own (Kornblith et al. 2019, equation 3)."""
    n = len(x)
    center = torch.eye(n, dtype=torch.float64) - 1 / n

    def hsic(k, l):
        return torch.trace(k @ center @ l @ center) / (n - 1) ** 2

    k, l = x @ x.T, y @ y.T
    return (hsic(k, l) / (hsic(k, k) * hsic(l, l)).sqrt()).item()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 31), st.integers(1, 13), st.integers(1, 17))
def test_cka_is_the_formula_with_kernels(seed, items, features, others):
    x = normal(items, features, seed=seed) + 3
    y = normal(items, others, seed=seed + 1) + x[:, :1]
    assert linear_cka(x, y) == pytest.approx(cka_by_kernels(x, y), rel=1e-9)


def test_cka_does_not_see_rotations_shifts_and_scales_but_other_matrices():
    x, y = normal(31, 7), normal(31, 5, seed=1)
    rotation = torch.linalg.qr(normal(7, 7, seed=2)).Q
    value = linear_cka(x, y)
    assert 0.01 < value < 0.9
    assert linear_cka(3 * x @ rotation + 2, y) == pytest.approx(value)
    assert linear_cka(y, x) == pytest.approx(value)
    assert linear_cka(x, x @ rotation) == pytest.approx(1)
    assert linear_cka(x @ normal(7, 7, seed=3), y) != pytest.approx(value, rel=1e-3)


def test_cka_refuses_what_it_cannot_compare(without_shape_types):
    with pytest.raises(ValueError, match="the same items, row by row; got 3 and 5 rows"):
        linear_cka(normal(3, 2), normal(5, 2))
    with pytest.raises(ValueError, match="the same for every item"):
        linear_cka(torch.ones(3, 2), normal(3, 2).float())


# --- Changed images ---


def images(batch=2, height=6, width=10):
    return torch.arange(1.0, batch * 3 * height * width + 1).reshape(batch, 3, height, width)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("move", [(0, 0), (2, 0), (0, -3), (-1, 4), (6, 0), (0, -10)])
def test_a_shift_is_pixel_by_pixel(move, wrap):
    before = images()
    expected = torch.zeros_like(before)
    for y in range(6):
        for x in range(10):
            to_y, to_x = y + move[0], x + move[1]
            if wrap:
                to_y, to_x = to_y % 6, to_x % 10
            if 0 <= to_y < 6 and 0 <= to_x < 10:
                expected[..., to_y, to_x] = before[..., y, x]
    assert torch.equal(shift_images(before, *move, wrap=wrap), expected)


def test_a_shift_beyond_the_image_is_refused():
    with pytest.raises(ValueError, match="7 down and 0 right leaves nothing of 6 x 10"):
        shift_images(images(), 7, 0)


def tiles_of(image, tiles):
    rows, columns = image.shape[1] // tiles, image.shape[2] // tiles
    return [
        image[:, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        for i in range(tiles)
        for j in range(tiles)
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2]), st.integers(1, 3), st.integers(1, 3))
def test_shuffled_patches_are_the_same_patches(seed, tiles, high, wide):
    before = images(3, tiles * high, tiles * wide)
    after = shuffle_patches(before, tiles, seed)
    for one, other in zip(before, after, strict=True):
        left = tiles_of(one, tiles)
        for tile in tiles_of(other, tiles):
            (place,) = (i for i, candidate in enumerate(left) if torch.equal(candidate, tile))
            del left[place]
        assert not left


def test_every_order_of_patches_occurs_and_a_seed_decides_which():
    before = torch.arange(4.0).reshape(1, 1, 2, 2).repeat(2400, 1, 1, 1)
    after = shuffle_patches(before, 2, seed=1)
    orders, counts = after.flatten(1).unique(dim=0, return_counts=True)
    assert len(orders) == 24
    assert counts.min() > 60  # 100 expected
    assert torch.equal(shuffle_patches(before, 2, seed=1), after)
    assert not torch.equal(shuffle_patches(before, 2, seed=2), after)


def test_parts_that_are_not_equal_are_refused():
    with pytest.raises(ValueError, match=r"6 x 10 cannot be cut into 4 x 4 .* divides 2"):
        shuffle_patches(images(), 4)
