"""What is said of CNNs and ViTs, measured: shifts, order of patches, sizes, noise, blur, confidence,
and how alike their layers are. For lesson 9; the models are those of `training_set_size`.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.cnn import ResidualBlock
from course_utils.cvt import ConvBlock, ConvEmbedding
from course_utils.data.normalized import CIFAR10_MEAN, CIFAR10_STD, NormalizedImages, normalize
from course_utils.evaluation import Evaluation, evaluate
from course_utils.experiments import training_set_size
from course_utils.experiments.images import accuracy_numbers, cifar
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.measures import linear_cka, reliability, shift_images, shuffle_patches
from course_utils.transformer import EncoderBlock
from course_utils.vit import ConvStem, PatchEmbedding

DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # down, right
LAYERS = (ResidualBlock, PatchEmbedding, ConvStem, EncoderBlock, ConvEmbedding, ConvBlock)


class Changed:
    """CIFAR-10's test images with `change` done to the pixels, 0 ... 1, before they are normalized."""

    def __init__(self, data: NormalizedImages, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        self.data, self.change = data, change

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.change(self.data.images[rows].float() / 255, rows)
        return normalize(pixels, CIFAR10_MEAN, CIFAR10_STD), self.data.labels[rows]


def shifted(
    model: nn.Module, data: NormalizedImages, still: Evaluation, distance: int, wrap: bool
) -> dict[str, float]:
    """Accuracy and share of unchanged answers after a move by `distance`, mean of four directions.

    What comes in is the mean color (zero after normalization, as in training), or with `wrap` what
    went out at the other side.
    """
    accuracy, same = 0.0, 0.0
    gray = torch.tensor(CIFAR10_MEAN)[:, None, None]
    for down, right in DIRECTIONS:
        move = _mover(down * distance, right * distance, wrap, gray)
        moved = evaluate(model, Changed(data, move))
        accuracy += moved.accuracy / len(DIRECTIONS)
        same += _agreement(still, moved) / len(DIRECTIONS)
    return {"accuracy": round(accuracy, 4), "same": round(same, 4)}


def _mover(down: int, right: int, wrap: bool, gray: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda pixels, rows: shift_images(pixels - gray, down, right, wrap=wrap) + gray


def _agreement(one: Evaluation, other: Evaluation) -> float:
    return (one.logits.argmax(-1) == other.logits.argmax(-1)).float().mean().item()


def shuffled(tiles: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A change: the parts of each image in a random order, for a row always the same."""
    return lambda pixels, rows: torch.cat(
        [
            shuffle_patches(image[None], tiles, seed=row)
            for image, row in zip(pixels, rows.tolist(), strict=True)
        ]
    )


def resized(side: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A change: enlarged or reduced, bicubic, without aliasing."""
    return lambda pixels, rows: F.interpolate(
        pixels, (side, side), mode="bicubic", antialias=True
    ).clamp(0, 1)


def noisy(deviation: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A change: normal noise on each value, for a row always the same; then cut to 0 ... 1."""

    def change(pixels: Tensor, rows: Tensor) -> Tensor:
        noise = torch.stack(
            [
                torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(row))
                for row in rows.tolist()
            ]
        )
        return (pixels + deviation * noise).clamp(0, 1)

    return change


def blurred(deviation: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A change: the mean with neighbors, weighted by a normal curve of so many pixels."""
    from torchvision.transforms.v2.functional import gaussian_blur

    size = 2 * round(3 * deviation) + 1
    return lambda pixels, rows: gaussian_blur(pixels, [size, size], [deviation, deviation])


CHANGES = {"patches": shuffled, "sides": resized, "noise": noisy, "blur": blurred}


def calibration(result: Evaluation, bins: int) -> dict[str, Any]:
    """The expected calibration error and its bins."""
    found = reliability(result.logits, result.labels, bins)
    numbers = {
        name: [round(value, 4) for value in getattr(found, name).tolist()]
        for name in ("share", "confidence", "accuracy")
    }
    return {"expected_error": round(found.expected_error, 4), **numbers}


@torch.no_grad()
def layer_features(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """(images, channels) after every embedding and block, in order: the mean over all places.

    So layers with different numbers of places can be compared; where in the image something is does
    not count. In the encoders' blocks the class token is one of the places.
    """
    found: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            found[name] = output.mean(dim=(2, 3)) if output.dim() == 4 else output.mean(dim=1)

        return hook

    handles = [
        layer.register_forward_hook(note(name))
        for name, layer in model.named_modules()
        if isinstance(layer, LAYERS)
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return found


def similarities(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[list[float]]:
    """Linear CKA of every layer of one (rows) with every layer of the other (columns)."""
    return [
        [round(linear_cka(x.double(), y.double()), 4) for y in other.values()] for x in one.values()
    ]


def _model(recipe: Recipe, name: str, seed: int, cache: Path) -> nn.Module:
    training = recipe["training"]
    largest = max(map(int, training["epochs"]))
    job = {"model": name, "items": largest, "seed": seed}
    return training_set_size.train_job(training, job, cache)[0]


def _pairs(recipe: Recipe) -> Iterator[Job]:
    """Each model with itself, with itself trained anew, and with each other model."""
    names = list(recipe["training"]["models"])
    for name in names:
        for seed in range(min(2, recipe["training"]["seeds"])):
            yield {
                "measure": "similarity",
                "model": name,
                "seed": 0,
                "other": name,
                "other_seed": seed,
            }
    for one, other in combinations(names, 2):
        yield {"measure": "similarity", "model": one, "seed": 0, "other": other, "other_seed": 0}


def _jobs(recipe: Recipe) -> list[Job]:
    runs: list[Job] = [
        {"measure": "answers", "model": model, "seed": seed}
        for seed in range(recipe["training"]["seeds"])
        for model in recipe["training"]["models"]
    ]
    return [*runs, *_pairs(recipe)]


def _run(recipe: Recipe, job: Job, cache: Path) -> dict[str, Any]:
    model = _model(recipe, job["model"], job["seed"], cache)
    if job["measure"] == "similarity":
        other = _model(recipe, job["other"], job["other_seed"], cache)
        images, _ = cifar("test")[torch.arange(recipe["similarity_items"])]
        one, two = layer_features(model, images), layer_features(other, images)
        return {"layers": list(one), "other_layers": list(two), "cka": similarities(one, two)}
    data = cifar("test", recipe["items"])
    still = evaluate(model, data)
    numbers: dict[str, Any] = {
        **accuracy_numbers(still),
        "calibration": calibration(still, recipe["bins"]),
    }
    for name, wrap in (("shifted", False), ("wrapped", True)):
        numbers[name] = [
            shifted(model, data, still, distance, wrap) for distance in recipe["shifts"]
        ]
    for name, make in CHANGES.items():
        results = [evaluate(model, Changed(data, make(value))) for value in recipe[name]]
        numbers[name] = [
            {"accuracy": round(result.accuracy, 4), "same": round(_agreement(still, result), 4)}
            for result in results
        ]
    return numbers


STUDY = Study(
    question="Which claims about CNNs, ViTs and CvTs hold for three small ones?",
    recipe={
        "data": "the first images of CIFAR-10's test split, every class equally often; the models "
        "are those of training_set_size, trained on the most images",
        "training": training_set_size.STUDY.recipe,
        "items": 2000,
        "shifts": [0, 1, 2, 3, 4, 6, 8],  # pixels, mean of four directions
        "patches": [2, 4, 8],  # tiles a side
        "sides": [24, 32, 40, 48],  # pixels, bicubic
        "noise": [0.02, 0.05, 0.1, 0.2],  # standard deviation, of pixels 0 ... 1
        "blur": [0.5, 1.0, 1.5, 2.0],  # standard deviation in pixels
        "bins": 15,
        "similarity_items": 1000,
    },
    trial={
        "training": {**training_set_size.STUDY.recipe, **training_set_size.STUDY.trial},
        "items": 100,
        "shifts": [0, 4],
        "patches": [4],
        "sides": [24],
        "noise": [0.1],
        "blur": [1.0],
        "similarity_items": 100,
    },
    jobs=_jobs,
    run=_run,
)
