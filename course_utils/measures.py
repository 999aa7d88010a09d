"""What is measured of a trained classifier beside its accuracy: is it sure when it should be, what
changes its answer, and do two networks compute the same. Lesson 9 builds some of these by hand.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "batch channels height width"]


def binomial_interval(right: int, total: int) -> tuple[float, float]:
    """Between which shares the true one lies, with 95 % confidence, after `right` out of `total`.

    Wilson's score interval (1927): unlike the share plus and minus two deviations it stays within
    0 ... 1. It knows the luck of the draw of the images, not that of the training. Raises
    `ValueError` unless 0 <= right <= total and total >= 1.
    """
    if not 0 <= right <= total or total < 1:
        raise ValueError(f"0 <= right <= total and total >= 1 must hold; got {right} of {total}")
    z = 1.959963984540054  # of a normal distribution, 95 % lies within this many deviations
    share, extra = right / total, z**2 / total
    middle = share + extra / 2
    half = z * math.sqrt(share * (1 - share) / total + extra / (4 * total))
    return max(0.0, (middle - half) / (1 + extra)), min(1.0, (middle + half) / (1 + extra))


@dataclass(frozen=True)
class Reliability:
    """For each bin of confidence: the share of all answers in it, their mean confidence, and the
    share of them that is right. The latter two are 0 for an empty bin.
    """

    share: Float[Tensor, " bins"]
    confidence: Float[Tensor, " bins"]
    accuracy: Float[Tensor, " bins"]

    @property
    def expected_error(self) -> float:
        """The expected calibration error: the mean distance of confidence and accuracy."""
        return (self.share * (self.confidence - self.accuracy).abs()).sum().item()


def reliability(
    logits: Float[Tensor, "items classes"], labels: Int[Tensor, " items"], bins: int = 15
) -> Reliability:
    """How often the answers given with a confidence are right. A bin is (low, high], all as wide.

    The confidence is the highest probability. Guo et al. 2017, "On Calibration of Modern Neural
    Networks", section 2. Raises `ValueError` for no items or no bins.
    """
    if not len(logits) or bins < 1:
        raise ValueError(f"there must be an item and a bin; got {len(logits)} and {bins}")
    confidence, answers = logits.softmax(dim=-1).max(dim=-1)
    right = (answers == labels).to(confidence)
    edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype)
    place = torch.bucketize(confidence, edges[1:-1])  # right end of a bin belongs to it
    zeros = confidence.new_zeros(bins)
    count = zeros.index_add(0, place, torch.ones_like(confidence))
    filled = count.clamp(min=1)
    return Reliability(
        share=count / len(logits),
        confidence=zeros.index_add(0, place, confidence) / filled,
        accuracy=zeros.index_add(0, place, right) / filled,
    )


def expected_calibration_error(
    logits: Float[Tensor, "items classes"], labels: Int[Tensor, " items"], bins: int = 15
) -> float:
    """The mean distance between how sure the answers are and how often they are right."""
    return reliability(logits, labels, bins).expected_error


def linear_cka(x: Float[Tensor, "items features"], y: Float[Tensor, "items others"]) -> float:
    """How alike two layers are in which images they hold to be alike: 0, not at all, ... 1.

    Centered kernel alignment with a linear kernel, Kornblith et al. 2019, "Similarity of Neural
    Network Representations Revisited", section 3. It does not change when either is rotated,
    reflected, shifted or scaled as a whole. Raises `ValueError` for different numbers of items, or
    when all items are the same in x or in y.
    """
    if len(x) != len(y):
        raise ValueError(f"both need the same items, row by row; got {len(x)} and {len(y)} rows")
    x, y = (side - side.mean(dim=0) for side in (x, y))
    norms = (x.T @ x).norm() * (y.T @ y).norm()
    if norms == 0:
        raise ValueError("features that are the same for every item have no similarity to compare")
    return ((y.T @ x).norm() ** 2 / norms).item()


def shift_images(images: Images, down: int, right: int, *, wrap: bool = False) -> Images:
    """Move images by whole pixels; what comes in is zero, or with `wrap` what went out.

    Raises `ValueError` for a shift of more than the image.
    """
    height, width = images.shape[-2:]
    if abs(down) > height or abs(right) > width:
        raise ValueError(
            f"a shift of {down} down and {right} right leaves nothing of {height} x {width} pixels: "
            "shift by no more than the sides"
        )
    if wrap:
        return images.roll((down, right), dims=(-2, -1))
    # Padding by a negative number crops.
    return F.pad(images, (right, -right, down, -down))


def shuffle_patches(images: Images, tiles: int, seed: int = 0) -> Images:
    """Cut each image into tiles x tiles parts and put them together in a random order, its own.

    Raises `ValueError` unless the sides are multiples of `tiles`.
    """
    batch, channels, height, width = images.shape
    if tiles < 1 or height % tiles or width % tiles:
        raise ValueError(
            f"images of {height} x {width} cannot be cut into {tiles} x {tiles} equal parts: take "
            f"a number that divides {math.gcd(height, width)}"
        )
    sides = height // tiles, width // tiles
    parts = images.unfold(2, sides[0], sides[0]).unfold(3, sides[1], sides[1])
    parts = parts.flatten(2, 3)  # batch, channels, tiles * tiles, rows, columns
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(batch, tiles**2, generator=generator).argsort(dim=1).to(images.device)
    parts = parts.gather(2, order[:, None, :, None, None].expand_as(parts))
    parts = parts.unflatten(2, (tiles, tiles)).transpose(3, 4)
    return parts.reshape(batch, channels, height, width)
