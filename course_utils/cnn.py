"""Convolution by hand, and the residual network built from it. Built in lesson 7.

He et al. 2016, "Deep Residual Learning for Image Recognition". Parameter names are torchvision's, so
that one strict `load_state_dict` takes its checkpoints.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def conv2d_loop(
    image: Float[Tensor, "in_channels height width"],
    kernels: Float[Tensor, "out_channels in_channels kernel_height kernel_width"],
    stride: int = 1,
    padding: int = 0,
) -> Float[Tensor, "out_channels out_height out_width"]:
    """Convolution as networks mean it: a kernel slides, and each place gets one sum of products.

    Mathematics calls it cross-correlation, because the kernel is not flipped. Slow and readable.
    Raises `ValueError` when channels differ or a kernel is larger than the padded image.
    """
    out_height, out_width = _output_sides(image.shape, kernels.shape, stride, padding)
    padded = F.pad(image, (padding, padding, padding, padding))
    _, _, kernel_height, kernel_width = kernels.shape
    output = image.new_zeros(len(kernels), out_height, out_width)
    for channel, kernel in enumerate(kernels):
        for row in range(out_height):
            for column in range(out_width):
                top, left = row * stride, column * stride
                window = padded[:, top : top + kernel_height, left : left + kernel_width]
                output[channel, row, column] = (window * kernel).sum()
    return output


def conv2d_unfold(
    images: Float[Tensor, "batch in_channels height width"],
    kernels: Float[Tensor, "out_channels in_channels kernel_height kernel_width"],
    stride: int = 1,
    padding: int = 0,
) -> Float[Tensor, "batch out_channels out_height out_width"]:
    """The same sums as one matrix product: every window a column, every kernel a row.

    Raises `ValueError` as `conv2d_loop` does.
    """
    sides = _output_sides(images.shape[1:], kernels.shape, stride, padding)
    windows = F.unfold(images, kernels.shape[2:], stride=stride, padding=padding)
    return (kernels.flatten(1) @ windows).unflatten(-1, sides)


def _output_sides(
    image: torch.Size, kernels: torch.Size, stride: int, padding: int
) -> tuple[int, int]:
    if image[0] != kernels[1]:
        raise ValueError(
            f"a kernel has one layer of weights for each channel of the image; got {image[0]} "
            f"channels and kernels of shape {tuple(kernels)} (out, in, height, width)"
        )
    sides = [
        side + 2 * padding - kernel for side, kernel in zip(image[1:], kernels[2:], strict=True)
    ]
    if min(sides) < 0 or stride < 1:
        raise ValueError(
            f"a kernel must fit into the padded image and move on by at least 1; got an image of "
            f"{tuple(image[1:])} with padding {padding}, kernels of {tuple(kernels[2:])}, stride "
            f"{stride}: take smaller kernels or more padding"
        )
    return sides[0] // stride + 1, sides[1] // stride + 1


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions whose result is added to what came in (section 3.2, figure 2).

    `forward(x)`: (batch, in_channels, height, width) -> (batch, out_channels, height / stride, width
    / stride). Where sides or channels change, `downsample` fits x by a 1 x 1 convolution.
    """

    def __init__(self, *, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + skip)


class ResNet(nn.Module):
    """Stages of residual blocks; each stage after the first halves the sides (table 1).

    `forward(images)`: (batch, channels, height, width) -> logits (batch, num_classes).
    `forward_features(images)`: -> the last feature map, (batch, widths[-1], rows, columns); its mean
    over the places is the image's feature vector. `num_classes=0` leaves the head out.

    stem="large" is He et al.'s for 224 pixels: 7 x 7 with stride 2, then max pooling, so that the
    stages start at a quarter of the side. stem="small" is one 3 x 3 convolution for small images.

    Raises `ValueError` for another stem, or unless each stage has a depth and a width.
    """

    def __init__(
        self,
        *,
        depths: tuple[int, ...] = (2, 2, 2, 2),
        widths: tuple[int, ...] = (64, 128, 256, 512),
        stem: Literal["large", "small"] = "large",
        channels: int = 3,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        if stem not in ("large", "small"):
            raise ValueError(f"stem must be one of large, small; got {stem!r}")
        if len(depths) != len(widths) or min(depths, default=0) < 1:
            raise ValueError(
                f"each stage needs a depth of at least 1 and a width; got depths={depths}, "
                f"widths={widths}"
            )
        kernel, stride = (7, 2) if stem == "large" else (3, 1)
        self.conv1 = nn.Conv2d(channels, widths[0], kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stem == "large" else nn.Identity()
        self.stages = len(depths)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            before = widths[max(i - 1, 0)]
            self.add_module(
                f"layer{i + 1}", _stage(depth, before, width, stride=1 if i == 0 else 2)
            )
        self.fc = nn.Linear(widths[-1], num_classes) if num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, section 2.2, as torchvision starts
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        return self.fc(self.forward_features(images).mean(dim=(-2, -1)))

    def forward_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch features rows columns"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for i in range(self.stages):
            x = self.get_submodule(f"layer{i + 1}")(x)
        return x


def _stage(depth: int, in_channels: int, width: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(in_channels=in_channels, out_channels=width, stride=stride)
    rest = [ResidualBlock(in_channels=width, out_channels=width) for _ in range(depth - 1)]
    return nn.Sequential(first, *rest)


# He et al. 2016, table 1; "resnet18_32" is the usual variant for images of 32 pixels (small stem);
# the last one is the course's own.
PRESETS: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "resnet34": {"depths": (3, 4, 6, 3)},
    "resnet18_32": {"stem": "small", "num_classes": 10},
    "resnet_small32": {
        "stem": "small",
        "depths": (2, 2, 2),
        "widths": (32, 64, 128),
        "num_classes": 10,
    },
}
