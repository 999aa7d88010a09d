"""Trained where shape and texture agree: which of the two is learned? For lesson 9.

The question is Geirhos et al.'s 2019, "ImageNet-trained CNNs are biased towards texture"; here both
cues are drawn, so that they can be tied together and torn apart.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from course_utils.data.controls import Each, ShapeStyle
from course_utils.data.normalized import NormalizedImages
from course_utils.data.shapes import Shapes, shapes
from course_utils.data.splits import Split
from course_utils.data.textures import TEXTURES
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

Cues = Literal["agree", "conflict", "shape only"]


def draw(recipe: Recipe, split: Split, items: int, cues: Cues, seed: int) -> Shapes:
    """Shapes whose texture is their class's own, another class's, or any class's at random."""
    classes, textures = tuple(recipe["cues"]), list(recipe["cues"].values())
    if cues == "agree":
        texture: Any = dict(recipe["cues"])
    elif cues == "shape only":
        texture = textures
    else:  # each class has the textures of all others in turn: none tells the shape
        labels = shapes(split, items=items, size=8, classes=classes, seed=seed).labels
        step = 1 + torch.arange(items) // len(classes) % (len(classes) - 1)
        texture = Each([textures[i] for i in ((labels + step) % len(classes)).tolist()])
    style = ShapeStyle(texture=texture)
    return shapes(split, items=items, size=recipe["size"], classes=classes, seed=seed, style=style)


def texture_labels(recipe: Recipe, drawn: Shapes) -> Tensor:
    """The class whose texture each image has."""
    places = [TEXTURES.index(name) for name in recipe["cues"].values()]
    own = torch.full((len(TEXTURES),), -1)
    own[places] = torch.arange(len(places))
    return own[drawn.textures[:, 0]]


def _data(drawn: Shapes) -> NormalizedImages:
    return NormalizedImages(drawn.images, drawn.labels, (0.5,), (0.25,))


def _jobs(recipe: Recipe) -> list[Job]:
    return [
        {"model": model, "trained": cues, "seed": seed}
        for seed in range(recipe["seeds"])
        for cues in ("agree", "shape only")
        for model in recipe["models"]
    ]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    options = dict(recipe["models"][job["model"]])
    model = build_model(
        job["model"], job["seed"], num_classes=len(recipe["cues"]), **options.pop("arguments")
    )
    history = train_model(
        model,
        _data(draw(recipe, "train", recipe["items"], job["trained"], job["seed"])),
        _data(draw(recipe, "validation", recipe["test_items"], job["trained"], 0)),
        options={**recipe["training"], **options},
        seed=job["seed"],
        folder=job_folder("texture_or_shape", recipe, job, cache),
    )
    same = draw(recipe, "test", recipe["test_items"], job["trained"], 0)
    torn = draw(recipe, "test", recipe["test_items"], "conflict", 0)
    answers = evaluate(model, _data(torn)).logits.argmax(dim=-1)
    by_shape = (answers == torn.labels).float().mean().item()
    by_texture = (answers == texture_labels(recipe, torn)).float().mean().item()
    return {
        "parameters": count_parameters(model),
        "as trained": accuracy_numbers(evaluate(model, _data(same))),
        "conflict": {"shape": round(by_shape, 4), "texture": round(by_texture, 4)},
        **history_numbers(history),
    }


STUDY = Study(
    question="Where shape and texture agree in training and not in the test: which one decides?",
    recipe={
        "data": "drawn shapes, one an image; in training each class has its own texture (agree), or "
        "any of the six (shape only); in the conflict a texture of another class; the epoch is "
        "chosen on images drawn as in training",
        "cues": {
            "circle": "stripes",
            "square": "checks",
            "triangle": "dots",
            "star": "plain",
            "cross": "noise",
            "heart": "gradient",
        },
        "models": {
            name: {"arguments": {}, "learning_rate": LEARNING_RATES[name]} for name in MODELS
        },
        "size": 32,
        "items": 4000,
        "test_items": 1000,
        "seeds": 3,
        "training": {"epochs": 10, **COMMON},
    },
    trial={"items": 120, "test_items": 60, "seeds": 1, "training": {"epochs": 1, **COMMON}},
    jobs=_jobs,
    run=_run,
)
