"""The Convolutional vision Transformer: a ViT whose embedding and projections are convolutions.

Wu et al. 2021, "CvT: Introducing Convolutions to Vision Transformers", section 3. Built in lesson 8.
Positions come from the convolutions, so there is no position embedding and every image size runs.

A map (batch, dim, rows, columns) is kept channels-last in memory; tokens (batch, rows * columns, dim)
are then the same numbers in the same order, and going from one to the other copies nothing.
"""

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from course_utils.attention import check_heads
from course_utils.transformer import FeedForward

Pool = Literal["cls", "mean"]
Scale = Literal["head", "stage"]


def to_tokens(
    maps: Float[Tensor, "batch dim rows columns"],
) -> Float[Tensor, "batch tokens dim"]:
    """Every place of a map as a token, row by row."""
    return maps.flatten(2).transpose(1, 2)


def to_maps(
    tokens: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]
) -> Float[Tensor, "batch dim rows columns"]:
    """The inverse of `to_tokens` for `grid` = (rows, columns)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


class ConvEmbedding(nn.Module):
    """Overlapping windows become tokens: a strided convolution, then LayerNorm (section 3.1).

    `forward(images)`: (batch, channels, height, width) -> map (batch, dim, rows, columns), each side
    (side + 2 * padding - patch_size) // stride + 1. Raises `ValueError` for an image smaller than
    one window.
    """

    def __init__(
        self, *, channels: int, dim: int, patch_size: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        self.smallest = max(1, patch_size - 2 * padding)
        self.proj = nn.Conv2d(channels, dim, patch_size, stride=stride, padding=padding)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch dim rows columns"]:
        if min(images.shape[-2:]) < self.smallest:
            raise ValueError(
                f"a stage's input must hold one window, so its sides must be at least "
                f"{self.smallest} (patch_size - 2 * padding); got {images.shape[-2]} x "
                f"{images.shape[-1]}: enlarge the images, or take smaller strides or fewer stages"
            )
        return self.norm(self.proj(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvProjection(nn.Module):
    """Depthwise 3 x 3 convolution, batch norm, then a linear layer on each token (section 3.2).

    `forward(maps, prefix)`: map (batch, dim, rows, columns) -> tokens (batch, prefix + places, dim),
    with fewer places for stride > 1. `prefix` (batch, prefix, dim), the class token or nothing, has
    no neighbors: it skips the convolution and stands in front.
    """

    def __init__(self, *, dim: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=stride, padding=1, groups=dim, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.linear = nn.Linear(dim, dim)

    def forward(
        self,
        maps: Float[Tensor, "batch dim rows columns"],
        prefix: Float[Tensor, "batch prefix dim"],
    ) -> Float[Tensor, "batch tokens dim"]:
        x = to_tokens(self.norm(self.conv(maps)))
        return self.linear(torch.cat([prefix, x], dim=1) if prefix.shape[1] else x)


class ConvAttention(nn.Module):
    """Multi-head attention with convolutional projections; keys and values are fewer (section 3.2).

    `forward(x, grid)`: (batch, prefix + rows * columns, dim) -> the same shape, grid = (rows,
    columns). Scores are divided by the square root of the head's width; scale="stage" divides by the
    square root of `dim` instead, as the published code does, so its weights need that.

    As in `MultiHeadAttention`, the explicit path runs only while a forward hook is on `self.weights`,
    which then sees the weights (batch, heads, queries, keys).

    Raises `ValueError` when dim is not divisible by heads, and for another scale.
    """

    def __init__(self, *, dim: int, heads: int, kv_stride: int = 2, scale: Scale = "head") -> None:
        super().__init__()
        check_heads(dim, heads)
        check_scale(scale)
        self.heads = heads
        self.scale = (dim // heads if scale == "head" else dim) ** -0.5
        self.query = ConvProjection(dim=dim)
        self.key = ConvProjection(dim=dim, stride=kv_stride)
        self.value = ConvProjection(dim=dim, stride=kv_stride)
        self.proj = nn.Linear(dim, dim)
        self.weights = nn.Identity()  # a name to observe

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]
    ) -> Float[Tensor, "batch tokens dim"]:
        places = grid[0] * grid[1]
        prefix, x = x.split([x.shape[1] - places, places], dim=1)
        maps = to_maps(x, grid)
        query, key, value = (
            project(maps, prefix).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        if self.weights._forward_hooks:
            weights = (query @ key.transpose(-2, -1) * self.scale).softmax(dim=-1)
            self.weights(weights)
            output = weights @ value
        else:
            output = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return self.proj(output.transpose(1, 2).flatten(2))


class ConvBlock(nn.Module):
    """A pre-norm encoder block with `ConvAttention`.

    `forward(x, grid)`: (batch, prefix + rows * columns, dim) -> the same shape.
    """

    def __init__(
        self,
        *,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        kv_stride: int = 2,
        scale: Scale = "head",
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = ConvAttention(dim=dim, heads=heads, kv_stride=kv_stride, scale=scale)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim=dim, hidden=int(dim * mlp_ratio))

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]
    ) -> Float[Tensor, "batch tokens dim"]:
        x = x + self.attn(self.norm1(x), grid)
        return x + self.mlp(self.norm2(x))


class ConvStage(nn.Module):
    """An embedding, a class token if asked for, then `depth` blocks (figure 2).

    `forward(images)`: (batch, channels, height, width) -> `(tokens, grid)`: tokens (batch, prefix +
    rows * columns, dim), the class token first, and grid = (rows, columns). `block` holds the other
    arguments of `ConvBlock`.
    """

    def __init__(
        self, *, embed: ConvEmbedding, dim: int, depth: int, class_token: bool, **block: Any
    ) -> None:
        super().__init__()
        self.embed = embed
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        self.blocks = nn.ModuleList(ConvBlock(dim=dim, **block) for _ in range(depth))

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> tuple[Float[Tensor, "batch tokens dim"], tuple[int, int]]:
        maps = self.embed(images)
        x, (rows, columns) = to_tokens(maps), maps.shape[-2:]
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x, (rows, columns))
        return x, (rows, columns)


class ConvolutionalVisionTransformer(nn.Module):
    """CvT: stages of convolutional embedding and blocks, LayerNorm, linear head.

    `forward(images)`: (batch, channels, height, width) -> logits (batch, num_classes).
    `forward_features(images)`: -> the last stage's tokens after the final LayerNorm, (batch, prefix +
    rows * columns, dims[-1]); with pool="cls" row 0 is the class token, which only the last stage
    has, with pool="mean" there is none and the head sees the mean. `num_classes=0` leaves the head
    out.

    Tuples have one entry a stage. LayerNorm's eps is PyTorch's 1e-5, which is what the published
    models run with. There is no dropout and no stochastic depth.

    Raises `ValueError` for options that do not exist and sizes that do not fit.
    """

    def __init__(
        self,
        *,
        dims: tuple[int, ...] = (64, 192, 384),
        depths: tuple[int, ...] = (1, 2, 10),
        heads: tuple[int, ...] = (1, 3, 6),
        patch_sizes: tuple[int, ...] = (7, 3, 3),
        strides: tuple[int, ...] = (4, 2, 2),
        paddings: tuple[int, ...] = (2, 1, 1),
        mlp_ratio: float = 4.0,
        kv_stride: int = 2,
        scale: Scale = "head",
        pool: Pool = "cls",
        channels: int = 3,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        check_stages(dims, depths, heads, patch_sizes, strides, paddings)
        if pool not in get_args(Pool):
            raise ValueError(f"pool must be one of {', '.join(get_args(Pool))}; got {pool!r}")
        self.pool, last = pool, len(dims) - 1
        block = {"mlp_ratio": mlp_ratio, "kv_stride": kv_stride, "scale": scale}
        self.stages = nn.ModuleList()
        for i, dim in enumerate(dims):
            embed = ConvEmbedding(
                channels=dims[i - 1] if i else channels,
                dim=dim,
                patch_size=patch_sizes[i],
                stride=strides[i],
                padding=paddings[i],
            )
            token = pool == "cls" and i == last
            self.stages.append(
                ConvStage(
                    embed=embed,
                    dim=dim,
                    depth=depths[i],
                    class_token=token,
                    heads=heads[i],
                    **block,
                )
            )
        self.norm = nn.LayerNorm(dims[-1])
        self.head = nn.Linear(dims[-1], num_classes) if num_classes else nn.Identity()
        self.start_weights()

    def start_weights(self) -> None:
        """Small normal weights, zero biases, in linear layers; convolutions as PyTorch starts them."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            if isinstance(module, ConvStage) and module.cls_token is not None:
                nn.init.trunc_normal_(module.cls_token, std=0.02)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        tokens = self.forward_features(images)
        return self.head(tokens[:, 0] if self.pool == "cls" else tokens.mean(dim=1))

    def forward_features(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch tokens dim"]:
        x, grid = self.stages[0](images)
        for stage in self.stages[1:]:
            x, grid = stage(to_maps(x, grid))
        return self.norm(x)


def check_scale(scale: str) -> None:
    """Raise `ValueError` unless `scale` exists."""
    if scale not in get_args(Scale):
        raise ValueError(
            f'scale must be "head" (divide scores by the square root of the head\'s width, as in '
            f'lesson 3) or "stage" (of the stage\'s width, as published weights need); got {scale!r}'
        )


def check_stages(dims: tuple[int, ...], *others: tuple[int, ...]) -> None:
    """Raise `ValueError` unless there is a stage and each tuple has one entry for every stage."""
    lengths = [len(dims), *map(len, others)]
    if not dims or set(lengths) != {len(dims)}:
        raise ValueError(
            f"dims, depths, heads, patch_sizes, strides and paddings need one entry for each stage; "
            f"got {', '.join(map(str, lengths))} entries"
        )


# Wu et al. 2021, table 2, with the published models' scale; the last one is the course's own.
PRESETS: dict[str, dict[str, Any]] = {
    "cvt_13": {"depths": (1, 2, 10), "scale": "stage"},
    "cvt_21": {"depths": (1, 4, 16), "scale": "stage"},
    "cvt_w24": {
        "dims": (192, 768, 1024),
        "depths": (2, 2, 20),
        "heads": (3, 12, 16),
        "scale": "stage",
    },
    "cvt_small32": {
        "dims": (48, 96, 144),
        "depths": (1, 2, 1),
        "heads": (1, 2, 3),
        "patch_sizes": (3, 3, 3),
        "strides": (2, 2, 2),
        "paddings": (1, 1, 1),
        "num_classes": 10,
    },
}
