"""How good a model is: its loss, its accuracy, all its logits; in float32 or in bfloat16."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from course_utils.kernels import replaced_forward

Precision = Literal["float32", "bfloat16"]


class Data(Protocol):
    """Labeled images: `data[rows]` gives (images, labels), as `TensorDataset` does."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Tensor, /) -> tuple[Tensor, ...]: ...


@dataclass(frozen=True)
class Evaluation:
    """The mean cross-entropy, the share of right answers, and all logits (items, classes)."""

    loss: float
    accuracy: float
    logits: Tensor
    labels: Tensor


@torch.no_grad()
def evaluate(
    model: nn.Module, data: Data, *, batch_size: int = 256, precision_name: Precision = "float32"
) -> Evaluation:
    """How well `model`, in eval mode, classifies `data`; its mode is as before afterwards.

    Raises `ValueError` for empty data.
    """
    if not len(data):
        raise ValueError("evaluate needs images to classify; got 0")
    first = next(model.parameters())
    logits, labels = [], []
    with in_eval_mode(model), precision(precision_name, model):
        for rows in torch.arange(len(data)).split(batch_size):
            images, answers = data[rows]
            images = images.to(first)
            logits.append(at_least_float32(model(images)).cpu())
            labels.append(answers.cpu())
    scores, answers = torch.cat(logits), torch.cat(labels)
    right = (scores.argmax(dim=-1) == answers).float().mean().item()
    return Evaluation(F.cross_entropy(scores, answers).item(), right, scores, answers)


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits of a shorter type, autocast's bfloat16 for instance, as float32; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Every layer in eval mode, and afterwards each in the mode it was in: some may be frozen."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@torch.no_grad()
def count_classes(model: nn.Module, data: Data) -> int:
    """How many classes the model tells apart: the width of its logits."""
    images, _ = data[torch.arange(1)]
    with in_eval_mode(model):
        return model(images.to(next(model.parameters()))).shape[-1]


@contextmanager
def precision(name: Precision, model: nn.Module) -> Iterator[None]:
    """Nothing for "float32"; for "bfloat16" matrix products and convolutions run in that type.

    On a CPU two of PyTorch's bfloat16 kernels are slow backwards, so there attention takes the plain
    one where gradients are wanted, and depthwise convolutions, which multiply little, stay in float32.
    """
    check_precision(name)
    device = next(model.parameters()).device.type
    with ExitStack() as stack:
        if name == "bfloat16":
            if device == "cpu" and torch.is_grad_enabled():
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if device == "cpu":
                stack.enter_context(_depthwise_in_float32(model))
            stack.enter_context(torch.autocast(device, torch.bfloat16))
        yield


def check_precision(name: str) -> None:
    """Raise `ValueError` for a precision that does not exist."""
    if name not in get_args(Precision):
        raise ValueError(f'precision must be "float32" or "bfloat16"; got {name!r}')


def _depthwise_in_float32(model: nn.Module) -> AbstractContextManager[None]:
    """Autocast passes by the grouped convolutions of `model`."""
    layers = (m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1)
    return replaced_forward(layers, lambda _, forward: partial(_without_autocast, forward))


def _without_autocast(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return forward(x.float())
