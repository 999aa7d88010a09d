"""What drawn shapes and backgrounds are painted with: patterns, smooth noise, colors.

A pattern is a number 0 ... 1 for each pixel: which of two tones it has. Lengths are in units of the
image's side, so that a picture is the same at every size; `pixel` is the side of one pixel, over
which an edge is softened.
"""

from collections.abc import Callable

import numpy as np

Pattern = Callable[[np.ndarray, np.ndarray, np.ndarray, float], np.ndarray]


def soft(distance: np.ndarray, pixel: float) -> np.ndarray:
    """The share of a pixel that lies where `distance` is positive, if the edge is straight."""
    return np.clip(0.5 + distance / pixel, 0, 1)


def _band(x: np.ndarray, period: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Signed distance to bands of `share` of a period: positive within."""
    return period * (share / 2 - abs(np.mod(x / period, 1) - 0.5))


def plain(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """One tone."""
    return np.zeros_like(x)


def stripes(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """Bands across."""
    return soft(_band(y, period), pixel)


def checks(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """A chess board."""
    wide = 1.3 * period
    columns, rows = soft(_band(x, wide), pixel), soft(_band(y, wide), pixel)
    return columns + rows - 2 * columns * rows


def dots(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """Round dots in rows and columns."""
    column, row = (np.mod(part / period, 1) - 0.5 for part in (x, y))
    return soft(period * (0.33 - np.hypot(column, row)), pixel)


def grid(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """Thin lines both ways."""
    wide = 1.2 * period
    return np.maximum(soft(_band(x, wide, 0.3), pixel), soft(_band(y, wide, 0.3), pixel))


def zigzag(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """Bands that go up and down."""
    wide = 1.6 * period
    return soft(_band(y + abs(np.mod(x / wide, 1) - 0.5) * wide, 1.1 * period) * 0.7, pixel)


def rings(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """Circles around the middle."""
    return soft(_band(np.hypot(x, y), period), pixel)


def rays(x: np.ndarray, y: np.ndarray, period: np.ndarray, pixel: float) -> np.ndarray:
    """Six wedges that meet in the middle."""
    wedge = np.mod(np.arctan2(y, x) * np.float32(3 / np.pi), 1) - 0.5
    return soft((0.25 - abs(wedge)) * np.float32(np.pi / 3) * np.hypot(x, y), pixel)


PATTERNS: dict[str, Pattern] = {
    pattern.__name__: pattern
    for pattern in (plain, stripes, checks, dots, grid, zigzag, rings, rays)
}
# Two more that are not made of edges: `noise` is given by smooth_noise, `gradient` by the object.
TEXTURES: tuple[str, ...] = (*PATTERNS, "noise", "gradient")
BACKGROUNDS: tuple[str, ...] = ("plain", "gradient", "stripes", "noise")


def smooth_noise(values: np.ndarray, size: int) -> np.ndarray:
    """Lattices of random values (items, n, n) as smooth images (items, size, size), same range.

    Between the lattice points the values are blended with 3t^2 - 2t^3 (value noise).
    """
    lattice = values.shape[-1]
    at = (np.arange(size) + 0.5) / size * (lattice - 1)
    left = at.astype(int)
    part = at - left
    part = part * part * (3 - 2 * part)
    weights = np.zeros((size, lattice), dtype=np.float32)
    weights[np.arange(size), left] = 1 - part
    weights[np.arange(size), left + 1] = part
    return weights @ values.astype(np.float32) @ weights.T


def rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """Hue, saturation and value, each 0 ... 1, as red, green and blue."""
    phase = np.mod(np.array([5, 3, 1]) + 6 * hue, 6)
    return value * (1 - saturation * np.clip(np.minimum(phase, 4 - phase), 0, 1))


def second_tone(color: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """What a pattern alternates with (..., 3): darker than the color, lighter than a black one.

    Where the background is `dark` it is not so dark itself, or the outline would be lost.
    """
    darker = np.where(dark[..., None], 0.5, 0.3) * color
    brightness = color @ np.array([0.3, 0.59, 0.11])
    return np.where(brightness[..., None] > 0.15, darker, 0.5 * color + 0.45)
