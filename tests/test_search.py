"""Image search: scikit-learn's ranking, whatever the batches; FAISS behind the same interface."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from course_utils.features import Features
from course_utils.search import FaissIndex, ImageIndex
from course_utils.search import exact as exact_module

ITEMS, QUERIES, DIM = 211, 13, 7


def normal(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ranking_of_sklearn(queries, vectors, k):
    cosines = cosine_similarity(queries.numpy(), vectors.numpy())
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return torch.from_numpy(np.take_along_axis(cosines, rows, axis=1)), torch.from_numpy(rows)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("k", [1, 5, ITEMS])
def test_search_is_sklearns_ranking(dtype, k):
    vectors, queries = (
        normal(ITEMS, DIM, dtype=dtype) * 3,
        normal(QUERIES, DIM, dtype=dtype, seed=1),
    )
    scores, rows = ImageIndex.build(vectors).search(queries, k=k)
    expected_scores, expected_rows = ranking_of_sklearn(queries, vectors, k)
    torch.testing.assert_close(scores, expected_scores)
    assert torch.equal(rows, expected_rows)


def test_equal_scores_come_in_the_order_of_rows():
    """Whole numbers of length 5 or 1: the cosines of equal ones are equal to the last bit."""
    vectors = torch.tensor([[3.0, 4.0], [0.0, 1.0], [4.0, 3.0], [0.0, 0.0]]).repeat(31, 1)
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    for k in (1, 3, 40, 124):
        _, rows = ImageIndex.build(vectors).search(queries, k=k)
        assert torch.equal(rows, ranking_of_sklearn(queries, vectors, k)[1])


def test_batches_and_additions_change_nothing(monkeypatch):
    vectors, queries = normal(ITEMS, DIM), normal(QUERIES, DIM, seed=1)
    whole = ImageIndex.build(vectors).search(queries, k=5)
    index = ImageIndex(DIM)
    for part in vectors.split(50):
        index.add(part)
    monkeypatch.setattr(exact_module, "SCORES_AT_A_TIME", 3 * ITEMS)
    taken = []
    best = exact_module.best
    monkeypatch.setattr(exact_module, "best", lambda s, k: taken.append(len(s)) or best(s, k))
    again = index.search(queries, k=5)
    assert taken == [3, 3, 3, 3, 1]
    torch.testing.assert_close(again.scores, whole.scores)
    assert torch.equal(again.rows, whole.rows)
    assert index.labels == [str(row) for row in range(ITEMS)]


def features(vectors, model="ViT 1"):
    names = tuple(range(len(vectors)))
    return Features(vectors=vectors, paths=names, rows=names, model=model)


INDEXES = {
    "exact": lambda dim, **options: ImageIndex(dim, **options),
    "graph": lambda dim, **options: FaissIndex(dim, kind="graph", effort=99, **options),
    "cells": lambda dim, **options: FaissIndex(dim, kind="cells", effort=99, **options),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_saved_and_loaded_it_is_the_same_index(kind, tmp_path):
    vectors, queries = normal(ITEMS, DIM).float(), normal(QUERIES, DIM, seed=1).float()
    index = INDEXES[kind](DIM, model="ViT 1")
    index.add(vectors, [f"Bild {row} ü" for row in range(ITEMS)])
    index.save(tmp_path / "index.safetensors")
    loaded = ImageIndex.load(tmp_path / "index.safetensors")
    assert (type(loaded), loaded.kind, loaded.model) == (type(index), index.kind, "ViT 1")
    assert getattr(loaded, "effort", 99) == 99
    assert loaded.labels == index.labels
    torch.testing.assert_close(loaded.vectors, exact_module.normalized(vectors))
    for one, other in zip(loaded.search(queries), index.search(queries), strict=True):
        assert torch.equal(one, other)
    loaded.add(queries)  # and it can grow
    assert torch.equal(loaded.search(queries, k=1).rows[:, 0], torch.arange(ITEMS, ITEMS + QUERIES))
    assert [p.name for p in tmp_path.iterdir()] == ["index.safetensors"]


@pytest.mark.parametrize("kind", ["graph", "cells"])
def test_faiss_with_enough_effort_finds_what_exact_search_finds(kind):
    vectors, queries = normal(ITEMS, DIM).float(), normal(QUERIES, DIM, seed=1).float()
    index = INDEXES[kind](DIM)
    index.add(vectors[:150])
    index.add(vectors[150:])
    found, expected = index.search(queries, k=5), ImageIndex.build(vectors).search(queries, k=5)
    torch.testing.assert_close(found.scores, expected.scores)
    assert torch.equal(found.rows, expected.rows)


def test_a_cell_with_too_few_vectors_is_no_reason_for_no_answer():
    index = FaissIndex.build(normal(ITEMS, DIM).float(), kind="cells", effort=1)
    assert index._index.nlist > 1
    scores, rows = index.search(normal(QUERIES, DIM, seed=1).float(), k=ITEMS)
    assert torch.equal(rows.sort(dim=1).values, torch.arange(ITEMS).expand(QUERIES, -1))
    assert (scores.diff(dim=1) <= 0).all()


def test_labels_are_the_paths_and_follow_the_rows():
    found = dataclasses.replace(features(torch.eye(3)), paths=(Path("a.png"), 7, Path("b/c.png")))
    assert ImageIndex.build(found).labels == ["a.png", "7", str(Path("b/c.png"))]
    assert ImageIndex.build(torch.eye(3)).labels == ["0", "1", "2"]
    named = ImageIndex.build(torch.eye(3), ["cat", "dog", "bird"])
    rows = named.search(torch.tensor([[0.0, 2.0, 1.0]]), k=2).rows
    assert named.labels_of(rows) == [["dog", "bird"]]
    assert len(named) == 3


def test_memory_is_four_bytes_a_number():
    assert ImageIndex.build(torch.ones(1000, 768)).megabytes == pytest.approx(3.072)


@pytest.mark.parametrize("kind", INDEXES)
def test_vectors_of_another_model_are_refused(kind):
    index = INDEXES[kind](DIM, model="ViT 1")
    index.add(features(normal(ITEMS, DIM)))
    other = features(normal(2, DIM), model="ResNet 2")
    for use in (index.search, index.add):
        with pytest.raises(ValueError, match=r"of one model .*of ViT 1, got vectors of ResNet 2"):
            use(other)
        with pytest.raises(ValueError, match=r"of one model .*of 7 numbers, got 5"):
            use(normal(2, 5))
    assert len(index) == ITEMS


def test_what_cannot_be_searched_is_told(tmp_path, without_shape_types):
    index = ImageIndex.build(torch.eye(3))
    with pytest.raises(ValueError, match=r"got \(3,\) of torch.float32: add the axis .* \[None\]"):
        index.search(torch.ones(3))
    with pytest.raises(ValueError, match=r"k >= 1; got 3 vectors, k=0"):
        index.search(torch.ones(1, 3), k=0)
    with pytest.raises(ValueError, match=r"got 0 vectors"):
        ImageIndex(3).search(torch.ones(1, 3))
    with pytest.raises(ValueError, match=r"row 1 has infinite or undefined"):
        index.add(torch.tensor([[1.0, 1.0, 1.0], [1.0, float("nan"), 1.0]]))
    with pytest.raises(ValueError, match="got 2 vectors and 3 labels"):
        index.add(torch.ones(2, 3), ["a", "b", "c"])
    with pytest.raises(ValueError, match="kind must be one of graph, cells; got 'tree'"):
        FaissIndex(3, kind="tree")
    with pytest.raises(FileNotFoundError, match="there is no index"):
        ImageIndex.load(tmp_path / "gone")
    (tmp_path / "text").write_text(json.dumps({"a": 1}))
    with pytest.raises(ValueError, match="damaged or no index"):
        ImageIndex.load(tmp_path / "text")
    assert len(index) == 3
