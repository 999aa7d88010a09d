"""How a drawn scene is controlled: a value, a choice, a range, one per class, or one per image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_utils.data.textures import BACKGROUNDS, TEXTURES

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.16, 0.18),
    "orange": (0.96, 0.55, 0.12),
    "yellow": (0.97, 0.87, 0.22),
    "green": (0.2, 0.66, 0.32),
    "cyan": (0.22, 0.76, 0.8),
    "blue": (0.18, 0.38, 0.85),
    "purple": (0.53, 0.26, 0.72),
    "pink": (0.96, 0.56, 0.74),
    "white": (0.96, 0.96, 0.96),
    "gray": (0.5, 0.5, 0.5),
    "black": (0.06, 0.06, 0.06),
}


@dataclass(frozen=True)
class Between:
    """Any value from `low` to `high`, drawn anew each time; whole numbers for a count."""

    low: Any
    high: Any


@dataclass(frozen=True)
class Each:
    """One value for each image (or for each object of each image, as a list of lists)."""

    values: Any


@dataclass(frozen=True)
class ShapeStyle:
    """What is controlled in a drawn scene, and what is left to chance.

    Each control is one value (always that), a list (one of these, at random), `Between(low, high)`,
    `Each([...])` (given image by image), or a dictionary from the class to any of these:
    `texture={"star": "dots", "ring": ["plain", "checks"]}`. None stands for the whole range. A
    control never changes what chance decides elsewhere: with another `texture` the same seed gives
    the same shapes at the same places.

    - `shape`: names of classes. `texture`: of `TEXTURES`.
    - `color`: names of `COLORS` or (red, green, blue), each 0 ... 1; by chance it stands out against
      the background.
    - `position`: (x, y) of the middle, 0 ... 1 from the left and from the top; by chance the whole
      object is within the image. A given position may push it over the edge.
    - `scale`: diameter of the circle around the object, in sides of the image; by chance 0.5 ... 0.8
      for one object, less for several.
    - `rotation`: degrees counterclockwise.
    - `objects`: how many, 1 ... 8. `overlap`: how much of the sum of two radii the circles around two
      objects may share: 0, none; 1, anything goes. It holds for positions left to chance.
    - `background`: of `BACKGROUNDS`, in shades of `background_color`.
    - `clutter`: how many specks and lines lie behind the objects, 0 ... 16.
    """

    shape: Any = None
    texture: Any = None
    color: Any = None
    position: Any = None
    scale: Any = None
    rotation: Any = Between(-20, 20)
    objects: Any = 1
    overlap: float | int = 0
    background: Any = None
    background_color: Any = None
    clutter: Any = 0


def resolve(
    name: str, control: Any, chance: np.ndarray, image: int, entry: int = 0, label: str = ""
) -> Any:
    """What `control` gives for one object, `entry`, of an image; None if it is left to chance.

    `chance` holds as many numbers 0 ... 1 as the value has parts; `label` is the object's class.
    """
    if isinstance(control, Mapping):
        if label not in control:
            raise ValueError(
                f"{name} by class must name every class that is drawn; {label or 'it'} is missing "
                f"in {', '.join(map(str, control))}"
            )
        return resolve(name, control[label], chance, image, entry)
    if isinstance(control, Each):
        if not 0 <= image < len(control.values):
            raise ValueError(
                f"{name}=Each(...) has {len(control.values)} values, one for each image; there is "
                f"none for image {image}: give as many as items"
            )
        value = control.values[image]
        nested = isinstance(value, list)
        return value[entry] if nested else value
    if isinstance(control, Between):
        low, high = np.asarray(control.low, float), np.asarray(control.high, float)
        return low + chance[: low.size].reshape(low.shape) * (high - low)
    if isinstance(control, list):
        if not control:
            raise ValueError(f"{name} needs at least one value to choose from; got an empty list")
        return control[int(chance[0] * len(control))]
    return control


def one_of(name: str, value: Any, allowed: Sequence[str]) -> int:
    """The place of `value` in `allowed`; raise `ValueError` if it is not there."""
    if isinstance(value, str) and value in allowed:
        return list(allowed).index(value)
    raise ValueError(f"{name} must be of {', '.join(allowed)}; got {value!r}")


def color_of(name: str, value: Any) -> np.ndarray:
    """A color's name or (red, green, blue) as three numbers 0 ... 1."""
    if isinstance(value, str):
        one_of(name, value, tuple(COLORS))
        value = COLORS[value]
    color = np.asarray(value, dtype=float)
    if color.shape != (3,) or color.min() < 0 or color.max() > 1:
        raise ValueError(
            f"{name} must be a name ({', '.join(COLORS)}) or red, green and blue, each 0 ... 1; got "
            f"{value!r}"
        )
    return color


def number_of(
    name: str, value: Any, low: float | int, high: float | int, whole: bool = False
) -> float:
    """A number within low ... high; raise `ValueError` if it is not."""
    number = float(value)
    if not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} must be {kind} from {low:g} to {high:g}; got {value}")
    return number


def texture_of(value: Any) -> int:
    """The place of a texture in `TEXTURES`."""
    return one_of("texture", value, TEXTURES)


def background_of(value: Any) -> int:
    """The place of a background in `BACKGROUNDS`."""
    return one_of("background", value, BACKGROUNDS)
