"""CNN, ViT and CvT of the same size, trained on few and on many images. For lesson 9."""

from pathlib import Path
from typing import Any

from torch import nn

from course_utils.evaluation import evaluate
from course_utils.experiments.images import (
    COMMON,
    LEARNING_RATES,
    MODELS,
    accuracy_numbers,
    build_model,
    cifar,
    count_parameters,
    history_numbers,
    train_model,
)
from course_utils.experiments.study import Job, Recipe, Study, job_folder
from course_utils.training import History


def train_job(recipe: Recipe, job: Job, cache: Path) -> tuple[nn.Module, History]:
    """The model of one job; trained now, or taken from `cache` if it was trained before."""
    model = build_model(job["model"], job["seed"], **recipe["models"][job["model"]]["arguments"])
    history = train_model(
        model,
        cifar("train", job["items"]),
        cifar("validation", recipe["validation_items"]),
        options={
            **recipe["training"],
            "epochs": recipe["epochs"][str(job["items"])],
            "learning_rate": recipe["models"][job["model"]]["learning_rate"],
        },
        seed=job["seed"],
        folder=job_folder("training_set_size", recipe, job, cache),
    )
    return model, history


def _jobs(recipe: Recipe) -> list[Job]:
    """Seed by seed, the small sizes first."""
    return [
        {"model": model, "items": int(items), "seed": seed}
        for seed in range(recipe["seeds"])
        for items in recipe["epochs"]
        for model in recipe["models"]
    ]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    model, history = train_job(recipe, job, cache)
    return {
        "parameters": count_parameters(model),
        **accuracy_numbers(evaluate(model, cifar("test", recipe["test_items"]))),
        **history_numbers(history),
    }


STUDY = Study(
    question="Which of CNN, ViT and CvT learns more from few images, and which from many?",
    recipe={
        "data": "CIFAR-10; trained on the first images of the train split, of which the smaller "
        "sets are parts of the larger ones; the epoch is chosen on 1,000 validation images whatever "
        "the size, more than the smallest sets would leave over; each run is tested once",
        "models": {
            name: {"arguments": {}, "learning_rate": LEARNING_RATES[name]} for name in MODELS
        },
        "epochs": {"500": 40, "2000": 25, "8000": 12, "32000": 5},  # images: epochs
        "validation_items": 1000,
        "test_items": None,
        "seeds": 3,
        "training": COMMON,
    },
    trial={
        "epochs": {"128": 2, "256": 1},
        "validation_items": 100,
        "test_items": 100,
        "seeds": 1,
    },
    jobs=_jobs,
    run=_run,
)
