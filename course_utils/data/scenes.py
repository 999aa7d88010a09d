"""What is in each drawn scene, in numbers: decided before a single pixel is painted.

Every image has random numbers of its own, from (split, seed, its place), and every property its own
place among them: nothing depends on how many images are asked for, nor on another control.
"""

from dataclasses import dataclass, fields

import numpy as np

from course_utils.data.controls import (
    Between,
    ShapeStyle,
    background_of,
    color_of,
    number_of,
    one_of,
    resolve,
    texture_of,
)
from course_utils.data.textures import BACKGROUNDS, TEXTURES, rgb

MOST_OBJECTS, MOST_CLUTTER, LATTICE = 8, 16, 24
ATTEMPTS, CANDIDATES = 50, 40


@dataclass
class Scenes:
    """The contents of several scenes as arrays; lengths in sides of the image, y downward."""

    label: np.ndarray  # items objects, -1 where there is no object
    center: np.ndarray  # items objects 2
    radius: np.ndarray  # items objects
    angle: np.ndarray  # items objects, radians counterclockwise
    color: np.ndarray  # items objects 3
    texture: np.ndarray  # items objects
    phase: np.ndarray  # items objects 2
    background: np.ndarray  # items
    background_color: np.ndarray  # items 2 3: two shades
    direction: np.ndarray  # items, radians
    clutter: np.ndarray  # items
    specks: np.ndarray  # items most_clutter 8: random numbers
    lattice: np.ndarray  # items 2 n n: random numbers for noise

    def __getitem__(self, part: slice) -> "Scenes":
        return Scenes(*(getattr(self, field.name)[part] for field in fields(self)))


def draw_scenes(
    items: int, classes: tuple[str, ...], style: ShapeStyle, stream: tuple[int, int]
) -> Scenes:
    """Decide the contents of `items` scenes; `stream` is the number of the split, and the seed."""
    first = [_draw(image, classes, style, stream) for image in range(items)]
    most = max(len(one["label"]) for one in first)
    columns = {}
    for field in fields(Scenes):
        values = [one[field.name] for one in first]
        if field.name in ("label", "center", "radius", "angle", "color", "texture", "phase"):
            filler = -1 if field.name == "label" else 0
            values = [_padded(value, most, filler) for value in values]
        columns[field.name] = np.stack(values)
    return Scenes(**columns)


def _padded(value: np.ndarray, most: int, filler: int) -> np.ndarray:
    missing = [(0, most - len(value))] + [(0, 0)] * (value.ndim - 1)
    return np.pad(value, missing, constant_values=filler) if missing[0][1] else value


def _draw(
    image: int, classes: tuple[str, ...], style: ShapeStyle, stream: tuple[int, int]
) -> dict[str, np.ndarray]:
    """The contents of one scene."""
    rng = np.random.default_rng((*stream, image))
    whole, entries = rng.random(16), rng.random((MOST_OBJECTS, 16))
    specks, lattice = rng.random((MOST_CLUTTER, 8)), rng.random((2, LATTICE, LATTICE))
    count = style.objects
    if isinstance(count, Between):  # whole numbers, both ends alike often
        count = [*range(int(count.low), int(count.high) + 1)]
    objects = int(
        number_of("objects", resolve("objects", count, whole[:1], image), 1, MOST_OBJECTS, True)
    )
    labels = [_label(classes, style, stream, image, k, entries[k]) for k in range(objects)]
    names = [classes[label] for label in labels]
    ground = _ground(style, whole, image)
    chosen = [
        _object(style, image, k, names[k], entries[k], objects, ground) for k in range(objects)
    ]
    radius = np.array([one["radius"] for one in chosen])
    return {
        "label": np.array(labels),
        "center": _placed(style, image, names, entries, radius, rng),
        "radius": radius,
        **{key: np.array([one[key] for one in chosen]) for key in ("angle", "color", "texture")},
        "phase": entries[:objects, 14:16],
        **ground,
        "specks": specks,
        "lattice": lattice,
    }


def _label(
    classes: tuple[str, ...],
    style: ShapeStyle,
    stream: tuple[int, int],
    image: int,
    entry: int,
    chance: np.ndarray,
) -> int:
    """The class of an object; left to chance, the first objects of all images are balanced."""
    shape = resolve("shape", style.shape, chance[:1], image, entry)
    if shape is not None:
        return one_of("shape", shape, classes)
    if entry:
        return int(chance[0] * len(classes))
    # In every round of as many images as there are classes, each class comes once.
    rounds, place = divmod(image, len(classes))
    # The fourth number keeps these apart from the random numbers of an image.
    order = np.random.default_rng((*stream, rounds, 1)).permutation(len(classes))
    return int(order[place])


def _ground(style: ShapeStyle, chance: np.ndarray, image: int) -> dict[str, np.ndarray]:
    """Background and clutter. By chance the background is dark or light, and never colorful."""
    kind = resolve("background", style.background, chance[1:2], image)
    kind = int(chance[1] * len(BACKGROUNDS)) if kind is None else background_of(kind)
    given = resolve("background_color", style.background_color, chance[2:5], image)
    if given is None:
        dark = chance[2] < 0.5
        value = 0.06 + 0.14 * chance[3] if dark else 0.78 + 0.2 * chance[3]
        saturation = 0.5 if dark else 0.15
        color = rgb(chance[4], saturation, value)
    else:
        color = color_of("background_color", given)
    step = 0.13 if color.mean() < 0.5 else -0.13
    clutter = style.clutter
    if isinstance(clutter, Between):
        clutter = [*range(int(clutter.low), int(clutter.high) + 1)]
    amount = number_of(
        "clutter", resolve("clutter", clutter, chance[5:6], image) or 0, 0, MOST_CLUTTER, True
    )
    return {
        "background": np.array(kind),
        "background_color": np.stack([color, np.clip(color + step, 0, 1)]),
        "direction": np.array(2 * np.pi * chance[6]),
        "clutter": np.array(int(amount)),
    }


def _object(
    style: ShapeStyle,
    image: int,
    entry: int,
    name: str,
    chance: np.ndarray,
    objects: int,
    ground: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Size, rotation, color and texture of one object."""
    at = (image, entry, name)
    scale = resolve("scale", style.scale, chance[1:2], *at)
    if scale is None:
        scale = (0.5 + 0.3 * chance[1]) * {1: 1, 2: 0.62, 3: 0.5, 4: 0.44}.get(objects, 0.3)
    rotation = resolve("rotation", style.rotation, chance[2:3], *at)
    rotation = 360 * chance[2] if rotation is None else rotation
    color = resolve("color", style.color, chance[3:6], *at)
    if color is None:
        dark = ground["background_color"].mean() < 0.5
        value = 0.8 + 0.2 * chance[5] if dark else 0.5 + 0.35 * chance[5]
        saturation = 0.4 + 0.4 * chance[4] if dark else 0.7 + 0.3 * chance[4]
        color = rgb(chance[3], saturation, value)
    else:
        color = color_of("color", color)
    texture = resolve("texture", style.texture, chance[6:7], *at)
    texture = int(chance[6] * len(TEXTURES)) if texture is None else texture_of(texture)
    return {
        "radius": np.array(number_of("scale", scale, 0.05, 2) / 2),
        "angle": np.array(np.radians(number_of("rotation", rotation, -360, 360))),
        "color": color,
        "texture": np.array(texture),
    }


def _placed(
    style: ShapeStyle,
    image: int,
    names: list[str],
    entries: np.ndarray,
    radius: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Middles (objects, 2) of the objects; those left to chance keep the distance asked for."""
    share = number_of("overlap", style.overlap, 0, 1)
    for _ in range(ATTEMPTS):
        centers = np.zeros((len(names), 2))
        for entry, name in enumerate(names):
            chance, size = entries[entry, 8:10], radius[entry]
            given = resolve("position", style.position, chance, image, entry, name)
            if given is not None:
                centers[entry] = _pair(given)
                continue
            margin = min(size, 0.5)
            # The first place is always the object's own; the others are for when it is taken.
            more = rng.random((CANDIDATES, 2)) if entry else np.empty((0, 2))
            places = margin + np.concatenate([chance[None], more]) * (1 - 2 * margin)
            gaps = np.hypot(*(places[:, None] - centers[:entry]).transpose(2, 0, 1))
            free = (gaps >= (1 - share) * (radius[:entry] + size)).all(axis=1)
            if not free.any():
                break
            centers[entry] = places[free.argmax()]
        else:
            return centers
        entries = rng.random(entries.shape)
    raise ValueError(
        f"{len(names)} objects of this scale found no place in image {image} with overlap {share:g}: "
        "ask for a smaller scale, fewer objects or more overlap"
    )


def _pair(position: object) -> np.ndarray:
    pair = np.asarray(position, dtype=float)
    if pair.shape != (2,):
        raise ValueError(
            f"position must be (x, y), from the left and from the top, each in sides of the image; "
            f"got {position!r}: write a list for a choice, Between for a range"
        )
    return pair
