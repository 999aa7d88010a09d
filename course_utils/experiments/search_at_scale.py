"""What does approximate search miss, and what does it save, up to a million vectors? For lesson 10.

The vectors are real ones that need no download: patches of 16 x 16 pixels from the course's
photographs, 768 numbers each, as a ViT-B/16 gets them; and random numbers for contrast.
"""

import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.data import photos
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.search import FaissIndex, ImageIndex

ASKED = "cat"  # the photograph whose patches are the queries; none of them is in the index
SIDE = 16


def patches(photographs: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """(count, 3 * 16 * 16): patches at different random places, each minus its mean.

    Places are drawn from all places of all `photographs` (3, height, width) alike; patches may
    overlap. Raises `ValueError` for more patches than places.
    """
    windows = [photo.unfold(1, SIDE, 1).unfold(2, SIDE, 1) for photo in photographs]
    places = [window.shape[1] * window.shape[2] for window in windows]
    if count > sum(places):
        raise ValueError(f"{count} patches were asked for; there are {sum(places)} places")
    chosen = torch.randperm(sum(places), generator=generator)[:count].sort().values
    ends = np.cumsum([0, *places])
    parts = []
    for window, first, end in zip(windows, ends, ends[1:], strict=False):
        here = chosen[(chosen >= first) & (chosen < end)] - first
        part = window[:, here // window.shape[2], here % window.shape[2]]
        parts.append(part.transpose(0, 1).flatten(1))
    found = torch.cat(parts)
    found -= found.mean(dim=1, keepdim=True)
    return found[torch.randperm(count, generator=generator)]


def collection(data: str, items: int, queries: int) -> tuple[Tensor, Tensor]:
    """(items, 768) to search in, and (queries, 768) to search for. `data`: "patches" or "random"."""
    generator = torch.Generator().manual_seed(0)
    if data == "random":
        drawn = torch.randn(items + queries, 3 * SIDE * SIDE, generator=generator)
        return drawn[:items], drawn[items:]
    pictures = photos()
    asked = pictures.pop(ASKED)
    asked_for = patches([asked], queries, generator)
    return patches(list(pictures.values()), items, generator), asked_for


def recall(found: Tensor, truth: Tensor) -> Tensor:
    """(queries,): the share of each query's true rows, `truth` (queries, k), that is in `found`."""
    return (truth[:, :, None] == found[:, None, :]).any(dim=2).double().mean(dim=1)


def one_by_one(index: ImageIndex, queries: Tensor, k: int) -> tuple[Tensor, dict[str, float]]:
    """The rows that are found (queries, k), and the milliseconds that a query takes alone."""
    index.search(queries[:1], k)  # whatever is set up once, is set up now
    rows, times = [], []
    for query in queries:
        began = time.perf_counter()
        rows.append(index.search(query[None], k).rows)
        times.append(1000 * (time.perf_counter() - began))
    spread = {
        "milliseconds": round(float(np.median(times)), 4),
        "milliseconds_95": round(float(np.quantile(times, 0.95)), 4),
    }
    return torch.cat(rows), spread


def measure(recipe: Recipe, data: str, items: int) -> dict[str, Any]:
    """Build seconds and megabytes of each kind; recall and milliseconds of each effort."""
    torch.set_num_threads(recipe["threads"])
    vectors, queries = collection(data, items, recipe["queries"])
    kinds: dict[str, Any] = {}
    truth = torch.empty(0)
    for kind in ("exact", *recipe["efforts"]):
        began = time.perf_counter()
        index: Any = (
            ImageIndex.build(vectors) if kind == "exact" else FaissIndex.build(vectors, kind=kind)
        )
        built = round(time.perf_counter() - began, 3)
        efforts = []
        for effort in recipe["efforts"].get(kind, [0]):
            index.effort = effort
            rows, spread = one_by_one(index, queries, recipe["k"])
            if kind == "exact":
                truth = rows
            found = recall(rows, truth)
            error = found.std().item() / len(found) ** 0.5
            shares = {"recall": round(found.mean().item(), 4), "standard_error": round(error, 4)}
            efforts.append({"effort": effort, **shares, **spread})
        kinds[kind] = {"build_seconds": built, "megabytes": round(index.megabytes, 1)}
        kinds[kind]["efforts"] = efforts
    return kinds


def _jobs(recipe: Recipe) -> list[Job]:
    return [
        {"data": data, "items": items} for data, sizes in recipe["data"].items() for items in sizes
    ]


def _run(recipe: Recipe, job: Job, _cache: Path) -> dict[str, Any]:
    """In a process of its own, so that no memory of another job is in the way."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (recipe, job["data"], job["items"]))


STUDY = Study(
    question="What does approximate search miss and save, from ten thousand vectors to a million?",
    recipe={
        "what": "vectors of 768, float32, normalized; patches: 16 x 16 pixels of six photographs, "
        "minus their mean, the queries from a seventh; random: normal numbers; every query alone, "
        "median and 95th percentile; recall@k against exact search, its standard error over the "
        "queries; megabytes of the stored index (10^6 bytes)",
        "data": {"patches": [10_000, 100_000, 1_000_000], "random": [10_000, 100_000]},
        "efforts": {"cells": [1, 4, 16, 64, 256], "graph": [16, 64, 256]},
        "queries": 200,
        "k": 10,
        "threads": 2,
    },
    trial={"data": {"patches": [2000], "random": [2000]}, "queries": 20},
    jobs=_jobs,
    run=_run,
)
