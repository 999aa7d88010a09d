"""What the studies on images share: models by name, CIFAR-10, training that goes on, scores."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_utils.augmentation import Augment
from course_utils.data import Split, cifar10
from course_utils.data.normalized import CIFAR10_MEAN, CIFAR10_STD, NormalizedImages
from course_utils.evaluation import Data, Evaluation
from course_utils.measures import binomial_interval
from course_utils.training import History, TrainConfig, fit
from course_utils.weights.checkpoint import FAMILIES, PRESETS, family_of

MODELS = ("resnet_small32", "vit_small32", "cvt_small32")
# What the course's small models are trained with, unless a recipe says otherwise.
COMMON: dict[str, Any] = {
    "batch_size": 128,
    "weight_decay": 0.05,
    "warmup": 0.05,
    "label_smoothing": 0.1,
    "clip": 1.0,
    "precision": "bfloat16",
    "augment": asdict(Augment()),
}
# The best of the study learning_rates for each.
LEARNING_RATES = {"resnet_small32": 0.003, "vit_small32": 0.001, "cvt_small32": 0.001}


def build_model(preset: str, seed: int, **arguments: Any) -> nn.Module:
    """A model of a preset, with other `arguments` where given; `seed` decides its first weights."""
    family = family_of(preset)
    # JSON, in which recipes are kept, has no tuples.
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FAMILIES[family](**{**PRESETS[family][preset], **given})


@lru_cache(maxsize=8)
def cifar(split: Split, items: int | None = None) -> NormalizedImages:
    """CIFAR-10 as the models take it; decoding takes seconds, so it is kept."""
    data = cifar10(split, items=items)
    return NormalizedImages(data.images, data.labels, CIFAR10_MEAN, CIFAR10_STD)


def train_model(
    model: nn.Module,
    train: Data,
    validation: Data,
    *,
    options: Mapping[str, Any],
    seed: int,
    folder: Path,
) -> History:
    """`fit` with the `options` of a recipe; a run that `folder` holds goes on, or is taken."""
    config = TrainConfig(**{**options, "augment": Augment(**options["augment"]), "seed": seed})
    return fit(model, train, validation, config=config, folder=folder)


def count_parameters(model: nn.Module) -> int:
    """The number of all weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def history_numbers(history: History) -> dict[str, Any]:
    """A history as a result has it: rounded, a number for each epoch."""
    numbers = asdict(history)
    for name in ("train_loss", "validation_loss", "validation_accuracy"):
        numbers[name] = [round(value, 4) for value in numbers[name]]
    return numbers


def accuracy_numbers(result: Evaluation) -> dict[str, Any]:
    """The share of right answers and its 95 % interval."""
    total = len(result.labels)
    right = int((result.logits.argmax(dim=-1) == result.labels).sum())
    low, high = binomial_interval(right, total)
    return {"accuracy": round(right / total, 4), "interval": [round(low, 4), round(high, 4)]}
