"""What each choice in a small Vision Transformer is worth: one is changed at a time. For lesson 6."""

from pathlib import Path
from typing import Any

import torch

from course_utils.evaluation import evaluate
from course_utils.experiments.images import (
    COMMON,
    LEARNING_RATES,
    accuracy_numbers,
    build_model,
    cifar,
    count_parameters,
    history_numbers,
    train_model,
)
from course_utils.experiments.study import Job, Recipe, Study, job_folder

# What differs from the preset: class token, learned positions, pre-norm, depth 6, patches of 4.
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "mean pooling": {"pool": "mean"},
    "no positions": {"positions": "none"},
    "sinusoidal positions": {"positions": "sinusoidal"},
    "post-norm": {"norm": "post"},
    "depth 1": {"depth": 1},
    "depth 3": {"depth": 3},
    "patch 8": {"patch_size": 8},
    "patch 16": {"patch_size": 16},
    "convolutional stem": {"stem": "conv"},
}


def _jobs(recipe: Recipe) -> list[Job]:
    return [
        {"variant": variant, "seed": seed}
        for seed in range(recipe["seeds"])
        for variant in recipe["variants"]
    ]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    model = build_model(recipe["preset"], job["seed"], **recipe["variants"][job["variant"]])
    validation = cifar("validation", recipe["validation_items"])
    history = train_model(
        model,
        cifar("train", recipe["items"]),
        validation,
        options=recipe["training"],
        seed=job["seed"],
        folder=job_folder("vit_ablations", recipe, job, cache),
    )
    images, _ = validation[torch.arange(1)]
    return {
        "parameters": count_parameters(model),
        "tokens": model.get_submodule("patch_embed")(images).shape[1]
        + (0 if recipe["variants"][job["variant"]].get("pool") == "mean" else 1),
        **accuracy_numbers(evaluate(model, validation)),
        **history_numbers(history),
    }


STUDY = Study(
    question="What is each choice in a small ViT worth on 10,000 images of CIFAR-10?",
    recipe={
        "data": "CIFAR-10; trained on the first images of the train split, measured on 2,000 "
        "validation images, on which also the best epoch is chosen; the test images are not used",
        "preset": "vit_small32",
        "variants": VARIANTS,
        "items": 10_000,
        "validation_items": 2000,
        "seeds": 3,
        "training": {"epochs": 8, "learning_rate": LEARNING_RATES["vit_small32"], **COMMON},
    },
    trial={
        "seeds": 1,
        "items": 256,
        "validation_items": 100,
        "training": {"epochs": 1, "learning_rate": LEARNING_RATES["vit_small32"], **COMMON},
    },
    jobs=_jobs,
    run=_run,
)
