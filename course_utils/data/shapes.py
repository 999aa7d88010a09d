"""Shapes drawn by the course: any size and number, with exact masks and boxes, and no download.

Everything that could be a cue can be held fixed, drawn, or tied to the class: `ShapeStyle`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from course_utils.data.controls import ShapeStyle
from course_utils.data.outlines import OUTLINES
from course_utils.data.scenes import Scenes, draw_scenes
from course_utils.data.splits import SPLITS, Split, check_split
from course_utils.data.textures import (
    BACKGROUNDS,
    PATTERNS,
    TEXTURES,
    second_tone,
    smooth_noise,
    soft,
    stripes,
)

SHAPES: tuple[str, ...] = tuple(OUTLINES)


@dataclass(frozen=True)
class Shapes:
    """Drawn scenes, and exactly what is in them. Later objects lie on top of earlier ones.

    `masks` are the objects' own pixels (middles inside the outline), as if nothing lay on top;
    `visible` are those that nothing covers. `boxes` are the extents of `masks` in pixels, as x1, y1,
    x2, y2: the columns x1 ... x2 - 1 and the rows y1 ... y2 - 1, so x2 - x1 is the width. Where an
    image has fewer objects than others, or one lies outside, mask and box are empty (False and 0);
    where there is no object, its label and texture are -1.
    """

    images: UInt8[Tensor, "items 3 size size"]
    classes: tuple[str, ...]
    object_labels: Int[Tensor, "items objects"]
    masks: Bool[Tensor, "items objects size size"]
    visible: Bool[Tensor, "items objects size size"]
    boxes: Int[Tensor, "items objects 4"]
    textures: Int[Tensor, "items objects"]  # places in TEXTURES
    colors: Float[Tensor, "items objects 3"]
    centers: Float[Tensor, "items objects 2"]  # x, y in sides of the image
    scales: Float[Tensor, "items objects"]

    @property
    def labels(self) -> Int[Tensor, " items"]:
        """The class of the only object of each image; `ValueError` if there are several."""
        if self.object_labels.shape[1] != 1:
            raise ValueError(
                f"labels are for one object an image; these have up to "
                f"{self.object_labels.shape[1]}: use object_labels"
            )
        return self.object_labels[:, 0]


def shapes(
    split: Split = "train",
    *,
    items: int = 1000,
    size: int = 32,
    classes: tuple[str, ...] = SHAPES,
    seed: int = 0,
    style: ShapeStyle | None = None,
) -> Shapes:
    """Draw `items` scenes of size x size pixels; labels are places in `classes`.

    Image i depends on the split, the seed, the style and i only: the first 500 of 1,000 are those of
    500, and the same scene at another size is the same picture. The classes of the first objects are
    balanced.

    Raises `ValueError` for an unknown split, class or control, and for objects that do not fit.
    """
    check_split(split)
    for name in classes:
        if name not in OUTLINES:
            raise ValueError(f"there is no shape {name!r}; there are: {', '.join(OUTLINES)}")
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(f"classes must be different shapes, at least one; got {classes}")
    if items < 1 or size < 8 or seed < 0:
        raise ValueError(
            f"items must be >= 1, size >= 8 and seed >= 0; got items={items}, size={size}, seed={seed}"
        )
    stream = (SPLITS.index(split), seed)
    scenes = draw_scenes(items, tuple(classes), style or ShapeStyle(), stream)
    objects = scenes.label.shape[1]
    images = np.empty((items, 3, size, size), dtype=np.uint8)
    masks = np.empty((items, objects, size, size), dtype=bool)
    step = max(1, 2**16 // size**2)  # what is painted at a time stays in the processor's cache
    for start in range(0, items, step):
        part = slice(start, start + step)
        images[part], masks[part] = _paint(scenes[part], classes, size)
    return _described(scenes, classes, images, masks)


def _described(
    scenes: Scenes, classes: tuple[str, ...], images: np.ndarray, masks: np.ndarray
) -> Shapes:
    visible = masks.copy()
    for entry in range(masks.shape[1] - 1):
        visible[:, entry] &= ~masks[:, entry + 1 :].any(axis=1)
    there = scenes.label >= 0
    return Shapes(
        images=torch.from_numpy(images),
        classes=tuple(classes),
        object_labels=torch.from_numpy(scenes.label).long(),
        masks=torch.from_numpy(masks),
        visible=torch.from_numpy(visible),
        boxes=torch.from_numpy(_boxes(masks)),
        textures=torch.from_numpy(np.where(there, scenes.texture, -1)).long(),
        colors=torch.from_numpy(scenes.color).float(),
        centers=torch.from_numpy(scenes.center).float(),
        scales=torch.from_numpy(2 * scenes.radius).float(),
    )


def _boxes(masks: np.ndarray) -> np.ndarray:
    """First and last column and row of each mask as x1, y1, x2, y2; zeros for an empty mask."""
    size = masks.shape[-1]
    columns, rows = masks.any(axis=-2), masks.any(axis=-1)
    ends = [
        columns.argmax(-1),
        rows.argmax(-1),
        size - np.flip(columns, -1).argmax(-1),
        size - np.flip(rows, -1).argmax(-1),
    ]
    return np.stack(ends, axis=-1) * columns.any(-1, keepdims=True)


def _paint(scenes: Scenes, classes: tuple[str, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (bytes) and masks of a few scenes: the background, the clutter, object after object."""
    items, objects = scenes.label.shape
    middles = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = middles[None, None, :], middles[None, :, None]
    noise = _noise(scenes, size)
    canvas = _backdrop(scenes, x, y, noise)
    _scatter(canvas, scenes, x, y)
    masks = np.zeros((items, objects, size, size), dtype=bool)
    for entry in range(objects):
        (rows,) = np.nonzero(scenes.label[:, entry] >= 0)
        radius, angle = _column(scenes.radius[rows, entry]), _column(scenes.angle[rows, entry])
        right = x - _column(scenes.center[rows, entry, 0])
        up = _column(scenes.center[rows, entry, 1]) - y
        u = right * np.cos(angle) + up * np.sin(angle)
        v = up * np.cos(angle) - right * np.sin(angle)
        distance = _distances(scenes.label[rows, entry], classes, u / radius, v / radius) * radius
        masks[rows, entry] = distance <= 0
        tones = _tones(scenes, rows, entry, u, v, noise[rows])
        color, dark = scenes.color[rows, entry], scenes.background_color[rows].mean((1, 2)) < 0.5
        paint = _mix(color, second_tone(color, dark), tones)
        canvas[rows] += soft(-distance, 1 / size)[:, None] * (paint - canvas[rows])
    return np.rint(canvas * 255).astype(np.uint8), masks


def _column(values: np.ndarray) -> np.ndarray:
    """One number for each image, ready to meet (items, size, size)."""
    return values.astype(np.float32)[:, None, None]


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Two colors (items, 3) blended pixel by pixel: (items, 3, size, size)."""
    first, second = (color.astype(np.float32)[:, :, None, None] for color in (first, second))
    return first + share[:, None] * (second - first)


def _noise(scenes: Scenes, size: int) -> np.ndarray:
    """Rough and smooth noise, 0 ... 1 with full contrast: (items, 2, size, size)."""
    fine = smooth_noise(scenes.lattice[:, 0], size)
    smooth = smooth_noise(scenes.lattice[:, 1, :5, :5], size)
    middle = smooth_noise(scenes.lattice[:, 1, 8:18, 8:18], size)
    clouds = 0.5 * smooth + 0.3 * middle + 0.2 * fine
    return np.stack([np.clip(2.2 * fine - 0.6, 0, 1), np.clip(2.4 * clouds - 0.7, 0, 1)], axis=1)


def _backdrop(scenes: Scenes, x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The background of each image, (items, 3, size, size)."""
    angle, size = _column(scenes.direction), x.shape[-1]
    along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    kinds = {
        "plain": np.zeros_like(along),
        "gradient": np.clip(0.5 + 0.8 * along, 0, 1) * 1.3,
        "stripes": stripes(along, along, np.full_like(along, 0.2), 1 / size),
        "noise": 1.6 * noise[:, 1],
    }
    chosen = np.stack([kinds[name] for name in BACKGROUNDS])
    share = chosen[scenes.background, np.arange(len(angle))]
    first, second = scenes.background_color[:, 0], scenes.background_color[:, 1]
    return np.clip(_mix(first, second, share), 0, 1)


def _scatter(canvas: np.ndarray, scenes: Scenes, x: np.ndarray, y: np.ndarray) -> None:
    """Specks and short lines, in place: each is all points near a piece of a straight line."""
    for place in range(int(scenes.clutter.max(initial=0))):
        (rows,) = np.nonzero(scenes.clutter > place)
        chance = scenes.specks[rows, place]
        angle = _column(2 * np.pi * chance[:, 2])
        # Half of them are lines.
        length = _column(np.where(chance[:, 3] < 0.5, 0, 0.06 + 0.1 * chance[:, 4]))
        right, down = x - _column(chance[:, 0]), y - _column(chance[:, 1])
        along = right * np.cos(angle) + down * np.sin(angle)
        across = down * np.cos(angle) - right * np.sin(angle)
        distance = np.hypot(along - np.clip(along, -length, length), across)
        thick = np.where(length > 0, np.float32(0.014), np.float32(0.028))
        color = chance[:, 5:8].astype(np.float32)[:, :, None, None]
        cover = soft(thick - distance, 1 / x.shape[-1])[:, None]
        canvas[rows] += cover * (color - canvas[rows])


def _distances(
    labels: np.ndarray, classes: tuple[str, ...], u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Signed distance to each image's outline, in units of its radius; class after class."""
    distance = np.empty_like(u)
    for label in np.unique(labels):
        rows = labels == label
        distance[rows] = OUTLINES[classes[label]](u[rows], v[rows])
    return distance


def _tones(
    scenes: Scenes, rows: np.ndarray, entry: int, u: np.ndarray, v: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """The pattern of one object of each image, 0 ... 1: (items, size, size)."""
    size = u.shape[-1]
    texture, radius = scenes.texture[rows, entry], _column(scenes.radius[rows, entry])
    # Four pixels of a small picture are the least that shows; large objects have larger patterns.
    period = np.maximum(np.float32(0.45) * radius, np.float32(0.125))
    shift = scenes.phase[rows, entry] * [0.5, 0.5] - 0.25
    tones = np.empty_like(u)
    for kind in np.unique(texture):
        of = texture == kind
        name = TEXTURES[kind]
        if name == "noise":
            tones[of] = noise[of, 0]
        elif name == "gradient":
            tones[of] = np.clip(0.5 - 0.55 * v[of] / radius[of], 0, 1)
        else:
            x = u[of] + _column(shift[of, 0]) * period[of]
            y = v[of] + _column(shift[of, 1]) * period[of]
            tones[of] = PATTERNS[name](x, y, period[of], 1 / size)
    return tones
