"""Which images each process gets in each step, and a loader that goes on where it was stopped."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor


class Batch(NamedTuple):
    """Images and labels of one step on one process.

    `draw` is the seed of everything random in the step (augmentation, dropout); None where nothing is.
    """

    images: Tensor
    labels: Int[Tensor, " batch"]
    draw: int | None


class TrainingBatches:
    """Each epoch's steps in an order of its own; a global batch is shared out among the processes.

    Step i of an epoch takes rows i * global_batch ... of the epoch's order, and process `rank` of
    `world_size` every world_size-th of them. So two processes of 32 see in each step the same images
    as one process of 64. What is left over at the end of an epoch is not seen in it.

    The order is decided by (seed, epoch), the draws of a step by (seed, epoch, step, rank): with
    `state_dict`, two numbers, a resumed run sees what an undisturbed one would. Lightning saves and
    loads it (a "stateful" loader).

    Raises `ValueError` when there are fewer images than one global batch.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Int[Tensor, " items"],
        *,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images, self.labels = images, labels
        self.global_batch = batch_size * world_size
        if len(images) < self.global_batch:
            raise ValueError(
                f"a step takes batch_size x processes = {batch_size} x {world_size} = "
                f"{self.global_batch} images; there are {len(images)} to train on: take a smaller "
                "batch_size, fewer processes or more images"
            )
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch, self.step = 0, 0
        self._resumed = True  # whether the next pass is to begin at `step` of `epoch`

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.images) // self.global_batch

    def __iter__(self) -> Iterator[Batch]:
        # Lightning may make an iterator that it never uses; nothing happens before the first batch.
        if not self._resumed or self.step == len(self):
            self.epoch, self.step = self.epoch + 1, 0
        self._resumed = False
        # No two (seed, epoch) share an order unless the epochs are more than 100,003.
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.images), generator=generator)
        while self.step < len(self):
            start = self.step * self.global_batch
            rows = order[start : start + self.global_batch][self.rank :: self.world_size]
            draw = self._draw()
            self.step += 1  # before the batch is handed out: a state saved after its step is right
            yield Batch(self.images[rows], self.labels[rows], draw)

    def _draw(self) -> int:
        """A seed for this step of this epoch on this process."""
        step = self.epoch * len(self) + self.step
        return (self.seed * 1_000_003 + step) * self.world_size + self.rank

    def state_dict(self) -> dict[str, int]:
        """Where the run is."""
        return {"epoch": self.epoch, "step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.epoch, self.step = state["epoch"], state["step"]
        self._resumed = True


class EvaluationBatches:
    """Every image once, on one of the processes, in batches of up to `batch_size` images.

    All processes have the same number of batches: with sharded weights (FSDP) each batch is a
    rendezvous, and a process with one more would wait forever. Raises `ValueError` when there are
    fewer images than processes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Int[Tensor, " items"],
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(images) < world_size:
            raise ValueError(
                f"each of {world_size} processes needs an image to evaluate; there are "
                f"{len(images)}: take fewer processes or more images"
            )
        self.images, self.labels = images, labels
        most, fewest = -(-len(images) // world_size), len(images) // world_size
        batches = min(-(-most // batch_size), fewest)  # none is empty
        self.rows = torch.arange(len(images))[rank::world_size].tensor_split(batches)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.rows:
            yield Batch(self.images[rows], self.labels[rows], None)
