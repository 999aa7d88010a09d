"""Exact search: the cosine of the query with every vector of the index."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_utils.features import Features
from course_utils.progress import replace_file

Vectors = Float[Tensor, "items dim"]
HEADER = "course_image_index"
SCORES_AT_A_TIME = 1 << 24  # 64 MB of float32: queries are taken in batches of so many scores


class SearchResult(NamedTuple):
    """For each query the cosines of the best k, largest first, and their rows in the index."""

    scores: Float[Tensor, "queries k"]
    rows: Int[Tensor, "queries k"]


class ImageIndex:
    """Vectors (items, dim) of one model, to be searched by cosine similarity, exactly.

    `labels` has one text for each row: the file, the class, what you like. `model` is the identity of
    the model that made the vectors (`Features.model`), None if it is not known. Equal scores come in
    the order of their rows. A vector of zeros has cosine 0 to everything.

    Memory: 4 bytes a number, 3.1 GB for a million vectors of 768 (`megabytes`).
    """

    kind: str = "exact"

    def __init__(self, dim: int, *, model: str | None = None) -> None:
        self.dim, self.model = dim, model
        self.labels: list[str] = []
        self._parts: list[Tensor] = []

    @classmethod
    def build(
        cls,
        vectors: Vectors | Features,
        labels: Sequence[object] | None = None,
        *,
        model: str | None = None,
        **options: Any,
    ) -> "ImageIndex":
        """An index of `vectors`: a tensor, or `Features`, with their paths as labels.

        Raises `ValueError` as `add` does.
        """
        tensor = vectors.vectors if isinstance(vectors, Features) else vectors
        _check_axes(tensor)
        model = vectors.model if isinstance(vectors, Features) else model
        index = cls(tensor.shape[1], model=model, **options)
        index.add(vectors, labels)
        return index

    def add(self, vectors: Vectors | Features, labels: Sequence[object] | None = None) -> None:
        """Append vectors. Labels are the paths of `Features`, or the numbers of the rows.

        Raises `ValueError` for vectors of another model or width, for infinite or undefined numbers,
        and unless there is one label for each.
        """
        tensor = self._checked(vectors)
        if labels is None and isinstance(vectors, Features):
            labels = vectors.paths
        if labels is None:
            labels = range(len(self), len(self) + len(tensor))
        if len(labels) != len(tensor):
            raise ValueError(
                f"each vector needs one label; got {len(tensor)} vectors and {len(labels)} labels"
            )
        self._append(normalized(tensor))
        self.labels += [str(label) for label in labels]

    def search(self, query: Vectors | Features, k: int = 5) -> SearchResult:
        """The `k` most similar vectors of the index for each query (queries, dim), best first.

        With fewer than `k` in the index, all of them. Raises `ValueError` for an empty index, for
        k < 1, and as `add` does.
        """
        tensor = self._checked(query)
        if k < 1 or not len(self):
            raise ValueError(
                f"a search needs an index with vectors and k >= 1; got {len(self)} vectors, k={k}"
            )
        return self._best(normalized(tensor), min(k, len(self)))

    def labels_of(self, rows: Int[Tensor, "queries k"]) -> list[list[str]]:
        """The labels of rows that a search found."""
        return [[self.labels[row] for row in found] for found in rows.tolist()]

    def save(self, path: str | Path) -> None:
        """Write the index to one safetensors file, whole or not at all."""
        from safetensors.torch import save

        about = {"kind": self.kind, "dim": self.dim, "model": self.model, **self._options()}
        labels = torch.frombuffer(bytearray(json.dumps(self.labels).encode()), dtype=torch.uint8)
        tensors = {"labels": labels, **self._tensors()}
        replace_file(Path(path), save(tensors, metadata={HEADER: json.dumps(about)}))

    @staticmethod
    def load(path: str | Path) -> "ImageIndex":
        """The index in a file that `save` wrote: an `ImageIndex` or a `FaissIndex`.

        Raises `FileNotFoundError` without a file, `ValueError` for another kind of file.
        """
        from safetensors import SafetensorError, safe_open

        from course_utils.search.approximate import FaissIndex

        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no index {path}: build one and save it there")
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})[HEADER])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError) as error:
            raise ValueError(
                f"{path} is damaged or no index that save() wrote ({error}): build it again"
            ) from error
        kind, dim, model = (about.pop(key) for key in ("kind", "dim", "model"))
        index = (
            ImageIndex(dim, model=model)
            if kind == ImageIndex.kind
            else FaissIndex(dim, model=model, kind=kind, **about)
        )
        index.labels = json.loads(bytes(tensors.pop("labels").numpy()))
        index._restore(tensors)
        return index

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def megabytes(self) -> float:
        """Memory of the vectors and what belongs to them, in MB (1e6 bytes)."""
        return sum(t.numel() * t.element_size() for t in self._tensors().values()) / 1e6

    @property
    def vectors(self) -> Vectors:
        """All vectors, normalized."""
        if len(self._parts) != 1:
            self._parts = [torch.cat(self._parts)] if self._parts else [torch.empty(0, self.dim)]
        return self._parts[0]

    def _checked(self, vectors: Vectors | Features) -> Tensor:
        """The tensor. Raises `ValueError` unless it can belong to this index."""
        if isinstance(vectors, Features):
            if self.model is not None and vectors.model != self.model:
                raise ValueError(
                    f"only vectors of one model can be compared: this index has vectors of "
                    f"{self.model}, got vectors of {vectors.model}: extract both with the same model"
                )
            vectors = vectors.vectors
        _check_axes(vectors)
        if vectors.shape[1] != self.dim:
            raise ValueError(
                f"only vectors of one model can be compared: this index has vectors of {self.dim} "
                f"numbers, got {vectors.shape[1]}: extract both with the same model"
            )
        if not vectors.isfinite().all():
            row = int((~vectors.isfinite()).any(dim=1).nonzero()[0])
            raise ValueError(
                f"a vector has finite numbers; row {row} has infinite or undefined ones: look at its "
                "image, and at the model's precision"
            )
        return vectors.detach().cpu()

    def _append(self, vectors: Vectors) -> None:
        self._parts.append(vectors)

    def _best(self, queries: Vectors, k: int) -> SearchResult:
        step = max(1, SCORES_AT_A_TIME // len(self))
        found = [best(part.to(self.vectors) @ self.vectors.T, k) for part in queries.split(step)]
        return SearchResult(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def _options(self) -> dict[str, Any]:
        return {}

    def _tensors(self) -> dict[str, Tensor]:
        return {"vectors": self.vectors}

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self._parts = [tensors["vectors"]]


def normalized(vectors: Vectors) -> Vectors:
    """Each row divided by its length; zeros stay zeros, as scikit-learn's `normalize` has it."""
    lengths = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(lengths == 0, 1, lengths)


def best(scores: Float[Tensor, "queries items"], k: int) -> SearchResult:
    """The `k` largest of each row, largest first; of equal ones the first. k is at most items."""
    values, rows = scores.topk(min(k + 1, scores.shape[1]))
    if values.shape[1] > k:
        # topk takes any of several equal ones; where that decides who comes in, sort all.
        for row in (values[:, k] == values[:, k - 1]).nonzero().flatten().tolist():
            rows[row] = scores[row].argsort(descending=True, stable=True)[: k + 1]
    rows = rows[:, :k].sort(dim=1).values
    order = scores.gather(1, rows).argsort(dim=1, descending=True, stable=True)
    rows = rows.gather(1, order)
    return SearchResult(scores.gather(1, rows), rows)


def _check_axes(vectors: Tensor) -> None:
    if vectors.dim() != 2 or not vectors.is_floating_point():
        raise ValueError(
            f"vectors are floats of (items, dim); got {tuple(vectors.shape)} of {vectors.dtype}: add "
            "the axis of items to a single one with [None]"
        )
