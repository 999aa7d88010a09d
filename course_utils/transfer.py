"""What of a trained network learns again, and what stays as it is. Built in lesson 11."""

from typing import Any

from torch import nn


class Frozen(nn.Module):
    """`forward(...)` is that of `module`, of which nothing changes any more in training.

    No weight takes a gradient. And `train()`, which every training loop calls, leaves all of it in
    eval mode: batch norm in training mode would move its running statistics without any gradient.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Frozen":
        super().train(False)
        return self

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)


def count_trainable(model: nn.Module) -> int:
    """How many numbers of `model` training may change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
