"""Any model of the course or of timm as a Lightning module: what `training.fit` does, in its terms."""

import math
from typing import Any, Literal

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Accuracy, MeanMetric

from course_utils.evaluation import at_least_float32
from course_utils.training import parameter_groups, schedule
from course_utils.weights.checkpoint import FAMILIES, PRESETS, family_of

Library = Literal["course", "timm"]
Optimizer = Literal["adamw", "adam"]


def build_model(
    name: str, *, library: Library, classes: int, arguments: dict[str, Any] | None = None
) -> nn.Module:
    """A model by its name: a preset of the course's vit, cnn or cvt, or a model of timm.

    `arguments` are its other keyword arguments. Raises `ValueError` for an unknown name or library.
    """
    given = dict(arguments or {})
    if library == "course":
        family = family_of(name)
        # Configurations have lists where Python has tuples.
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        return FAMILIES[family](**{**PRESETS[family][name], **given, "num_classes": classes})
    if library != "timm":
        raise ValueError(f"library must be course or timm; got {library!r}")
    import timm

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:8]) or "timm.list_models()"
        raise ValueError(f"timm {timm.__version__} has no model {name!r}; it has {near}")
    return timm.create_model(name, num_classes=classes, **given)


def total_steps(trainer: lightning.Trainer) -> int:
    """The optimizer's steps in the whole training.

    `trainer.estimated_stepping_batches` says the same, but makes the loader before Lightning restores
    where it was, and a run resumed within an epoch would begin that epoch's images anew.
    """
    data = getattr(trainer, "datamodule", None)
    if data is None or trainer.max_epochs in (None, -1):
        return int(trainer.estimated_stepping_batches)
    batches, limit = len(data.train_dataloader()), trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = trainer.max_epochs * math.ceil(batches / trainer.accumulate_grad_batches)
    return steps if trainer.max_steps == -1 else min(steps, trainer.max_steps)


class ImageClassifier(lightning.LightningModule):
    """A model, its loss, its optimizer and what is measured.

    Batches are (images, targets): images (batch, channels, height, width) of floats, targets labels
    (batch,) or, mixed, (batch, classes). Logged are train_loss (and train_loss_step), validation_loss,
    validation_accuracy, test_loss and test_accuracy; validation and test without label smoothing, and
    exact over any number of processes.

    - `model`, `library`, `arguments`, `classes`: see `build_model`.
    - `optimizer`: adamw (Loshchilov and Hutter 2019), or adam, whose decay is part of the gradient;
      biases, norms and tables of positions do not decay.
    - `learning_rate` rises in a straight line for the share `warmup` of all steps, then falls as half
      a cosine to zero (`training.schedule`).

    Raises `ValueError` for an unknown model or optimizer, or for shares outside 0 ... 1.
    """

    def __init__(
        self,
        *,
        model: str = "vit_small32",
        library: Library = "course",
        arguments: dict[str, Any] | None = None,
        classes: int = 10,
        optimizer: Optimizer = "adamw",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        warmup: float = 0.05,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if optimizer not in ("adamw", "adam"):
            raise ValueError(f"optimizer must be adamw or adam; got {optimizer!r}")
        if not (0 <= warmup <= 1 and 0 <= label_smoothing <= 1):
            raise ValueError(
                f"warmup and label_smoothing are shares, 0 ... 1; got {warmup}, {label_smoothing}"
            )
        # Numbers, names and lists only: the checkpoint then holds no Python objects.
        self.save_hyperparameters()
        self.model = build_model(model, library=library, classes=classes, arguments=arguments)
        # Noted now, because sharding (FSDP) turns every parameter into a vector.
        kept = {id(p) for p in parameter_groups(self.model, weight_decay)[1]["params"]}
        self.without_decay = {n for n, p in self.named_parameters() if id(p) in kept}
        self.validation_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.validation_accuracy = Accuracy(task="multiclass", num_classes=classes)
        self.test_accuracy = Accuracy(task="multiclass", num_classes=classes)

    def setup(self, stage: str) -> None:
        """Raise `ValueError` unless the model tells apart as many classes as the data have."""
        names = getattr(getattr(self.trainer, "datamodule", None), "classes", None)
        if names is not None and len(names) != self.hparams["classes"]:
            raise ValueError(
                f"the data have {len(names)} classes ({', '.join(names[:3])}, ...), the model "
                f"{self.hparams['classes']}: set model.classes to {len(names)}"
            )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes), at least float32."""
        return at_least_float32(self.model(images.to(self.dtype)))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch; logged for each step, and once an epoch its mean over all processes."""
        images, targets = batch
        logits = self(images)
        if targets.is_floating_point():  # shares of classes
            targets = targets.to(logits.dtype)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.hparams["label_smoothing"])
        self.log("train_loss_step", loss, prog_bar=True)  # this process's alone: no waiting
        self.log(
            "train_loss",
            loss,
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(images),
        )
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Loss and accuracy on the images that choose the epoch."""
        self._measure(batch, "validation", self.validation_loss, self.validation_accuracy)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Loss and accuracy on the images that nothing was chosen by."""
        self._measure(batch, "test", self.test_loss, self.test_accuracy)

    def _measure(
        self, batch: tuple[Tensor, Tensor], stage: str, loss: MeanMetric, accuracy: Any
    ) -> None:
        images, labels = batch
        logits = self(images)
        # Metrics add up sums, over batches and processes: a short last batch weighs what it should.
        loss.update(F.cross_entropy(logits, labels), weight=len(images))
        accuracy.update(logits, labels)
        self.log(f"{stage}_loss", loss, prog_bar=True, batch_size=len(images))
        self.log(f"{stage}_accuracy", accuracy, prog_bar=True, batch_size=len(images))

    def configure_optimizers(self) -> Any:
        """The optimizer, and its learning rate for each step."""
        given = self.hparams
        kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
        optimizer = kinds[given["optimizer"]](
            self.decay_groups(given["weight_decay"]), lr=given["learning_rate"]
        )
        total = total_steps(self.trainer)
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule(step, total, given["warmup"])
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def decay_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """The parameters that decay and those that do not, sharded or not."""
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in self.named_parameters():
            whole = name.replace("_fsdp_wrapped_module.", "").replace("_orig_mod.", "")
            groups[whole not in self.without_decay].append(parameter)
        return [
            {"params": groups[True], "weight_decay": weight_decay},
            {"params": groups[False], "weight_decay": 0.0},
        ]
