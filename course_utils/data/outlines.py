"""The outlines of the drawn shapes, as signed distances: negative inside, zero on the edge.

Each function takes `x` (to the right) and `y` (up) in units in which the circle of radius 1 holds the
whole shape, in any rotation. Near an edge the value is the distance to it, which is what
anti-aliasing needs. For how such functions are found: Quilez, "2D distance functions".
"""

from collections.abc import Callable

import numpy as np

Outline = Callable[[np.ndarray, np.ndarray], np.ndarray]


def circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A disc."""
    return np.hypot(x, y) - 0.85


def square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Four equal sides."""
    return np.maximum(abs(x), abs(y)) - 0.7


def triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Three equal sides, one corner up."""
    slanted = (np.sqrt(0.75) * abs(x) + 0.5 * y) - 0.5
    return np.maximum(slanted, -y - 0.5)


def star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Five points, one of them up."""
    radius, sector = np.hypot(x, y), 2 * np.pi / 5
    angle = abs(np.mod(np.arctan2(x, y) + sector / 2, sector) - sector / 2)
    # All ten edges are the mirror images of the one from a point (1, 0) to the next inner corner.
    inner = 0.45 * np.array([np.cos(sector / 2), np.sin(sector / 2)])
    normal = np.array([inner[1], 1 - inner[0]]) / np.hypot(inner[1], 1 - inner[0])
    across, along = (float(part) for part in normal)
    return across * (radius * np.cos(angle) - 1) + along * radius * np.sin(angle)


def cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two bars, crossing."""
    longer, shorter = np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    return np.maximum(longer - 0.95, shorter - 0.28)


def ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A disc with a round hole."""
    return abs(np.hypot(x, y) - 0.7) - 0.23


def crescent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A disc that another one has covered in part."""
    return np.maximum(np.hypot(x, y) - 0.97, 0.75 - np.hypot(x - 0.48, y))


def heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two round lobes above a point."""
    x, y = 0.65 * abs(x), 0.65 * y + 0.6
    lobe = np.hypot(x - 0.25, y - 0.75) - np.float32(np.sqrt(0.125))
    along = 0.5 * np.maximum(x + y, 0)
    below = np.minimum(np.hypot(x, y - 1), np.hypot(x - along, y - along)) * np.sign(x - y)
    return np.where(x + y > 1, lobe, below) / 0.65


def arrow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A shaft and a head that points up."""
    slope = np.hypot(0.88, 0.8)
    slanted = (0.88 * abs(x) + 0.8 * (y - 0.98)) / slope
    head = np.maximum(slanted, 0.1 - y)
    # The shaft goes on within the head: where it ended, both distances were 0 and a seam showed.
    shaft = np.maximum(abs(x) - 0.24, abs(y + 0.17) - 0.77)
    return np.minimum(head, shaft)


def hourglass(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Two triangles, corner to corner."""
    slanted = (abs(x) - 0.08 - 0.72 * abs(y)) / np.hypot(1, 0.72)
    return np.maximum(slanted, abs(y) - 0.75)


def bar(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Long and thin, with round ends."""
    return np.hypot(x - np.clip(x, -0.68, 0.68), y) - 0.3


def half(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Half a disc, its flat side down."""
    return np.maximum(np.hypot(x, y + 0.4) - 0.9, -y - 0.4)


OUTLINES: dict[str, Outline] = {
    outline.__name__: outline
    for outline in (
        *(circle, square, triangle, star, cross, ring),
        *(crescent, heart, arrow, hourglass, bar, half),
    )
}
