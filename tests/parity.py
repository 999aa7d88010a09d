"""The same numbers from two models: what the tests against other libraries ask for."""

from collections.abc import Callable

import torch
from torch import Tensor

Model = Callable[[Tensor], Tensor]


def assert_same(ours: Model, theirs: Model, images: Tensor) -> None:
    """Outputs and input gradients."""
    a, b = images.clone().requires_grad_(), images.clone().requires_grad_()
    got, expected = ours(a), theirs(b)
    torch.testing.assert_close(got, expected)
    got.pow(3).sum().backward()
    expected.pow(3).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    assert a.grad.abs().max() > 0
