"""Nearest neighbors, a linear probe, fine-tuning or from scratch, on few and on many. For lesson 11.

A network that learned photographs meets drawn shapes: at 5, 50 and 500 examples a class.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from course_utils.data.controls import Between, ShapeStyle
from course_utils.data.normalized import NormalizedImages
from course_utils.data.shapes import shapes
from course_utils.data.splits import Split, balanced_order
from course_utils.evaluation import evaluate
from course_utils.experiments.images import COMMON, build_model, count_parameters, train_model
from course_utils.experiments.study import Job, Recipe, Study, job_folder
from course_utils.features import extract_features
from course_utils.measures import binomial_interval
from course_utils.weights import CHECKPOINTS, load_pretrained

Sets = Mapping[str, NormalizedImages]


def draw(recipe: Recipe, split: Split, items: int, seed: int) -> NormalizedImages:
    """Scenes of one shape each with clutter behind it, as the checkpoint takes its images."""
    style = ShapeStyle(scale=Between(*recipe["scale"]), clutter=Between(0, recipe["clutter"]))
    drawn = shapes(split, items=items, classes=tuple(recipe["classes"]), seed=seed, style=style)
    taken = CHECKPOINTS[recipe["checkpoint"]].transform
    return NormalizedImages(drawn.images, drawn.labels, taken.mean, taken.std)


def probe_scores(sets: Sets, vectors: Mapping[str, np.ndarray], recipe: Recipe) -> dict[str, Any]:
    """Nearest neighbors and a linear probe on fixed vectors; options chosen on validation."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler

    labels = {split: data.labels.numpy() for split, data in sets.items()}
    few = int(np.bincount(labels["train"]).min())
    tried = {
        "nearest neighbors": {
            k: make_pipeline(Normalizer(), KNeighborsClassifier(k))
            for k in recipe["neighbors"]
            if k <= few
        },
        "linear probe": {
            c: make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000))
            for c in recipe["regularization"]
        },
    }
    found = {}
    for method, models in tried.items():
        began = time.perf_counter()
        right = {}
        for option, model in models.items():
            model.fit(vectors["train"], labels["train"])
            right[option] = model.score(vectors["validation"], labels["validation"])
        best = max(right, key=lambda option: right[option])
        score = models[best].score(vectors["test"], labels["test"])
        found[method] = {**_numbers(best, right[best], score, sets), "trainable": 0}
        found[method]["seconds"] = round(time.perf_counter() - began, 1)
    width = vectors["train"].shape[1]
    found["linear probe"]["trainable"] = (width + 1) * len(recipe["classes"])
    return found


def first_weights(recipe: Recipe, method: str, seed: int) -> nn.Module:
    """A network with one logit a class: the checkpoint's with a new head, or new throughout."""
    about = CHECKPOINTS[recipe["checkpoint"]]
    assert about.preset is not None
    new = build_model(
        about.preset, seed, **{**about.arguments, "num_classes": len(recipe["classes"])}
    )
    if method == "fine-tuning":
        weights = load_pretrained(recipe["checkpoint"]).state_dict()
        head = "fc." if about.family == "resnet" else "head."
        kept = {name: value for name, value in weights.items() if not name.startswith(head)}
        new.load_state_dict({**new.state_dict(), **kept})
    return new


def trained_score(
    recipe: Recipe, sets: Sets, method: str, job: Job, folder: Path
) -> dict[str, Any]:
    """All weights trained, once for each learning rate; the better on validation is tested."""
    began, best = time.perf_counter(), -1.0
    for rate in recipe["learning_rates"]:
        model = first_weights(recipe, method, job["seed"])
        history = train_model(
            model,
            sets["train"],
            sets["validation"],
            options={
                **recipe["training"],
                "epochs": recipe["epochs"][str(job["examples"])],
                "learning_rate": rate,
            },
            seed=job["seed"],
            folder=folder / method / str(rate),
        )
        if max(history.validation_accuracy) > best:
            best, chosen, winner = max(history.validation_accuracy), rate, model
    test = evaluate(winner, sets["test"]).accuracy
    return {
        **_numbers(chosen, best, test, sets),
        "trainable": count_parameters(winner),
        "seconds": round(time.perf_counter() - began, 1),
    }


def _numbers(option: float, validation: float, test: float, sets: Sets) -> dict[str, Any]:
    total = len(sets["test"])
    low, high = binomial_interval(round(test * total), total)
    return {
        "option": option,
        "validation_accuracy": round(float(validation), 4),
        "accuracy": round(float(test), 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def _jobs(recipe: Recipe) -> list[Job]:
    return [
        {"examples": int(examples), "seed": seed}
        for seed in range(recipe["seeds"])
        for examples in recipe["epochs"]
    ]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    seed, classes = job["seed"], len(recipe["classes"])
    whole = draw(recipe, "train", max(map(int, recipe["epochs"])) * classes, seed)
    rows = torch.from_numpy(balanced_order(whole.labels.numpy(), seed)[: job["examples"] * classes])
    sets = {
        "train": NormalizedImages(whole.images[rows], whole.labels[rows], whole.mean, whole.std),
        "validation": draw(recipe, "validation", recipe["validation_items"], seed),
        "test": draw(recipe, "test", recipe["test_items"], seed),
    }
    vectors = {
        split: extract_features(data.images, recipe["checkpoint"], cache=None).vectors.numpy()
        for split, data in sets.items()
    }
    folder = job_folder("transfer", recipe, job, cache)
    return {
        "methods": probe_scores(sets, vectors, recipe)
        | {
            method: trained_score(recipe, sets, method, job, folder)
            for method in ("fine-tuning", "from scratch")
        }
    }


STUDY = Study(
    question="With 5, 50 and 500 examples a class, what is to be done with a trained network?",
    recipe={
        "data": "drawn shapes of 32 x 32 pixels, one in each image, with clutter; new ones for every "
        "seed; options (neighbors, regularization, learning rate, epoch) are chosen on the same "
        "validation images for every number of examples; each method is tested once a job",
        "checkpoint": "resnet_small32_cifar10",
        "classes": ["triangle", "star", "heart", "arrow"],
        "scale": [0.3, 0.8],
        "clutter": 8,
        "epochs": {"5": 30, "50": 20, "500": 6},  # examples a class: epochs
        "neighbors": [1, 3, 5, 15],
        "regularization": [0.001, 0.01, 0.1, 1.0, 10.0],
        "learning_rates": [0.0005, 0.003],
        "validation_items": 200,
        "test_items": 1000,
        "seeds": 3,
        "training": {**COMMON, "batch_size": 32},
    },
    trial={
        "epochs": {"2": 1, "3": 1},
        "validation_items": 12,
        "test_items": 20,
        "seeds": 1,
    },
    jobs=_jobs,
    run=_run,
)
