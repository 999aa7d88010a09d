"""Augmentation against loops over images, counts of pixels, and images that paint their own targets."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.augmentation import (
    NO_AUGMENTATION,
    Augment,
    cutmix,
    mixup,
    random_crop,
    random_erase,
    random_flip,
)

BATCH, CHANNELS, HEIGHT, WIDTH, CLASSES = 29, 3, 7, 11, 5
SEEDS = st.integers(0, 2**31)


def images(batch=BATCH, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, HEIGHT, WIDTH, dtype=torch.float64, generator=generator)


def painted(batch=BATCH, height=HEIGHT, width=WIDTH):
    """One-hot targets, and images with one channel a class that show them in every pixel."""
    targets = F.one_hot(torch.arange(batch) % CLASSES, CLASSES).double()
    return targets[:, :, None, None].repeat(1, 1, height, width), targets


def moved(image, down, right):
    """Pixel by pixel: what lay at (y, x) lies at (y + down, x + right); the rest is zero."""
    result = torch.zeros_like(image)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            if 0 <= y + down < image.shape[1] and 0 <= x + right < image.shape[2]:
                result[:, y + down, x + right] = image[:, y, x]
    return result


def test_each_image_is_moved_by_one_of_all_offsets():
    torch.manual_seed(0)
    one = images(1)
    places = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    candidates = torch.stack([moved(one[0], *place) for place in places])
    batch = random_crop(one.repeat(500, 1, 1, 1), 2)
    same = (batch[:, None] == candidates).flatten(2).all(dim=2)
    assert (same.sum(dim=1) == 1).all()
    counts = same.sum(dim=0)
    assert counts.min() > 5  # 20 expected of each
    assert counts.max() < 45


def test_each_image_of_a_batch_is_moved_itself():
    torch.manual_seed(1)
    batch = images()
    cropped = random_crop(batch, 1)
    places = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    for before, after in zip(batch, cropped, strict=True):
        assert any(torch.equal(after, moved(before, *place)) for place in places)


def test_cropped_images_lie_with_the_channels_innermost():
    assert random_crop(images(), 2).is_contiguous(memory_format=torch.channels_last)


def test_half_of_the_images_are_mirrored_left_to_right():
    torch.manual_seed(0)
    batch = images(1000)
    flipped = random_flip(batch)
    same = (flipped == batch).flatten(1).all(dim=1)
    mirrored = (flipped == batch[..., range(WIDTH - 1, -1, -1)]).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 437 < mirrored.sum() < 563  # 4 standard deviations


def test_a_share_of_the_images_loses_a_rectangle():
    torch.manual_seed(0)
    batch = torch.ones(1000, CHANNELS, 20, 12)
    erased = random_erase(batch, 0.3, share=0.25) == 0
    assert torch.equal(erased.any(dim=1), erased.all(dim=1))  # all channels or none
    erased = erased[:, 0]
    hit = erased.flatten(1).any(dim=1)
    assert 242 < hit.sum() < 358
    rows, columns = erased.any(dim=2), erased.any(dim=1)
    assert torch.equal(erased, rows[:, :, None] & columns[:, None, :])  # a rectangle ...
    for sides, most in ((rows, 10), (columns, 6)):  # ... of half of each side, if it lies inside
        assert sides.sum(dim=1).max() == most
        starts = (sides & ~F.pad(sides, (1, 0))[:, :-1]).sum(dim=1)
        assert torch.equal(starts, hit.long())


def test_erased_in_the_middle_is_a_quarter_of_the_area():
    torch.manual_seed(0)
    erased = random_erase(torch.ones(1000, 1, 20, 12), 1.0, share=0.25) == 0
    edge = erased.clone()
    edge[:, :, 1:-1, 1:-1] = False
    inside = ~edge.flatten(1).any(dim=1)
    assert inside.sum() > 50
    assert (erased.flatten(1).float().mean(dim=1)[inside] == 0.25).all()


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.floats(0.1, 5))
def test_mixup_blends_images_as_it_blends_targets(seed, alpha):
    torch.manual_seed(seed)
    batch, targets = painted()
    mixed, mixed_targets = mixup(batch, targets, alpha)
    torch.testing.assert_close(mixed, mixed_targets[:, :, None, None].expand_as(mixed))
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(BATCH, dtype=torch.float64))
    assert ((mixed_targets > 0).sum(dim=1) <= 2).all()


def test_mixup_shares_are_of_the_beta_distribution_and_partners_a_permutation():
    torch.manual_seed(0)
    number = 4001
    own = torch.eye(number)[:, :2] * 0
    own[:, 0] = torch.arange(number)  # an image of one pixel that carries its own number
    own[:, 1] = own[:, 0] ** 2
    mixed, targets = mixup(own[:, :, None, None].double(), own.double(), 0.5)
    torch.testing.assert_close(mixed[:, :, 0, 0], targets)
    # s i + (1 - s) j and s i^2 + (1 - s) j^2, with i known: two equations for s and j.
    i = torch.arange(number, dtype=torch.float64)
    first, second = targets.T
    moved_on = (first - i).abs() > 1e-3
    j = (second - i**2)[moved_on] / (first - i)[moved_on] - i[moved_on]
    torch.testing.assert_close(j, j.round(), rtol=0, atol=1e-3)  # cancellation
    assert len(set(j.round().tolist())) == len(j)
    share = (first[moved_on] - j) / (i[moved_on] - j)
    assert abs(share.mean() - 0.5) < 0.03
    assert abs(share.var() - 1 / (4 * (2 * 0.5 + 1))) < 0.01


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_cutmix_targets_are_the_share_of_pixels_really_pasted(seed):
    torch.manual_seed(seed)
    batch, targets = painted()
    mixed, mixed_targets = cutmix(batch, targets)
    counted = torch.zeros_like(targets)
    for image in range(BATCH):
        for y in range(HEIGHT):
            for x in range(WIDTH):
                counted[image, mixed[image, :, y, x].argmax()] += 1 / (HEIGHT * WIDTH)
    torch.testing.assert_close(mixed_targets, counted, rtol=0, atol=1e-6)  # the share is float32


def test_cutmix_pastes_one_rectangle_of_any_size():
    torch.manual_seed(0)
    batch = torch.arange(1, 1001.0)[:, None, None, None].repeat(1, 1, 20, 20)
    mixed, _ = cutmix(batch, torch.eye(1000))
    pasted = (mixed != batch)[:, 0]
    rows, columns = pasted.any(dim=2), pasted.any(dim=1)
    assert torch.equal(pasted, rows[:, :, None] & columns[:, None, :])
    partner = mixed.flatten(1).masked_fill(~pasted.flatten(1), 0).amax(dim=1)
    there = partner > 0
    assert len(set(partner[there].tolist())) == there.sum()  # a permutation of the others
    share = pasted.float().mean(dim=(1, 2))
    assert share.min() < 0.01
    assert share.max() > 0.8


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans(), st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0]))
def test_whatever_is_done_targets_are_shares_and_a_seed_decides_all(seed, flip, crop, mix):
    augment = Augment(crop=crop, flip=flip, erase=0.5, mix=mix)
    batch, labels = images(seed=seed), torch.arange(BATCH) % CLASSES
    kept = batch.clone()
    torch.manual_seed(seed)
    first = augment(batch, labels, CLASSES)
    torch.manual_seed(seed)
    again = augment(batch, labels, CLASSES)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert torch.equal(batch, kept)  # the data set itself stays
    assert first[0].shape == batch.shape
    assert first[0].dtype == first[1].dtype == torch.float64
    assert first[1].min() >= 0
    torch.testing.assert_close(first[1].sum(dim=1), torch.ones(BATCH).double(), rtol=0, atol=1e-6)


def test_nothing_asked_for_nothing_done():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    batch, labels = images(), torch.arange(BATCH) % CLASSES
    same, targets = NO_AUGMENTATION(batch, labels, CLASSES)
    assert same is batch
    assert torch.equal(targets.argmax(dim=1), labels)
    assert torch.equal(targets.sort(dim=1).values[:, -2:].sum(dim=0), torch.tensor([0, BATCH]))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_share_of_the_batches_is_mixed_half_of_them_by_each():
    torch.manual_seed(0)
    augment = Augment(crop=0, flip=False, mix=0.5)
    batch, targets = painted()
    labels = targets.argmax(dim=1)
    kinds = {"plain": 0, "mixup": 0, "cutmix": 0}
    for _ in range(400):
        mixed, _ = augment(batch, labels, CLASSES)
        whole = bool(((mixed == 0) | (mixed == 1)).all())
        kinds["plain" if torch.equal(mixed, batch) else "cutmix" if whole else "mixup"] += 1
    assert 160 < kinds["plain"] < 240
    assert 66 < kinds["mixup"] < 134
    assert 66 < kinds["cutmix"] < 134


def test_each_step_is_its_function():
    batch, labels = images(), torch.arange(BATCH) % CLASSES
    for augment, function in (
        (Augment(crop=2, flip=False), lambda x: random_crop(x, 2)),
        (Augment(crop=0, flip=True), random_flip),
        (Augment(crop=0, flip=False, erase=0.7), lambda x: random_erase(x, 0.7)),
    ):
        torch.manual_seed(3)
        got, _ = augment(batch, labels, CLASSES)
        torch.manual_seed(3)
        expected = function(batch)
        assert torch.equal(got, expected)
        assert not torch.equal(got, batch)


def test_the_augmentations_mixup_alpha_is_used():
    batch, targets = painted()
    alpha = 0.3
    augment = Augment(crop=0, flip=False, mix=1.0, mixup_alpha=alpha)
    seed = next(s for s in range(20) if _second_draw(s) < 0.5)  # a seed with which mixup is drawn
    torch.manual_seed(seed)
    got, _ = augment(batch, targets.argmax(dim=1), CLASSES)
    torch.manual_seed(seed)
    torch.rand(2)
    assert torch.equal(got, mixup(batch, targets, alpha)[0])


def _second_draw(seed):
    torch.manual_seed(seed)
    torch.rand(())
    return torch.rand(())
