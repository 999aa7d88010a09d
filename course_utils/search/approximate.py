"""Approximate search with FAISS: a few candidates instead of all, and some of the best missed."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from course_utils.search.exact import ImageIndex, SearchResult, Vectors

Kind = Literal["graph", "cells"]


class FaissIndex(ImageIndex):
    """The same, approximate, for large collections; float32, and some of the best may be missed.

    kind="graph" walks a graph of neighbors (HNSW; Malkov and Yashunin 2020): slow to build, fast to
    search. kind="cells" groups the vectors by k-means and looks into the nearest groups: much faster
    to build; the cells are learned from the first vectors that are added, and looking into more of
    them finds more. `effort` is how much a search looks at: places in the graph, or cells.
    Raises `ValueError` for another kind.
    """

    def __init__(
        self,
        dim: int,
        *,
        model: str | None = None,
        kind: Kind = "graph",
        effort: int | None = None,
    ) -> None:
        super().__init__(dim, model=model)
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}")
        self.kind = kind
        self.effort = effort or (64 if kind == "graph" else 16)
        self._index: Any = None

    @property
    def vectors(self) -> Vectors:
        """All vectors, normalized, as FAISS keeps them."""
        if self._index is None:
            return torch.empty(0, self.dim)
        if self.kind == "cells":
            self._index.make_direct_map()
        return torch.from_numpy(self._index.reconstruct_n(0, len(self)))

    def _append(self, vectors: Vectors) -> None:
        array = vectors.float().contiguous().numpy()
        if self._index is None:
            self._index = self._made(array)
        self._index.add(array)

    def _made(self, array: Any) -> Any:
        import faiss

        if self.kind == "graph":
            return faiss.IndexHNSWFlat(self.dim, 32, faiss.METRIC_INNER_PRODUCT)
        # FAISS's guidelines: some 4 sqrt(n) to 16 sqrt(n) cells, at least 39 vectors to learn each.
        cells = max(1, min(round(4 * len(array) ** 0.5), len(array) // 39))
        nearest = faiss.IndexFlatIP(self.dim)
        index = faiss.IndexIVFFlat(nearest, self.dim, cells, faiss.METRIC_INNER_PRODUCT)
        index.cp.max_points_per_centroid = 64
        index.train(array)
        return index

    def _best(self, queries: Vectors, k: int) -> SearchResult:
        array = queries.float().contiguous().numpy()
        scores, rows = self._search(array, k, self.effort)
        few = (rows < 0).any(axis=1)  # the cells that were looked into have fewer than k
        if few.any():
            scores[few], rows[few] = self._search(array[few], k, len(self))
        return SearchResult(torch.from_numpy(scores), torch.from_numpy(rows))

    def _search(self, queries: Any, k: int, effort: int) -> tuple[Any, Any]:
        if self.kind == "graph":
            self._index.hnsw.efSearch = max(effort, k)
        else:
            self._index.nprobe = min(effort, self._index.nlist)
        return self._index.search(queries, k)

    def _options(self) -> dict[str, Any]:
        return {"effort": self.effort}

    def _tensors(self) -> dict[str, Tensor]:
        import faiss

        if self._index is None:
            return {}
        return {"faiss": torch.from_numpy(faiss.serialize_index(self._index))}

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        import faiss

        if tensors:
            self._index = faiss.deserialize_index(tensors["faiss"].numpy())
