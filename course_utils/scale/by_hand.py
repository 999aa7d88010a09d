"""What frameworks do between two steps, in lines that one can read. Lesson 13 builds them.

Dictionaries go from a parameter's name to a tensor of its shape.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]


def mean_gradients(processes: Sequence[Tensors]) -> dict[str, Tensor]:
    """What each process holds after DDP's all-reduce (Li et al. 2020, section 3.2): their mean."""
    return {
        name: torch.stack([gradients[name] for gradients in processes]).mean(dim=0)
        for name in processes[0]
    }


def accumulated_gradients(
    model: nn.Module,
    images: Float[Tensor, "batch ..."],
    labels: Int[Tensor, " batch"],
    part: int,
) -> dict[str, Tensor]:
    """Gradients of the batch's mean cross-entropy, with at most `part` images in memory at a time.

    Each part weighs as many images as it has. Equal to one pass over the whole batch, unless a layer
    looks at the other images of its pass, as batch norm does.
    """
    model.zero_grad()
    for some, answers in zip(images.split(part), labels.split(part), strict=True):
        loss = F.cross_entropy(model(some), answers)
        (loss * len(some) / len(images)).backward()  # adds to what is there
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def average_weights(snapshots: Sequence[Tensors]) -> dict[str, Tensor]:
    """The mean of a network's weights at several moments (Izmailov et al. 2018, algorithm 1).

    A running mean: one sum is kept, however many snapshots there are.
    """
    average = {name: value.clone() for name, value in snapshots[0].items()}
    for count, snapshot in enumerate(snapshots[1:], start=1):
        for name, value in snapshot.items():
            average[name] += (value - average[name]) / (count + 1)
    return average
