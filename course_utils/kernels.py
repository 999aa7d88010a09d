"""The same results from faster kernels: layers that compute in another way for a while.

Measured with `make bench`, on the processors named in its result.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.backends import mkldnn

Forward = Callable[[Tensor], Tensor]


@contextmanager
def replaced_forward(
    layers: Iterable[nn.Module], replace: Callable[[nn.Module, Forward], Forward]
) -> Iterator[None]:
    """Each of `layers` computes `replace(layer, its forward)`; afterwards its own again.

    Hooks of the layers are called as before.
    """
    changed = list(layers)
    before = [vars(layer).get("forward") for layer in changed]
    for layer in changed:
        layer.forward = replace(layer, layer.forward)
    try:
        yield
    finally:
        for layer, forward in zip(changed, before, strict=True):
            del layer.forward  # the class's own is behind it
            if forward is not None:
                layer.forward = forward


@contextmanager
def linear_as_convolution(model: nn.Module) -> Iterator[None]:
    """On a CPU the linear layers of `model` run as the 1 x 1 convolutions that they equal.

    Of tokens (batch, tokens, dim), or maps with the channels last, in float32 or bfloat16. A layer of
    a class of its own, or whose forward somebody has replaced, stays as it is.
    """
    layers = [
        layer
        for layer in model.modules()
        if type(layer) is nn.Linear and "forward" not in vars(layer)
    ]
    with replaced_forward(layers if mkldnn.is_available() else [], _convolved):
        yield


def _convolved(layer: Any, forward: Forward) -> Forward:
    return partial(_as_convolution, layer, forward)


def _as_convolution(layer: nn.Linear, forward: Forward, x: Tensor) -> Tensor:
    short = x.dtype in (torch.float32, torch.bfloat16)
    if x.ndim < 3 or x.device.type != "cpu" or not short or not x.numel():
        return forward(x)
    row = x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)  # a map of one column, no copy
    row = F.conv2d(row, layer.weight[:, :, None, None], layer.bias)
    return row.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)
