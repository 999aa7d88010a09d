"""What all data sets share: three splits, balanced draws, and what a set of labeled images is."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class LabeledImages:
    """Images as bytes 0 ... 255, the class of each, and the names of the classes.

    Bytes are a quarter of the memory of floats: 138 MB for 45,000 images of 3 x 32 x 32, not 553.
    Turn one batch at a time into floats: `images[rows].float() / 255`.
    """

    images: UInt8[Tensor, "items channels height width"]
    labels: Int[Tensor, " items"]
    classes: tuple[str, ...]


def check_split(split: str) -> None:
    """Raise `ValueError` unless `split` is one of the three."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")


def check_items(items: int | None, available: int, split: str) -> int:
    """How many items to draw: all for None; raise `ValueError` outside 1 ... available."""
    if items is None:
        return available
    if not 1 <= items <= available:
        raise ValueError(
            f"the {split} split has {available:,} images, so items must be 1 ... {available}, or "
            f"None for all; got {items}"
        )
    return items


def part(order: np.ndarray, split: Split, cuts: tuple[float, float] = (0.8, 0.9)) -> np.ndarray:
    """The share of `order` that belongs to `split`; `cuts` are where train and validation end."""
    first, second = (round(cut * len(order)) for cut in cuts)
    return {"train": order[:first], "validation": order[first:second], "test": order[second:]}[
        split
    ]


def balanced_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """An order of all rows of `labels` (items,) whose every beginning is balanced and seeded.

    It goes in rounds: each has one item of every class that has any left, in random order. So the
    first n hold each class equally often (give or take one), and the first 500 are among the first
    1,000.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    rounds = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        (rows,) = np.nonzero(labels[shuffled] == label)
        rounds[rows] = np.arange(len(rows))
    # A stable sort keeps the shuffled order within a round.
    return shuffled[np.argsort(rounds, kind="stable")]


def folder_of(library: str) -> Path:
    """Where an installed library lies, found without importing it."""
    spec = find_spec(library)
    assert spec is not None, f"{library} is a dependency of this package"
    assert spec.origin is not None
    return Path(spec.origin).parent
