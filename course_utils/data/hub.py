"""CIFAR-10 and Fashion-MNIST: a copy in `COURSE_DATA` first, else the Hugging Face hub.

`COURSE_DATA` names a folder with files laid out as the hub has them, for instance
`COURSE_DATA/cifar10/plain_text/train-00000-of-00001.parquet`. Without it `datasets` downloads once
and keeps a copy of its own; the switches HF_HUB_OFFLINE, HF_ENDPOINT and HF_HOME hold.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from course_utils.data.splits import (
    LabeledImages,
    Split,
    balanced_order,
    check_items,
    check_split,
)

VALIDATION_SHARE = 0.1
Table = Any  # pyarrow's, which takes long to import


class DataMissing(FileNotFoundError):
    """A data set is neither on this machine nor within reach; the text says what to do."""


@dataclass(frozen=True)
class _Source:
    """Where a data set lies on the hub, and what its files must hold."""

    repository: str
    config: str
    image_column: str
    mode: Literal["RGB", "L"]  # as Pillow calls it
    side: int


_SOURCES = {
    "cifar10": _Source("uoft-cs/cifar10", "plain_text", "img", "RGB", 32),
    "fashion_mnist": _Source("zalando-datasets/fashion_mnist", "fashion_mnist", "image", "L", 28),
}


def cifar10(split: Split = "train", *, items: int | None = None, seed: int = 0) -> LabeledImages:
    """CIFAR-10: color photographs of ten classes, bytes of (items, 3, 32, 32).

    45,000 to train on, 5,000 for validation (always the same, every class equally often, taken out
    of the file for training), 10,000 for the test. `items` asks for fewer: the first of a seeded
    order in which every beginning is balanced, so that the 500 are among the 1,000; `seed` is that
    order's.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".

    Raises `DataMissing` if there is neither a copy nor a network, `ValueError` for an unknown split,
    for `items` beyond the split and for a file that is damaged or another data set's.
    """
    return _load("cifar10", split, items, seed)


def fashion_mnist(
    split: Split = "train", *, items: int | None = None, seed: int = 0
) -> LabeledImages:
    """Fashion-MNIST: gray pictures of clothes, ten classes, bytes of (items, 1, 28, 28).

    54,000 to train on, 6,000 for validation, 10,000 for the test; all else as in `cifar10`.

    Source: Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms".
    """
    return _load("fashion_mnist", split, items, seed)


def available(name: str) -> bool:
    """Whether `cifar10` or `fashion_mnist` (by name) can be loaded here and now.

    True for a copy in `COURSE_DATA` or in the cache of `datasets`, and when the hub answers.
    """
    source = _source(name)
    if all(_copies(name, file_split) for file_split in ("train", "test")):
        return True
    from datasets import load_dataset_builder

    try:
        load_dataset_builder(source.repository, source.config)
    except Exception:  # no network, a blocked one and an empty cache each have errors of their own
        return False
    return True


def _load(name: str, split: Split, items: int | None, seed: int) -> LabeledImages:
    check_split(split)
    source = _source(name)
    table, classes, origin = _table(name, "test" if split == "test" else "train")
    labels = table.column("label").to_numpy()
    rows = _rows(labels, split)
    order = balanced_order(labels[rows], seed)[: check_items(items, len(rows), split)]
    chosen = rows[order]
    pictures = table.column(source.image_column).combine_chunks().field("bytes")
    images = _decoded(pictures.take(chosen).to_pylist(), source, origin)
    return LabeledImages(images, torch.from_numpy(labels[chosen]).long(), classes)


def _rows(labels: np.ndarray, split: Split) -> np.ndarray:
    """The rows of a file that belong to `split`: its last rounds are for validation."""
    if split == "test":
        return np.arange(len(labels))
    # Seed 0 whatever the caller's seed: no image may be trained on in one draw and validate another.
    order = balanced_order(labels, seed=0)
    cut = len(labels) - round(VALIDATION_SHARE * len(labels))
    return np.sort(order[:cut] if split == "train" else order[cut:])


def _table(name: str, file_split: str) -> tuple[Table, tuple[str, ...], str]:
    """The table of a file with its class names, and where it came from."""
    source = _source(name)
    from datasets import ClassLabel, Features

    paths = _copies(name, file_split)
    if paths:
        table, origin = _from_copy(paths), str(paths[0])
    else:
        table, origin = _from_hub(name, file_split), source.repository
    features = Features.from_arrow_schema(table.schema)
    about = features.get("label")
    if source.image_column not in features or not isinstance(about, ClassLabel):
        raise ValueError(
            f"{origin} is not a file of {name}: it must have the columns {source.image_column} "
            f"(images) and label (class labels); it has {', '.join(features)}: copy the file again "
            f"from {source.repository}"
        )
    return table, tuple(about.names), origin


def _from_copy(paths: list[Path]) -> Table:
    import pyarrow
    from pyarrow import parquet

    try:
        return pyarrow.concat_tables([parquet.read_table(path) for path in paths])
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{paths[0]} cannot be read as a Parquet file ({error}): copy it again, or take it "
            "away so that it is downloaded"
        ) from error


def _from_hub(name: str, file_split: str) -> Table:
    from datasets import load_dataset

    source = _source(name)
    try:
        return load_dataset(source.repository, source.config, split=file_split).data.table
    except Exception as error:  # see available
        raise DataMissing(
            f"{name} is not on this machine and cannot be downloaded: connect to the internet once, "
            f"or set COURSE_DATA to a folder with {name}/{source.config}/{file_split}-*.parquet "
            f"(from {source.repository} on the Hugging Face hub), or use digits() or shapes(), which "
            "need neither"
        ) from error


def _copies(name: str, file_split: str) -> list[Path]:
    """The files of a copy in `COURSE_DATA`; empty if there is none."""
    folder = os.environ.get("COURSE_DATA")
    if not folder:
        return []
    pattern = f"{file_split}-*.parquet"
    return sorted((Path(folder) / name / _source(name).config).glob(pattern))


def _source(name: str) -> _Source:
    if name not in _SOURCES:
        raise ValueError(f"there is no data set {name!r} here; there are: {', '.join(_SOURCES)}")
    return _SOURCES[name]


def _decoded(pictures: list[bytes], source: _Source, origin: str) -> torch.Tensor:
    """PNG bytes to pixels (items, channels, height, width), written into one array."""
    from PIL import Image

    channels = len(source.mode)
    pixels = np.empty((len(pictures), source.side, source.side, channels), dtype=np.uint8)
    for row, picture in enumerate(pictures):
        try:
            with Image.open(io.BytesIO(picture)) as image:
                pixels[row] = np.asarray(image.convert(source.mode)).reshape(pixels.shape[1:])
        except (OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"an image of {origin} is damaged or not {source.side} x {source.side} ({error}): "
                f"copy the file again from {source.repository}"
            ) from error
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
