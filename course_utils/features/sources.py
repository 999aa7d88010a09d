"""Images from wherever they are, as one list: files, PIL images, arrays, tensors, data sets."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from course_utils.images import find_images, to_rgb, upright

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_COLUMNS = ("image", "img", "images", "picture")  # what data sets of dictionaries call it


@dataclass(frozen=True)
class Source:
    """`size` images: `get(row)` is a Path, or an image in memory. `ignored`: see `Features`."""

    size: int
    get: Callable[[int], Any]
    ignored: tuple[Path, ...] = ()
    in_memory: bool = True  # at least one of them


def make_source(source: Any) -> Source:
    """A `Source` of a folder, a file, a list, an array, a tensor or a data set.

    Raises `TypeError` for what is none of them, `ValueError` for wrong axes or no image at all.
    """
    found = _find(source)
    if not found.size:
        raise ValueError(
            f"there is no image in {source if isinstance(source, str | Path) else 'the source'}: "
            "give at least one"
        )
    return found


def _find(source: Any) -> Source:
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        if not path.is_dir() and (path.suffix or path.exists()):
            return _of_list([path])
        found = find_images(path)
        return _of_list(found.images, tuple(found.ignored))
    inside = getattr(source, "images", None)  # LabeledImages and the like
    if torch.is_tensor(inside) and not hasattr(source, "__getitem__"):
        source = inside
    if torch.is_tensor(source) or isinstance(source, np.ndarray):
        return _of_list(_check_axes(source))
    if isinstance(source, list | tuple):
        return _of_list(source)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        if isinstance(source, Mapping):
            raise TypeError("a source is a sequence; got a mapping: give list(source.values())")
        return _of_data_set(source)
    raise TypeError(
        f"a source is a folder, a list of paths, of PIL images, of arrays or of tensors, one array "
        f"or tensor of many images, or a data set; got {type(source).__name__}: make a list of a "
        "generator, and give a loader's data set (loader.dataset), not the loader"
    )


def _of_list(items: Sequence[Any] | Tensor | np.ndarray, ignored: tuple[Path, ...] = ()) -> Source:
    def get(row: int) -> Any:
        item = items[row]
        return Path(item).expanduser() if isinstance(item, str | os.PathLike) else item

    arrays = torch.is_tensor(items) or isinstance(items, np.ndarray)
    in_memory = arrays or not all(isinstance(item, str | os.PathLike) for item in items)
    return Source(len(items), get, ignored, in_memory)


def _of_data_set(data: Any) -> Source:
    lock = threading.Lock()  # not every data set bears two readers at a time

    def get(row: int) -> Any:
        with lock:
            item = data[row]
        if isinstance(item, tuple | list):
            return item[0]
        if isinstance(item, Mapping):
            columns = [name for name in IMAGE_COLUMNS if name in item]
            if not columns:
                raise TypeError(
                    f"a row of this data set has {', '.join(map(str, item))}, none of which is "
                    f"called {', '.join(IMAGE_COLUMNS)}: rename the column of images"
                )
            return item[columns[0]]
        return item

    return Source(len(data), get)


def _check_axes(images: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """Raise `ValueError` unless there is an axis of items and the others are where they belong."""
    sides = tuple(images.shape)
    if torch.is_tensor(images):
        if len(sides) == 4 and sides[1] in (1, 3):
            return images
        rule = "a tensor is (items, channels, height, width) with 1 or 3 channels"
    else:
        if len(sides) == 3 or (len(sides) == 4 and sides[-1] in (1, 3, 4)):
            return images
        rule = (
            "an array is (items, height, width, channels) with 1, 3 or 4 channels, or without them"
        )
    raise ValueError(
        f"{rule}; got {sides}: move the axes, and give a list for images of several sizes"
    )


def to_image(item: Any) -> "Image":
    """An image in memory as an upright PIL image, RGB; an array (height, width) becomes gray RGB.

    Tensors are (channels, height, width), arrays (height, width, channels) or (height, width); both
    bytes, or floats in 0 ... 1, which are rounded to bytes. Raises `ValueError` or `TypeError` for
    what is none of these.
    """
    from PIL import Image

    if isinstance(item, Image.Image):
        return to_rgb(upright(item), item.format)
    if torch.is_tensor(item):
        if item.dim() != 3 or item.shape[0] not in (1, 3):
            raise ValueError(
                f"a tensor of one image is (channels, height, width) with 1 or 3 channels; got "
                f"{tuple(item.shape)}: move the axes"
            )
        item = item.detach().cpu().permute(1, 2, 0)
        item = (item.float() if item.is_floating_point() else item).numpy()
    if not isinstance(item, np.ndarray):
        raise TypeError(
            f"an image is a path, a PIL image, an array or a tensor; got {type(item).__name__}"
        )
    if item.ndim not in (2, 3) or (item.ndim == 3 and item.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"an array of one image is (height, width) or (height, width, channels) with 1, 3 or 4 "
            f"channels; got {item.shape}: move the axes"
        )
    pixels = _to_bytes(item[:, :, 0] if item.ndim == 3 and item.shape[2] == 1 else item)
    return to_rgb(Image.fromarray(np.ascontiguousarray(pixels)))


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.round(pixels / 257).astype(np.uint8)
    if pixels.dtype.kind not in "fb":
        raise ValueError(
            f"pixels are bytes (uint8), 16 bits (uint16) or floats from 0 to 1; got {pixels.dtype}"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"pixels are bytes, or floats from 0 to 1; got floats from {low:.3g} to {high:.3g}: divide "
            "by 255; or, for images that are already as the model wants them, give "
            "transform=lambda image: image"
        )
    return np.round(pixels.astype(np.float64) * 255).astype(np.uint8)
