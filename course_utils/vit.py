"""The Vision Transformer: patches become tokens, an encoder mixes them. Built in lessons 5 and 6.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", section 3.1 and figure 1. Parameter names
are timm's, so that one strict `load_state_dict` takes its checkpoints.
"""

from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_utils.positions import resize_positions, sinusoidal_positions_2d
from course_utils.transformer import Encoder, NormOrder

Pool = Literal["cls", "mean"]
Positions = Literal["learned", "sinusoidal", "none"]


class PatchEmbedding(nn.Module):
    """Cut an image into squares and map each linearly to a token: one strided convolution.

    `forward(images)`: (batch, channels, height, width) -> (batch, rows * columns, dim), row by row.
    Raises `ValueError` for an image whose sides are no multiples of the patch size.
    """

    def __init__(self, *, patch_size: int, channels: int, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(channels, dim, kernel_size=patch_size, stride=patch_size)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        grid_of(images.shape[-2:], self.patch_size)
        return self.proj(images).flatten(2).transpose(1, 2)


class ConvStem(nn.Module):
    """Small strided convolutions in place of the one large one, to the same number of tokens.

    `forward(images)`: (batch, channels, height, width) -> (batch, rows * columns, dim). Each 3 x 3
    convolution halves the sides; the last layer, 1 x 1, sets the width. Xiao et al. 2021, "Early
    Convolutions Help Transformers See Better". Raises `ValueError` unless the patch size is a power
    of two, or for an image whose sides are no multiples of it.
    """

    def __init__(self, *, patch_size: int, channels: int, dim: int) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        if patch_size < 2 or patch_size != 2**halvings:
            raise ValueError(
                f"each layer of a convolutional stem halves the image, so patch_size must be a "
                f'power of two; got {patch_size}: take 2, 4, 8, 16, or stem="patch"'
            )
        self.patch_size = patch_size
        layers: list[nn.Module] = []
        for step in range(halvings):
            width = dim // 2 ** (halvings - 1 - step)
            layers += [
                nn.Conv2d(channels, width, kernel_size=3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.convs = nn.Sequential(*layers)
        self.proj = nn.Conv2d(channels, dim, kernel_size=1)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        grid_of(images.shape[-2:], self.patch_size)
        return self.proj(self.convs(images)).flatten(2).transpose(1, 2)


STEMS = {"patch": PatchEmbedding, "conv": ConvStem}


class VisionTransformer(nn.Module):
    """ViT: patch embedding, class token, positions, encoder, linear head.

    `forward(images)`: (batch, channels, height, width) -> logits (batch, num_classes).
    `forward_features(images)`: -> tokens after the last LayerNorm, (batch, prefix + rows * columns,
    dim); with pool="cls" row 0 is the class token, with pool="mean" there is none and the head sees
    the mean of all tokens. `num_classes=0` leaves the head out.

    Learned positions are resized when an image has another grid than `image_size` gave.
    Raises `ValueError` for options that do not exist and sizes that do not fit.
    """

    def __init__(
        self,
        *,
        image_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        channels: int = 3,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        num_classes: int = 1000,
        pool: Pool = "cls",
        positions: Positions = "learned",
        norm: NormOrder = "pre",
        stem: Literal["patch", "conv"] = "patch",
        dropout: float = 0.0,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        _check_option("pool", pool, get_args(Pool))
        _check_option("positions", positions, get_args(Positions))
        _check_option("stem", stem, tuple(STEMS))
        sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        self.patch_size, self.grid = patch_size, grid_of(sides, patch_size)
        self.pool, self.positions = pool, positions
        self.prefix_tokens = 1 if pool == "cls" else 0

        self.patch_embed = STEMS[stem](patch_size=patch_size, channels=channels, dim=dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if pool == "cls" else None
        if positions == "learned":
            tokens = self.prefix_tokens + self.grid[0] * self.grid[1]
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
        self.drop = nn.Dropout(dropout)
        encoder = Encoder(
            dim=dim,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            norm=norm,
            dropout=dropout,
            norm_eps=norm_eps,
        )
        self.blocks, self.norm = encoder.blocks, encoder.norm  # flat names, as timm has them
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        self.start_weights()

    def start_weights(self) -> None:
        """Small normal weights, zero biases, as timm's ViT starts."""
        for module in [*self.blocks.modules(), self.head]:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=1e-6)
        if self.positions == "learned":
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        tokens = self.forward_features(images)
        return self.head(tokens[:, 0] if self.pool == "cls" else tokens.mean(dim=1))

    def forward_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        x = self.patch_embed(images)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = self.drop(self.add_positions(x, grid_of(images.shape[-2:], self.patch_size)))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def add_positions(
        self, x: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]
    ) -> Float[Tensor, "batch tokens dim"]:
        """Add to each token the vector of its place; a learned table is resized to `grid`."""
        if self.positions == "none":
            return x
        if self.positions == "learned":
            return x + resize_positions(
                self.pos_embed, grid, prefix_tokens=self.prefix_tokens, old_grid=self.grid
            )
        table = sinusoidal_positions_2d(*grid, x.shape[-1]).to(x)
        places = torch.cat([table.new_zeros(self.prefix_tokens, x.shape[-1]), table])
        return x + places  # the class token stands nowhere: it gets zeros


def grid_of(sides: tuple[int, ...], patch_size: int) -> tuple[int, int]:
    """(height, width) in pixels -> (rows, columns) of patches. Raises `ValueError` if none fit."""
    height, width = sides
    if min(height, width) < patch_size or height % patch_size or width % patch_size:
        raise ValueError(
            f"an image is cut into whole patches, so its sides must be multiples of patch_size="
            f"{patch_size}; got {height} x {width}: resize or crop it, for example to "
            f"{_nearest(height, patch_size)} x {_nearest(width, patch_size)}"
        )
    return height // patch_size, width // patch_size


def _nearest(side: int, patch_size: int) -> int:
    return max(1, round(side / patch_size)) * patch_size


def _check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")


# Dosovitskiy et al. 2021, table 1, has Base, Large and Huge; Tiny and Small are from Touvron et al.
# 2021 (DeiT), table 1. The last one is the course's own, for images of 32 x 32 pixels.
PRESETS: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"dim": 192, "depth": 12, "heads": 3},
    "vit_small_patch16_224": {"dim": 384, "depth": 12, "heads": 6},
    "vit_base_patch16_224": {"dim": 768, "depth": 12, "heads": 12},
    "vit_base_patch32_224": {"patch_size": 32, "dim": 768, "depth": 12, "heads": 12},
    "vit_large_patch16_224": {"dim": 1024, "depth": 24, "heads": 16},
    "vit_small32": {
        "image_size": 32,
        "patch_size": 4,
        "dim": 96,
        "depth": 6,
        "heads": 3,
        "num_classes": 10,
    },
}
