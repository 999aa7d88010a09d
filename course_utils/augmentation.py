"""Chances taken with a batch of training images: crop, flip, erase, mix. A picture seen twice differs.

All work on whole batches, on the device of the images, and draw from PyTorch's global generator, so
that `torch.manual_seed` decides everything.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Images = Float[Tensor, "batch channels height width"]
Targets = Float[Tensor, "batch classes"]


def random_crop(images: Images, padding: int) -> Images:
    """Each image moved by up to `padding` pixels both ways; what comes in from outside is zero."""
    batch, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    top, left = torch.randint(0, 2 * padding + 1, (2, batch, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    image = torch.arange(batch, device=images.device)[:, None, None]
    # Index arrays around the channel slice put the channels last: channels-last memory, no copy.
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(images: Images) -> Images:
    """Each image mirrored left to right with probability 1/2."""
    flip = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(flip, images.flip(-1), images)


def random_erase(images: Images, probability: float, share: float = 0.25) -> Images:
    """With `probability`, a square of `share` of the area becomes zero.

    Cutout, DeVries and Taylor 2017.
    """
    erased = _squares(images, torch.full((len(images),), share, device=images.device))
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return images.masked_fill(erased & chosen, 0.0)


def mixup(images: Images, targets: Targets, alpha: float) -> tuple[Images, Targets]:
    """Blend each image, and its targets, with another of the batch (Zhang et al. 2018, section 2).

    One share for each pair from Beta(alpha, alpha).
    """
    share = torch.distributions.Beta(alpha, alpha).sample((len(images),)).to(images)
    other = torch.randperm(len(images), device=images.device)
    keep = share[:, None, None, None]
    mixed = keep * images + (1 - keep) * images[other]
    return mixed, share[:, None] * targets + (1 - share[:, None]) * targets[other]


def cutmix(images: Images, targets: Targets) -> tuple[Images, Targets]:
    """Paste a square from another image of the batch (Yun et al. 2019, section 3.1).

    The square's share of the area is uniform in 0 ... 1, before what lies outside is cut off; the
    targets are mixed by the share that is really covered.
    """
    other = torch.randperm(len(images), device=images.device)
    pasted = _squares(images, torch.rand(len(images), device=images.device))
    share = pasted.float().mean(dim=(1, 2, 3))[:, None]
    mixed = torch.where(pasted, images[other], images)
    return mixed, (1 - share) * targets + share * targets[other]


def _squares(images: Tensor, share: Tensor) -> Tensor:
    """(batch, 1, height, width) boolean: a rectangle of `share` of each image around a random pixel."""
    batch, _, height, width = images.shape
    inside = []
    for side in (height, width):
        center = torch.randint(0, side, (batch, 1), device=images.device)
        half = share[:, None].sqrt() * side / 2
        at = torch.arange(side, device=images.device)
        inside.append((at >= center - half) & (at < center + half))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]


@dataclass(frozen=True)
class Augment:
    """What is done to a training batch, in this order; 0 or False leaves a step out.

    `augment(images, labels, classes)`: images (batch, channels, height, width) and labels (batch,) ->
    images of the same shape and targets (batch, classes), one-hot or mixed. `mix` is the probability
    that a batch is mixed; then one of mixup and cutmix is drawn, half and half.
    """

    crop: int = 4
    flip: bool = True
    erase: float = 0.0
    mix: float = 0.0
    mixup_alpha: float = 0.8

    def __call__(
        self, images: Images, labels: Int[Tensor, " batch"], classes: int
    ) -> tuple[Images, Targets]:
        if self.crop:
            images = random_crop(images, self.crop)
        if self.flip:
            images = random_flip(images)
        if self.erase:
            images = random_erase(images, self.erase)
        targets = F.one_hot(labels, classes).to(images.dtype)
        if self.mix and torch.rand(()) < self.mix:
            if torch.rand(()) < 0.5:
                return mixup(images, targets, self.mixup_alpha)
            return cutmix(images, targets)
        return images, targets


NO_AUGMENTATION = Augment(crop=0, flip=False)
