"""Which learning rate and weight decay suit each model? Asked before they are compared (lesson 9)."""

from pathlib import Path
from typing import Any

from course_utils.evaluation import evaluate
from course_utils.experiments.images import (
    COMMON,
    MODELS,
    accuracy_numbers,
    build_model,
    cifar,
    history_numbers,
    train_model,
)
from course_utils.experiments.study import Job, Recipe, Study, job_folder


def _jobs(recipe: Recipe) -> list[Job]:
    """The same grid for every model: none is searched longer than another."""
    return [
        {"model": model, "learning_rate": rate, "weight_decay": decay}
        for rate in recipe["learning_rates"]
        for decay in recipe["weight_decays"]
        for model in recipe["models"]
    ]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    validation = cifar("validation", recipe["validation_items"])
    model = build_model(job["model"], recipe["seed"], **recipe["models"][job["model"]])
    chosen = {name: job[name] for name in ("learning_rate", "weight_decay")}
    history = train_model(
        model,
        cifar("train", recipe["items"]),
        validation,
        options={**recipe["training"], **chosen},
        seed=recipe["seed"],
        folder=job_folder("learning_rates", recipe, job, cache),
    )
    return {**accuracy_numbers(evaluate(model, validation)), **history_numbers(history)}


STUDY = Study(
    question="Which learning rate and weight decay suit each of the three models?",
    recipe={
        "data": "CIFAR-10; trained on the first images of the train split, measured on 2,000 "
        "validation images, on which also the best epoch is chosen; the test images are not used",
        "models": {name: {} for name in MODELS},  # arguments besides the preset's
        "learning_rates": [0.0003, 0.001, 0.003, 0.009],
        "weight_decays": [0.05],
        "items": 4000,
        "validation_items": 2000,
        "seed": 0,
        "training": {"epochs": 10, **COMMON},
    },
    trial={
        "learning_rates": [0.001],
        "weight_decays": [0.05],
        "items": 128,
        "validation_items": 100,
        "training": {"epochs": 1, **COMMON},
    },
    jobs=_jobs,
    run=_run,
)
