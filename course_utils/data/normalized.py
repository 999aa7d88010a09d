"""Images as models take them: floats, centered and scaled, made for the rows that are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class NormalizedImages:
    """A data set for `training.fit`: `data[rows]` -> (images, labels).

    `images` is (items, channels, height, width), bytes 0 ... 255 or floats 0 ... 1; what comes out is
    (x - mean) / std for each channel, floats. Only the rows asked for are turned into floats, so
    bytes stay a quarter of the memory. Raises `ValueError` unless each image has one label.
    """

    images: Tensor
    labels: Int[Tensor, " items"]
    mean: Sequence[float] = (0.5,)
    std: Sequence[float] = (0.5,)

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(
                f"each image needs one label; got {len(self.images)} images and "
                f"{len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(
        self, rows: Tensor
    ) -> tuple[Float[Tensor, "batch channels height width"], Int[Tensor, " batch"]]:
        return normalize(self.images[rows], self.mean, self.std), self.labels[rows]


def normalize(
    images: Tensor, mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "*batch channels height width"]:
    """(x - mean) / std for each channel; bytes are first divided by 255. One number serves all.

    Raises `ValueError` for integers that are no bytes, and unless there is one mean and one std, or
    one for each channel.
    """
    if images.dtype == torch.uint8:
        images = images.float() / 255
    if not images.is_floating_point():
        raise ValueError(f"images are bytes (torch.uint8) or floats; got {images.dtype}")
    channels = images.shape[-3]
    if not {len(mean), len(std)} <= {1, channels}:
        raise ValueError(
            f"mean and std need 1 number, or {channels}, one for each channel; got {len(mean)} and "
            f"{len(std)}"
        )
    shape = (-1, 1, 1)
    center = torch.tensor(mean, dtype=images.dtype, device=images.device).reshape(shape)
    spread = torch.tensor(std, dtype=images.dtype, device=images.device).reshape(shape)
    return (images - center) / spread


# What is customary for CIFAR-10, each channel. Our 45,000 training images, which went through JPEG,
# have other values from the third decimal on; what counts is that all models get the same.
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
