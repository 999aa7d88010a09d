"""The course's data sets as Lightning takes them: bytes to the accelerator, everything else there."""

from collections.abc import Sequence
from typing import Literal, get_args

import lightning
import torch
from torch import Tensor

from course_utils.augmentation import NO_AUGMENTATION, Augment
from course_utils.data import (
    Digits,
    LabeledImages,
    Shapes,
    Split,
    cifar10,
    digits,
    image_folder,
    shapes,
)
from course_utils.scale.loader import Batch, EvaluationBatches, TrainingBatches
from course_utils.weights import Transform

DataName = Literal["cifar10", "shapes", "digits", "folder"]
Source = LabeledImages | Shapes | Digits


class ImageData(lightning.LightningDataModule):
    """Three splits of a data set, at any size, for any number of processes.

    - `name`: cifar10, shapes, digits, or folder (a folder of images, one folder a class, at `path`).
    - `size`: the side of the images that the model gets; they are resized by `weights.Transform`
      (bicubic), as they are when the trained model is used. None leaves them as they are (folder: 224).
    - `items`: how many of the training images (cifar10), or how many to draw (shapes; a quarter as
      many for validation and for the test).
    - `batch_size`: images a step and a process; the global batch is batch_size x processes.
    - `mean`, `std`: one number each, or one for each channel, of pixels 0 ... 1.
    - `augment`: what is done to training batches, after resizing, on the accelerator.
    - `seed`: of the order and of all draws. `style` of shapes is the default one.

    Images lie in memory as bytes, once for every process: 45,000 of CIFAR-10 take 138 MB.
    Raises `ValueError` for settings that do not go together, and as the data sets do.
    """

    def __init__(
        self,
        *,
        name: DataName = "shapes",
        path: str | None = None,
        size: int | None = None,
        items: int | None = None,
        batch_size: int = 64,
        evaluation_batch_size: int = 256,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.5,),
        augment: Augment = NO_AUGMENTATION,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if name not in get_args(DataName):
            raise ValueError(f"name must be one of {', '.join(get_args(DataName))}; got {name!r}")
        if (name == "folder") != (path is not None):
            raise ValueError(
                f"path goes with name=folder, and only with it; got name={name!r}, path={path!r}"
            )
        if items is not None and name not in ("cifar10", "shapes"):
            raise ValueError(
                f"items can be chosen of cifar10 and shapes; {name} gives all: omit it"
            )
        self.name, self.path, self.size, self.items = name, path, size, items
        self.batch_size, self.evaluation_batch_size = batch_size, evaluation_batch_size
        self.mean, self.std, self.augment, self.seed = tuple(mean), tuple(std), augment, seed
        self.splits: dict[str, Source] = {}

    def setup(self, stage: str) -> None:
        """Read what this stage needs; Lightning calls it in every process."""
        wanted: dict[str, tuple[Split, ...]] = {
            "fit": ("train", "validation"),
            "validate": ("validation",),
            "test": ("test",),
        }
        for split in wanted[stage]:
            if split not in self.splits:
                self.splits[split] = self._read(split)
        some = next(iter(self.splits.values()))
        channels, *sides = some.images.shape[1:]
        self.classes = some.classes
        size = (self.size, self.size) if self.size else (sides[0], sides[1])
        self.transform = Transform(
            size=size, mean=self._each(self.mean, channels), std=self._each(self.std, channels)
        )

    def _read(self, split: Split) -> Source:
        if self.name == "folder":
            assert self.path is not None
            return image_folder(self.path, split, size=self.size or 224, seed=self.seed)
        if self.name == "shapes":
            items = self.items or 1000
            count = items if split == "train" else max(1, items // 4)
            return shapes(split, items=count, size=self.size or 32)
        if self.name == "digits":
            return digits(split)
        return cifar10(split, items=self.items if split == "train" else None)

    def _each(self, numbers: tuple[float, ...], channels: int) -> tuple[float, ...]:
        """One number for each channel."""
        if len(numbers) not in (1, channels):
            raise ValueError(
                f"mean and std have 1 number, or {channels}, one for each channel of {self.name}; "
                f"got {len(numbers)}"
            )
        return numbers * channels if len(numbers) == 1 else numbers

    def train_dataloader(self) -> TrainingBatches:
        """This process's share of the training images."""
        data = self.splits["train"]
        return TrainingBatches(
            data.images, data.labels, batch_size=self.batch_size, seed=self.seed, **self._place()
        )

    def val_dataloader(self) -> EvaluationBatches:
        """This process's share of the validation images."""
        return self._evaluation("validation")

    def test_dataloader(self) -> EvaluationBatches:
        """This process's share of the test images."""
        return self._evaluation("test")

    def _evaluation(self, split: str) -> EvaluationBatches:
        data = self.splits[split]
        return EvaluationBatches(
            data.images, data.labels, batch_size=self.evaluation_batch_size, **self._place()
        )

    def _place(self) -> dict[str, int]:
        trainer = self.trainer
        if trainer is None:  # used without one
            return {"rank": 0, "world_size": 1}
        return {"rank": trainer.global_rank, "world_size": trainer.world_size}

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """On the accelerator: pixels as the model takes them and, in training, chances taken.

        Everything random of the step, the model's dropout too, follows from the seed set here.
        """
        images = self.transform(batch.images)
        if batch.draw is None:
            return images, batch.labels
        torch.manual_seed(batch.draw)
        return self.augment(images, batch.labels, len(self.classes))
