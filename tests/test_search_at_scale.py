"""The study of approximate search: its vectors, its measures, and what was recorded."""

import json

import pytest
import torch
from nbtools import ROOT

from course_utils.experiments import search_at_scale as study
from course_utils.experiments.study import find_study
from course_utils.search import ImageIndex

SIZES = (10_000, 100_000, 1_000_000)
RECORDED = ROOT / "course_utils/results/search_at_scale.json"


def test_patches_are_all_windows_of_all_photographs_once_and_without_their_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    photographs = [torch.rand(3, 17, 19, dtype=torch.float64), torch.rand(3, 16, 18).double()]
    expected = []
    for photo in photographs:
        for top in range(photo.shape[1] - 15):
            for left in range(photo.shape[2] - 15):
                window = photo[:, top : top + 16, left : left + 16].flatten()
                expected.append(window - window.mean())
    found = study.patches(photographs, 11, generator)
    apart = torch.cdist(found, torch.stack(expected))
    assert sorted(apart.argmin(dim=1).tolist()) == list(range(11))
    assert apart.min(dim=1).values.max() < 1e-12
    with pytest.raises(ValueError, match="12 patches were asked for; there are 11 places"):
        study.patches(photographs, 12, generator)


@pytest.mark.parametrize("data", ["patches", "random"])
def test_queries_are_not_in_the_collection_and_both_come_back_the_same(data: str) -> None:
    vectors, queries = study.collection(data, 501, 7)
    assert vectors.shape == (501, 768)
    assert torch.cdist(queries, vectors).min() > 0.1
    again, queries_again = study.collection(data, 501, 7)
    assert torch.equal(vectors, again)
    assert torch.equal(queries, queries_again)


def test_recall_is_of_the_same_query_in_any_order() -> None:
    found = torch.tensor([[4, 2, 9], [5, 6, 7]])
    truth = torch.tensor([[2, 4], [9, 5]])
    assert study.recall(found, truth).tolist() == [1.0, 0.5]


def test_one_by_one_finds_what_all_at_once_find() -> None:
    vectors, queries = study.collection("random", 101, 7)
    index = ImageIndex.build(vectors)
    rows, spread = study.one_by_one(index, queries, 5)
    assert torch.equal(rows, index.search(queries, 5).rows)
    assert 0 < spread["milliseconds"] <= spread["milliseconds_95"]


def test_with_all_cells_open_nothing_is_missed() -> None:
    recipe = {**find_study("search_at_scale").recipe, "queries": 11, "threads": 1}
    recipe["efforts"] = {"cells": [1, 1000]}
    kinds = study.measure(recipe, "random", 801)
    few, all_of_them = kinds["cells"]["efforts"]
    assert kinds["exact"]["efforts"][0]["recall"] == all_of_them["recall"] == 1
    assert few["recall"] < 0.9
    assert few["standard_error"] > 0
    assert kinds["exact"]["megabytes"] == round(801 * 768 * 4 / 1e6, 1)


def one(run: dict, kind: str, effort: int) -> dict:
    return next(found for found in run[kind]["efforts"] if found["effort"] == effort)


def test_the_record_is_complete_and_says_what_lesson_10_says() -> None:
    record, recipe = json.loads(RECORDED.read_text()), find_study("search_at_scale").recipe
    assert record["recipe"] == recipe
    runs = {(run["data"], run["items"]): run for run in record["runs"]}
    assert set(runs) == {(data, items) for data, sizes in recipe["data"].items() for items in sizes}
    for run in runs.values():
        for kind, efforts in recipe["efforts"].items():
            assert [one["effort"] for one in run[kind]["efforts"]] == efforts

    exact = [runs["patches", items]["exact"]["efforts"][0]["milliseconds"] for items in SIZES]
    assert [round(exact[0], 1), round(exact[1]), round(exact[2])] == [1.3, 14, 144]
    at_16 = [one(runs["patches", items], "graph", 16)["recall"] for items in SIZES]
    assert at_16 == pytest.approx([0.95, 0.88, 0.72], abs=0.0051)
    million = runs["patches", 1_000_000]
    for good in (one(million, "cells", 16), one(million, "graph", 256)):
        assert 0.96 <= good["recall"] < 0.975
        assert exact[2] > 100 * good["milliseconds"]
        assert good["milliseconds"] == pytest.approx(1.1, abs=0.1)
    for kind, seconds in (("cells", 115), ("graph", 114)):
        assert round(million[kind]["build_seconds"]) == seconds
    assert (million["exact"]["megabytes"], million["graph"]["megabytes"]) == (3072.0, 3344.1)
    for kind in ("cells", "graph"):
        assert runs["random", 100_000][kind]["efforts"][-1]["recall"] < 0.5
