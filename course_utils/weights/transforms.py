"""From a photograph to what a model was trained on: its size, its range, its mean and spread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Interpolation = Literal["bilinear", "bicubic"]

LONG = 16  # an image that is resized to this many times the pixels that are kept


@dataclass(frozen=True)
class Transform:
    """`transform(image)`: resize, cut out the center, scale to 0 ... 1, subtract mean, divide by std.

    `size` is (height, width) in pixels. With `shorter_side` the image keeps its proportions: its
    shorter side gets that length, then the center of `size` is cut out. Without it the image is
    stretched to `size`. `mean` and `std` have one number for each channel.

    A PIL image, of any mode and turned as its EXIF data say, is resized by PIL, as timm and Hugging
    Face do. A tensor (channels, height, width) or (batch, channels, height, width) of bytes or of
    floats in 0 ... 1 is resized by PyTorch, which differs in the last bits. The result is float32
    with as many axes as the tensor, three for a PIL image: add the batch axis with `[None]`.

    Raises `TypeError` for another kind of image, `ValueError` for wrong axes or a wrong range.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shorter_side: int | None = None
    interpolation: Interpolation = "bicubic"

    def __call__(self, image: "Image | Tensor") -> Tensor:
        pixels = self._from_tensor(image) if torch.is_tensor(image) else self._from_pil(image)
        top, left = (
            round((side - wanted) / 2)
            for side, wanted in zip(pixels.shape[-2:], self.size, strict=True)
        )
        pixels = pixels[..., top : top + self.size[0], left : left + self.size[1]]
        mean, std = (pixels.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (pixels - mean) / std

    def _from_pil(self, image: "Image") -> Tensor:
        import numpy as np
        from PIL import Image, ImageOps

        if not isinstance(image, Image.Image):
            raise TypeError(
                f"an image is a PIL image or a tensor; got {type(image).__name__}: open a file with "
                "PIL.Image.open, turn an array into a tensor with the channels first"
            )
        image = ImageOps.exif_transpose(image).convert("L" if len(self.mean) == 1 else "RGB")
        height, width = self._resized(image.height, image.width)
        if (image.height, image.width) != (height, width):
            box, height, width = self._seen(image.height, image.width, height, width)
            resample = Image.Resampling[self.interpolation.upper()]
            image = image.resize((width, height), resample, box=box)
        return self._from_bytes(torch.from_numpy(np.array(image)))

    def _seen(
        self, old_height: int, old_width: int, height: int, width: int
    ) -> tuple[tuple[float, float, float, float], int, int]:
        """The part (left, top, right, bottom) of an image to resize, and to which height and width.

        All of it, unless it is so long that most of it would be resized only to be cut off: an image
        of 10,000 x 1 pixels would have 500 million. The filter still sees what is outside the part.
        """
        if height * width <= LONG * self.size[0] * self.size[1]:
            return (0, 0, old_width, old_height), height, width
        top, left = (
            round((side - wanted) / 2)
            for side, wanted in zip((height, width), self.size, strict=True)
        )
        down, across = old_height / height, old_width / width
        right = min(old_width, (left + self.size[1]) * across)
        bottom = min(old_height, (top + self.size[0]) * down)
        return (left * across, top * down, right, bottom), *self.size

    def _from_bytes(self, pixels: Tensor) -> Tensor:
        """(height, width) or (height, width, channels) of bytes -> (channels, height, width)."""
        return (pixels[..., None] if pixels.dim() == 2 else pixels).permute(2, 0, 1).float() / 255

    def _from_tensor(self, image: Tensor) -> Tensor:
        channels = len(self.mean)
        if image.dim() not in (3, 4) or image.shape[-3] != channels:
            raise ValueError(
                f"an image is (channels, height, width) with {channels} channels, or a batch of such; "
                f"got {tuple(image.shape)}: permute the axes, or repeat a single channel"
            )
        if image.dtype == torch.uint8:
            pixels = image.float() / 255
        elif image.is_floating_point():
            pixels = image.float()
            if pixels.numel() and (pixels.min() < 0 or pixels.max() > 1):
                raise ValueError(
                    f"pixels are bytes, or floats from 0 to 1; got floats from "
                    f"{pixels.min().item():.3g} to {pixels.max().item():.3g}: divide by 255, and "
                    "do not normalize beforehand"
                )
        else:
            raise TypeError(f"pixels are bytes (uint8) or floats from 0 to 1; got {image.dtype}")
        height, width = self._resized(*pixels.shape[-2:])
        if pixels.shape[-2:] == (height, width):
            return pixels
        batch = pixels if pixels.dim() == 4 else pixels[None]
        batch = F.interpolate(batch, (height, width), mode=self.interpolation, antialias=True)
        return batch.clamp(0, 1).reshape(*pixels.shape[:-2], height, width)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """The sides before the center is cut out."""
        if self.shorter_side is None:
            return self.size
        shorter = min(height, width)
        return (
            self.shorter_side * height // shorter,
            self.shorter_side * width // shorter,
        )
