"""The course's models against the reference libraries: inference, a training step, memory.

Times: each question in one alternating run in one process on two threads. Memory: the sum of all
allocations alive at a time during one step, beyond the weights, which is the same in every run.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from bench_attention import THREADS, Step, peak_megabytes
from torch import nn

IMAGENET: dict[str, Any] = {"num_labels": 1000}


@dataclass(frozen=True)
class Question:
    """Ours against others in the same task; the fastest of the others counts."""

    name: str
    batch: tuple[int, ...]
    training: bool
    models: dict[str, Callable[[], nn.Module]]
    target: float
    memory_target: float = 1.0


def measure(pairs: int = 15) -> list[dict[str, Any]]:
    """Rows for `course_utils/results/benchmarks.json`: time and peak memory for each question."""
    torch.set_num_threads(THREADS)
    return [row for question in QUESTIONS for row in answer(question, pairs)]


def answer(question: Question, pairs: int) -> list[dict[str, Any]]:
    """Two rows: against the fastest other library, and against the one with the least memory."""
    steps = {name: make_step(make(), question) for name, make in question.models.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(pairs + 2):  # two turns to warm up
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if turn >= 2:
                times[name].append(time.perf_counter() - began)
    peaks = {name: [peak_megabytes(step)] for name, step in steps.items()}
    memory = f"peak memory of {question.name}"
    return [
        row(question.name, times, "s", question.target),
        row(memory, peaks, "mb", question.memory_target),
    ]


def row(name: str, values: dict[str, list[float]], unit: str, target: float) -> dict[str, Any]:
    """Ours divided by the best of the others: the median over the turns."""
    middle = {library: statistics.median(numbers) for library, numbers in values.items()}
    best = min((library for library in values if library != "ours"), key=middle.__getitem__)
    ratios = [a / b for a, b in zip(values["ours"], values[best], strict=True)]
    digits = 4 if unit == "s" else 1
    return {
        "name": name,
        "against": IN_WORDS.get(best, best),
        "target": target,
        "ratio": round(statistics.median(ratios), 3),
        f"ours_{unit}": round(middle["ours"], digits),
        f"theirs_{unit}": round(middle[best], digits),
        f"all_{unit}": {library: round(value, digits) for library, value in middle.items()},
        "pairs": len(ratios),
    }


def make_step(model: nn.Module, question: Question) -> Step:
    """One forward pass without gradients, or one whole step of AdamW."""
    torch.manual_seed(0)
    images = torch.randn(question.batch)
    if not question.training:
        model.eval()

        def infer() -> None:
            with torch.inference_mode():
                model(images)

        return infer
    model.train()
    labels = torch.randint(0, 10, question.batch[:1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def train() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return train


def our_vit(preset: str) -> nn.Module:
    from course_utils.vit import PRESETS, VisionTransformer

    return VisionTransformer(**PRESETS[preset])


def our_cvt() -> nn.Module:
    from course_utils.cvt import PRESETS, ConvolutionalVisionTransformer

    return ConvolutionalVisionTransformer(**PRESETS["cvt_13"])


def timm_vit(**options: Any) -> nn.Module:
    import timm

    return timm.create_model("vit_base_patch16_224", **options)


def timm_small() -> nn.Module:
    return timm_vit(img_size=32, patch_size=4, embed_dim=96, depth=6, num_heads=3, num_classes=10)


def torchvision_vit() -> nn.Module:
    from torchvision.models import vit_b_16

    return vit_b_16()


def huggingface_vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**IMAGENET))


def huggingface_cvt() -> nn.Module:
    from transformers import CvtConfig, CvtForImageClassification

    return CvtForImageClassification(CvtConfig(**IMAGENET))


QUESTIONS = (
    Question(
        name="ViT-B/16 inference, 4 images of 224 x 224, float32",
        batch=(4, 3, 224, 224),
        training=False,
        models={
            "ours": lambda: our_vit("vit_base_patch16_224"),
            "timm": timm_vit,
            "torchvision": torchvision_vit,
            "huggingface": huggingface_vit,
        },
        target=1.0,
    ),
    Question(
        name="CvT-13 inference, 4 images of 224 x 224, float32",
        batch=(4, 3, 224, 224),
        training=False,
        models={"ours": our_cvt, "huggingface": huggingface_cvt},
        target=0.8,
    ),
    Question(
        name="one training step of vit_small32, 128 images of 32 x 32, float32, AdamW",
        batch=(128, 3, 32, 32),
        training=True,
        models={"ours": lambda: our_vit("vit_small32"), "timm": timm_small},
        target=1.0,
    ),
)
IN_WORDS = {
    "timm": f"timm {version('timm')}",
    "torchvision": f"torchvision {version('torchvision')}",
    "huggingface": f"transformers {version('transformers')}",
}

if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
