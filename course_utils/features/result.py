"""What comes out: the vectors, where each is from, and what could not be read."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Skipped(NamedTuple):
    """An image that could not be read: its file or its row in the source, and the reason in words."""

    path: Path | int
    reason: str


@dataclass(frozen=True)
class Features:
    """Vectors (kept, dim) in the order of the source.

    `rows` has the place of each in the source, so that `labels[features.rows]` are its labels;
    `paths` the file of each, or again the row for what was no file. `errors` lists what was skipped,
    `ignored` what a folder holds besides images. `model` tells which weights made the vectors:
    vectors of different models cannot be compared.
    """

    vectors: Float[Tensor, "kept dim"]
    paths: tuple[Path | int, ...]
    rows: tuple[int, ...]
    model: str
    errors: tuple[Skipped, ...] = ()
    ignored: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.vectors)
