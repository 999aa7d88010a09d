"""Which explanations are true of which model? Deletion, insertion, pointing. For lesson 12.

Models that are good at drawn shapes, and methods that say where they look; the masks are exact. With
`--full` the weights of the first seed go to `course_utils/checkpoints`, so that the lesson can look
into the very models that were measured.
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
from course_utils.training import History
from course_utils.weights import CHECKPOINTS, load_pretrained, save_checkpoint

MEAN, STD = (0.5,), (0.25,)
FOLDER = CHECKPOINTS.folder


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


def _trained(recipe: Recipe, job: Job, cache: Path) -> tuple[nn.Module, History]:
    """One model with its best weights, rounded as they are shipped, and its history."""
    options = dict(recipe["models"][job["model"]])
    options.pop("methods")
    model = _first_weights(recipe, job, options.pop("start"))
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
    return model.half().float(), history


def _first_weights(recipe: Recipe, job: Job, start: str | None) -> nn.Module:
    """A model of the preset with random weights, or those of a checkpoint and a new head."""
    classes = len(recipe["classes"])
    if start is None:
        return build_model(job["model"], job["seed"], num_classes=classes)
    model = load_pretrained(start)
    head = model.get_submodule("head")
    assert isinstance(head, nn.Linear)  # of the course's ViT and CvT
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job["seed"])
        model.head = nn.Linear(head.in_features, classes)
    return model


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    methods = recipe["models"][job["model"]]["methods"]
    model, history = _trained(recipe, job, cache)
    test = draw(recipe, "test", recipe["test_items"], 0)
    two = draw(recipe, "test", recipe["test_items"], 1, objects=2)
    return {
        "parameters": count_parameters(model),
        **accuracy_numbers(evaluate(model, NormalizedImages(test.images, test.labels, MEAN, STD))),
        "methods": {
            method: marks_of(model, test, two, method, recipe["steps"]) for method in methods
        },
        **history_numbers(history),
    }


def _keep(result: Mapping[str, Any], cache: Path) -> None:
    """Write the weights of the first seed, each with its recipe and its accuracy."""
    recipe = result["recipe"]
    for run in result["runs"]:
        if run["seed"]:
            continue
        model, _ = _trained(recipe, {key: run[key] for key in ("model", "seed")}, cache)
        trained = {key: recipe[key] for key in ("data", "items", "scale", "clutter", "training")}
        about = {
            "preset": run["model"],
            "arguments": _arguments(recipe, run["model"]),
            "classes": list(recipe["classes"]),
            "mean": [MEAN[0]] * 3,
            "std": [STD[0]] * 3,
            "size": 32,
            "recipe": trained,
            "accuracy": run["accuracy"],
        }
        save_checkpoint(model, FOLDER / f"{run['model']}_shapes.safetensors", about)


def _arguments(recipe: Recipe, name: str) -> dict[str, Any]:
    """What the model was made with: those of the checkpoint that it began with, other classes."""
    start = recipe["models"][name]["start"]
    given = dict(CHECKPOINTS[start].arguments) if start else {}
    return given | {"num_classes": len(recipe["classes"])}


def marks_of(
    model: nn.Module, one: Shapes, two: Shapes, method: str, steps: int
) -> Mapping[str, list[float]]:
    """Each mark's mean and 95 % interval: on scenes of one object for its class, and the pointing
    game with two objects of different classes, asked for each in turn.
    """
    images = normalize(one.images, MEAN, STD)
    masks = one.visible[:, 0]
    marks = measure_faithfulness(model, images, one.labels, masks, method, steps=steps)
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


# Few pictures are enough for a CNN; the transformers begin with what they know of CIFAR-10.
OPTIONS: dict[str, dict[str, Any]] = {
    "resnet_small32": {"start": None, "learning_rate": 0.003, "epochs": 8},
    "vit_small32": {"start": "vit_small32_cifar10", "learning_rate": 0.0005, "epochs": 4},
    "cvt_small32": {"start": "cvt_small32_cifar10", "learning_rate": 0.0005, "epochs": 4},
}
CHANCE = ["gradient", "grad_cam", "random", "center"]

STUDY = Study(
    question="Where a method says that a model looks: is it there that the answer comes from?",
    recipe={
        "data": "drawn shapes of 32 pixels, one an image, anywhere, with clutter; `pointing of two`: "
        "two of different classes; marks are [mean, low, high] over test images, for the true class; "
        "the epoch is chosen on other images; weights are rounded to float16",
        "start": "None: random weights; else a checkpoint of the course, with a new head",
        "classes": ["circle", "square", "triangle", "star", "cross", "heart"],
        "scale": [0.35, 0.5],
        "clutter": 6,
        "models": {
            name: {
                **OPTIONS[name],
                "methods": {
                    "resnet_small32": CHANCE,
                    "vit_small32": ["attention", "rollout", *CHANCE],
                    "cvt_small32": ["attention", *CHANCE],
                }[name],
            }
            for name in MODELS
        },
        "items": 3000,
        "test_items": 200,
        "steps": 8,
        "seeds": 2,
        "training": {**COMMON, "batch_size": 64},
    },
    trial={"items": 60, "test_items": 12, "seeds": 1, "steps": 2},
    jobs=_jobs,
    run=_run,
    keep=_keep,
)
