"""Positions: telling attention, which sees a set, where each token stands. Built in lesson 2.

Added to the tokens: `sinusoidal_positions`, `sinusoidal_positions_2d`, `LearnedPositions`.
Inside attention: `apply_rotary` turns queries and keys, `alibi_bias` is added to the scores.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def sinusoidal_positions(
    length: int, dim: int, base: float = 10000.0
) -> Float[Tensor, "{length} {dim}"]:
    """Sine and cosine of each position at dim / 2 frequencies (Vaswani et al. 2017, section 3.5).

    Column 2i is sin(position / base^(2i/dim)), column 2i+1 the cosine of the same angle, as in the
    paper. Computed in float64 and rounded to PyTorch's default type. Positions count from 0.

    Raises `ValueError` for an odd dim.
    """
    if dim < 2 or dim % 2:
        raise ValueError(
            f"dim must be even, because each frequency takes a sine and a cosine; got dim={dim}: "
            f"try {max(2, dim + dim % 2)}"
        )
    angles = _angles(torch.arange(length), dim, base)
    table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    return table.to(torch.get_default_dtype())


def sinusoidal_positions_2d(
    height: int, width: int, dim: int, base: float = 10000.0
) -> Float[Tensor, "{height}*{width} {dim}"]:
    """Rows coded in the first half of the columns, columns in the second half; row by row.

    The layout of Chen, Xie and He 2021 (MoCo v3) and He et al. 2022 (MAE), up to the order of the
    columns. Raises `ValueError` unless dim is divisible by 4.
    """
    if dim < 4 or dim % 4:
        raise ValueError(
            f"dim must be divisible by 4: a sine and a cosine for the row, and the same for the "
            f"column; got dim={dim}: try {max(4, math.ceil(dim / 4) * 4)}"
        )
    rows = sinusoidal_positions(height, dim // 2, base)
    columns = sinusoidal_positions(width, dim // 2, base)
    return torch.cat([rows.repeat_interleave(width, dim=0), columns.repeat(height, 1)], dim=-1)


class LearnedPositions(nn.Module):
    """One trained vector for each position (Gehring et al. 2017; BERT and ViT use it).

    `forward(x)`: adds the first rows of the table to (batch, tokens, dim). Started small (standard
    deviation 0.02), as in BERT and ViT. Raises `ValueError` for more tokens than it has rows: there
    is nothing it could have learned about them.
    """

    def __init__(self, *, length: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(length, dim))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        length = self.table.shape[0]
        if x.shape[1] > length:
            raise ValueError(
                f"learned positions exist for {length} tokens; got {x.shape[1]}: make the table "
                "longer and train it, resize it, or use a family that extends (rotary, ALiBi)"
            )
        return x + self.table[: x.shape[1]]


def apply_rotary(
    x: Float[Tensor, "*batch tokens dim"],
    positions: Tensor | None = None,
    base: float = 10000.0,
) -> Float[Tensor, "*batch tokens dim"]:
    """Turn each pair of numbers (2i, 2i+1) by position * base^(-2i/dim) (Su et al. 2021, 3.2.2).

    Apply it to queries and to keys, not to values: the scores then depend on the distance of two
    tokens only. `positions` (tokens,) defaults to 0, 1, 2, ... and may be fractions. Pairs are
    neighbors as in the paper and GPT-J; Hugging Face's Llama pairs column i with i + dim/2.

    Raises `ValueError` for an odd dim or positions of another length.
    """
    *_, tokens, dim = x.shape
    if dim % 2:
        raise ValueError(f"dim must be even, because numbers are turned in pairs; got dim={dim}")
    if positions is None:
        positions = torch.arange(tokens, device=x.device)
    if positions.shape != (tokens,):
        raise ValueError(
            f"one position for each token: expected shape ({tokens},), got {tuple(positions.shape)}"
        )
    angles = _angles(positions, dim, base)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2)


def alibi_bias(heads: int, queries: int, keys: int) -> Float[Tensor, "{heads} {queries} {keys}"]:
    """A penalty added to the scores, growing with the distance (Press et al. 2022, section 3).

    -slope * |distance|, one slope per head: 2^(-8/heads), its square, and so on; where heads is no
    power of two, the slopes of the next lower power and every second one of the next higher (their
    published code). The last query stands at the last key, as when text is generated token by
    token. In a causal model what lies ahead is masked besides.

    Raises `ValueError` for more queries than keys.
    """
    if heads < 1 or not 1 <= queries <= keys:
        raise ValueError(
            f"heads must be at least 1, and each query stands at one of the keys, so queries <= "
            f"keys; got heads={heads}, queries={queries}, keys={keys}"
        )
    at = torch.arange(queries) + (keys - queries)
    distance = (at[:, None] - torch.arange(keys)).abs().to(torch.get_default_dtype())
    return -torch.tensor(_alibi_slopes(heads))[:, None, None] * distance


def resize_positions(
    table: Float[Tensor, "1 tokens dim"],
    new_grid: tuple[int, int],
    prefix_tokens: int = 1,
    old_grid: tuple[int, int] | None = None,
) -> Float[Tensor, "1 new_tokens dim"]:
    """A learned table for a grid of patches, resampled to another grid: (1, prefix + H*W, dim).

    The first `prefix_tokens` rows (the class token's) stay as they are; the rest is treated as a
    picture of `old_grid` (square unless given) with dim channels and resized with antialiased
    bicubic interpolation, as timm does (ViT, Dosovitskiy et al. 2021, section 3.2, interpolates too).

    Raises `ValueError` when the rows do not fill the old grid.
    """
    prefix, grid = table[:, :prefix_tokens], table[:, prefix_tokens:]
    side = math.isqrt(grid.shape[1])
    height, width = old_grid or (side, side)
    if height * width != grid.shape[1] or min(new_grid) < 1:
        raise ValueError(
            f"{table.shape[1]} rows less {prefix_tokens} prefix tokens leave {grid.shape[1]}, which "
            f"must fill the old grid of {height} x {width}, and the new grid {tuple(new_grid)} must "
            "have at least one row and column: give prefix_tokens and old_grid=(height, width)"
        )
    if (height, width) == tuple(new_grid):
        return table
    picture = grid.unflatten(1, (height, width)).permute(0, 3, 1, 2)
    resized = F.interpolate(picture.float(), size=new_grid, mode="bicubic", antialias=True)
    return torch.cat([prefix, resized.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)


def _angles(positions: Tensor, dim: int, base: float) -> Float[Tensor, "tokens half"]:
    """position * base^(-2i/dim) in float64: in float32 large positions lose their last digits."""
    exponents = torch.arange(0, dim, 2, dtype=torch.float64, device=positions.device) / dim
    return positions.to(torch.float64)[:, None] * base**-exponents


def _alibi_slopes(heads: int) -> list[float]:
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    between = [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return slopes + between[: heads - power]
