"""Which explanations are true of which model? Deletion, insertion, pointing. For lesson 12.

Models that are good at drawn shapes, and methods that say where they look; the masks are exact.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_utils.data.controls import Between, ShapeStyle
from course_utils.data.normalized import NormalizedImages, normalize
from course_utils.data.shapes import Shapes, shapes
from course_utils.data.splits import Split
from course_utils.evaluation import evaluate
from course_utils.experiments.images import (
    COMMON,
    LEARNING_RATES,
    MODELS,
    accuracy_numbers,
    build_model,
    count_parameters,
    history_numbers,
    train_model,
)
from course_utils.experiments.study import Job, Recipe, Study, job_folder
from course_utils.explain.faithfulness import mean_interval, pointing_game
from course_utils.explain.methods import measure_faithfulness, saliency_maps

MEAN, STD = (0.5,), (0.25,)


def draw(recipe: Recipe, split: Split, items: int, seed: int, objects: int = 1) -> Shapes:
    """Scenes with one object, or two of different classes, anywhere, and clutter behind."""
    style = ShapeStyle(
        scale=Between(*recipe["scale"]), clutter=Between(0, recipe["clutter"]), objects=objects
    )
    return shapes(
        split, items=items, size=32, classes=tuple(recipe["classes"]), seed=seed, style=style
    )


def _jobs(recipe: Recipe) -> list[Job]:
    return [
        {"model": model, "seed": seed}
        for seed in range(recipe["seeds"])
        for model in recipe["models"]
    ]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    options = dict(recipe["models"][job["model"]])
    methods = options.pop("methods")
    model = build_model(job["model"], job["seed"], num_classes=len(recipe["classes"]))
    train, validation = (
        NormalizedImages(drawn.images, drawn.labels, MEAN, STD)
        for drawn in (
            draw(recipe, "train", recipe["items"], job["seed"]),
            draw(recipe, "validation", recipe["test_items"], 0),
        )
    )
    history = train_model(
        model,
        train,
        validation,
        options={**recipe["training"], **options},
        seed=job["seed"],
        folder=job_folder("explanations", recipe, job, cache),
    )
    test = draw(recipe, "test", recipe["test_items"], 0)
    two = draw(recipe, "test", recipe["test_items"], 1, objects=2)
    return {
        "parameters": count_parameters(model),
        **accuracy_numbers(evaluate(model, NormalizedImages(test.images, test.labels, MEAN, STD))),
        "methods": {method: marks_of(model, test, two, method) for method in methods},
        **history_numbers(history),
    }


def marks_of(model: nn.Module, one: Shapes, two: Shapes, method: str) -> Mapping[str, list[float]]:
    """Each mark's mean and 95 % interval: on scenes of one object for its class, and the pointing
    game with two objects of different classes, asked for each in turn.
    """
    images = normalize(one.images, MEAN, STD)
    marks = measure_faithfulness(model, images, one.labels, one.visible[:, 0], method)
    labels = two.object_labels
    differ = (labels[:, 0] != labels[:, 1]) & two.visible.flatten(2).any(dim=-1).all(dim=-1)
    scenes = normalize(two.images[differ], MEAN, STD)
    hits = [
        pointing_game(
            saliency_maps(model, scenes, labels[differ, entry], method),
            two.visible[differ, entry],
        )
        for entry in (0, 1)
    ]
    return {
        "deletion": _rounded(marks.deletion),
        "insertion": _rounded(marks.insertion),
        "pointing": _rounded(marks.pointing),
        # The two questions about one scene are not independent: their mean is one number.
        "pointing of two": _rounded(torch.stack(hits).mean(dim=0)),
    }


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in mean_interval(values)]


CHANCE = ["gradient", "grad_cam", "random", "center"]

STUDY = Study(
    question="Where a method says that a model looks: is it there that the answer comes from?",
    recipe={
        "data": "drawn shapes of 32 pixels, one an image, anywhere, with clutter; `pointing of two`: "
        "two of different classes; marks are [mean, low, high] over test images, for the true class",
        "classes": ["circle", "square", "triangle", "star", "cross", "heart"],
        "scale": [0.35, 0.5],
        "clutter": 6,
        "models": {
            name: {
                "learning_rate": LEARNING_RATES[name],
                "methods": {
                    "resnet_small32": CHANCE,
                    "vit_small32": ["attention", "rollout", *CHANCE],
                    "cvt_small32": ["attention", *CHANCE],
                }[name],
            }
            for name in MODELS
        },
        "items": 4000,
        "test_items": 500,
        "seeds": 3,
        "training": {"epochs": 10, **COMMON},
    },
    trial={"items": 60, "test_items": 12, "seeds": 1, "training": {"epochs": 1, **COMMON}},
    jobs=_jobs,
    run=_run,
)
