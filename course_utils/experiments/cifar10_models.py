"""The course's three checkpoints: trained on CIFAR-10, tested once. For lessons 6 to 13.

With `--full` the weights go to `course_utils/checkpoints`. A run that was trained elsewhere with the
same recipe is taken, if its `training_state.pt` lies where the study says it looks; then the
record's `seconds` are those of the test alone.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from course_utils.data import cifar10
from course_utils.data.normalized import CIFAR10_MEAN, CIFAR10_STD
from course_utils.evaluation import evaluate
from course_utils.experiments.images import (
    COMMON,
    accuracy_numbers,
    build_model,
    cifar,
    count_parameters,
    history_numbers,
    train_model,
)
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.training import History
from course_utils.weights import CHECKPOINTS, save_checkpoint

FOLDER = CHECKPOINTS.folder
log = logging.getLogger(__name__)


def state_folder(recipe: Recipe, model: str, cache: Path) -> Path:
    """Where the run of one model lies: another model's recipe may change and leaves it alone."""
    decides = json.dumps([recipe["models"][model], recipe["items"], recipe["seed"]], sort_keys=True)
    return cache / "cifar10_models" / f"{model}-{hashlib.sha256(decides.encode()).hexdigest()[:8]}"


def _trained(recipe: Recipe, name: str, cache: Path) -> tuple[nn.Module, History]:
    """One model with its best weights, rounded as they are shipped, and its history."""
    options = dict(recipe["models"][name])
    model = build_model(name, recipe["seed"], **options.pop("arguments"))
    folder = state_folder(recipe, name, cache)
    log.info("%s: its state is kept in %s", name, folder)
    history = train_model(
        model,
        cifar("train", recipe["items"]),
        cifar("validation", recipe["validation_items"]),
        options=options,
        seed=recipe["seed"],
        folder=folder,
    )
    return model.half().float(), history


def _jobs(recipe: Recipe) -> list[Job]:
    return [{"model": name} for name in recipe["models"]]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    model, history = _trained(recipe, job["model"], cache)
    validation = evaluate(model, cifar("validation", recipe["validation_items"]))
    test = cifar("test", recipe["test_items"])
    began = time.perf_counter()
    tested = evaluate(model, test)
    seconds = time.perf_counter() - began
    return {
        "parameters": count_parameters(model),
        **history_numbers(history),
        "validation": accuracy_numbers(validation),
        "test": accuracy_numbers(tested),
        "test_images_per_second": round(len(test) / seconds),
    }


def _keep(result: Mapping[str, Any], cache: Path) -> None:
    """Write the checkpoints, each with its recipe and its accuracy on the test images."""
    recipe = result["recipe"]
    for run in result["runs"]:
        name = run["model"]
        model, _ = _trained(recipe, name, cache)
        options = dict(recipe["models"][name])
        about = {
            "preset": name,
            "classes": list(cifar10("test", items=1).classes),
            "mean": list(CIFAR10_MEAN),
            "std": list(CIFAR10_STD),
            "size": 32,
            "recipe": {"data": recipe["data"], "items": recipe["items"], **options},
            "accuracy": run["test"]["accuracy"],
        }
        if options["arguments"]:
            about["arguments"] = options["arguments"]
        save_checkpoint(model, FOLDER / f"{name}_cifar10.safetensors", about)


def _options(epochs: int, *, augment: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """What `fit` and the preset are given: the studies' common recipe with `changes`."""
    return {
        "arguments": {},
        "epochs": epochs,
        **COMMON,
        **changes,
        "augment": {**COMMON["augment"], **augment},
    }


# Each has the recipe it was trained with, before the study learning_rates, and is not compared.
STUDY = Study(
    question="How well do the course's small CNN, ViT and CvT classify CIFAR-10?",
    recipe={
        "data": "CIFAR-10: 45,000 images to train on, 5,000 to choose the epoch, the test images "
        "looked at once, with the weights of the best validation epoch rounded to float16",
        "models": {
            "resnet_small32": _options(
                20,
                augment={"erase": 0.5},
                arguments={"widths": [32, 96, 224], "depths": [1, 2, 2]},
                learning_rate=0.004,
                weight_decay=0.25,
            ),
            "vit_small32": _options(
                40, augment={"mix": 0.25}, arguments={"stem": "conv"}, learning_rate=0.0015
            ),
            "cvt_small32": _options(30, augment={"mix": 0.25}, learning_rate=0.0015),
        },
        "items": None,
        "validation_items": None,
        "test_items": None,
        "seed": 0,
    },
    trial={
        "models": {"resnet_small32": _options(1, augment={}, learning_rate=0.003)},
        "items": 256,
        "validation_items": 100,
        "test_items": 100,
    },
    jobs=_jobs,
    run=_run,
    keep=_keep,
)
