"""Whose vectors bring pictures of one class together? On CIFAR-10's test pictures, for lesson 10.

Every picture is a query once, among all others. Two baselines need no model.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.data import cifar10
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.explain.faithfulness import mean_interval
from course_utils.features import extract_features
from course_utils.search import ImageIndex

BASELINES = {"raw pixels": 8, "mean color": 1}  # how many pixels the side is shrunk to


def vectors_of(name: str, images: Tensor) -> Tensor:
    """(items, dim) for `images` (items, 3, height, width), bytes: by a checkpoint, or a baseline.

    The baselines are the pixels of the shrunk picture, minus middle gray.
    """
    if name in BASELINES:
        return F.adaptive_avg_pool2d(images / 255 - 0.5, BASELINES[name]).flatten(1)
    return extract_features(images, name, cache=None).vectors


def precision_at_k(vectors: Tensor, labels: Tensor, k: int) -> Tensor:
    """(items,): which share of the `k` most similar others has each item's label."""
    rows = ImageIndex.build(vectors).search(vectors, k + 1).rows
    own = rows == torch.arange(len(rows))[:, None]
    own[~own.any(dim=1), -1] = True  # equal pictures came before it: the last place is one too many
    others = rows[~own].view(len(rows), k)
    return (labels[others] == labels[:, None]).double().mean(dim=1)


def _jobs(recipe: Recipe) -> list[Job]:
    return [{"vectors": name} for name in recipe["vectors"]]


def _run(recipe: Recipe, job: Job, _cache: Path) -> dict[str, Any]:
    test = cifar10("test", items=recipe["items"])
    shares = precision_at_k(vectors_of(job["vectors"], test.images), test.labels, recipe["k"])
    mean, low, high = (round(value, 4) for value in mean_interval(shares))
    return {"precision": mean, "low": low, "high": high}


STUDY = Study(
    question="Do the pictures that a model finds most similar have the same class?",
    recipe={
        "what": "CIFAR-10 test pictures, each a query among all others; share of the k most similar "
        "by cosine that has its class, mean and 95 % interval over the queries; checkpoints of the "
        "course, one trained model of each kind; raw pixels: 8 x 8 of them, minus middle gray",
        "vectors": [
            "resnet_small32_cifar10",
            "vit_small32_cifar10",
            "cvt_small32_cifar10",
            *BASELINES,
        ],
        "items": 10_000,
        "k": 5,
    },
    trial={"items": 500},
    jobs=_jobs,
    run=_run,
)
