"""Training that one can read: the loop, its schedule, and files from which it goes on exactly.

Everything random in a step is drawn after `manual_seed(seed and step)`, and the order of an epoch
after (seed, epoch). So the step's number and the saved weights are all that a resumed run needs: it
ends with the same bits as a run that was never interrupted.
"""

import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_utils.augmentation import NO_AUGMENTATION, Augment
from course_utils.evaluation import (
    Data,
    Evaluation,
    Precision,
    at_least_float32,
    check_precision,
    count_classes,
    evaluate,
    precision,
)
from course_utils.lesson import progress_bar
from course_utils.progress import replace_file

__all__ = [
    "Data",
    "Evaluation",
    "History",
    "Run",
    "TrainConfig",
    "evaluate",
    "fit",
    "parameter_groups",
    "precision",
    "schedule",
]


@dataclass(frozen=True)
class TrainConfig:
    """A recipe. AdamW (Loshchilov and Hutter 2019), linear warm-up, then half a cosine to zero.

    `warmup` is a share of all steps; `clip` the largest norm of the gradient; `ema`, if not zero, the
    decay of an exponential moving average of the weights, which is then what is validated and kept;
    `save_every` the steps between two saves of the state, besides one at each epoch's end.
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    label_smoothing: float = 0.0
    clip: float = 1.0
    ema: float = 0.0
    precision: Precision = "float32"
    augment: Augment = NO_AUGMENTATION
    seed: int = 0
    save_every: int = 200

    def __post_init__(self) -> None:
        smallest = min(self.epochs, self.batch_size, self.save_every)
        shares = (self.warmup, self.label_smoothing, self.ema)
        if smallest < 1 or min(shares) < 0 or max(shares) > 1 or self.ema == 1:
            raise ValueError(
                "epochs, batch_size and save_every must be at least 1, warmup and label_smoothing "
                "0 ... 1, ema from 0 to below 1; got "
                f"{self.epochs}, {self.batch_size}, {self.save_every}; {self.warmup}, "
                f"{self.label_smoothing}; {self.ema}"
            )
        check_precision(self.precision)


@dataclass
class History:
    """One number for each epoch, and the epoch (from 0) whose weights were kept."""

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    best_epoch: int = -1

    def is_best(self) -> bool:
        """Whether the last epoch has the highest validation accuracy so far; the first of equals."""
        *before, last = self.validation_accuracy
        return last > max(before, default=-1.0)


def fit(
    model: nn.Module,
    train: Data,
    validation: Data,
    *,
    config: TrainConfig | None = None,
    folder: Path | str | None = None,
    after_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train `model` where it lies, and leave it with the weights of its best validation epoch.

    `train` and `validation` give (images, labels) for a tensor of rows: images (batch, channels,
    height, width) of floats, labels (batch,) of integers. With `folder`, the state is saved there
    and a run that was interrupted, however hard, goes on from it; a finished one is not run again.
    `after_epoch(epoch, history)` is called when an epoch ends.

    Raises `ValueError` for empty data and for a folder that holds the run of another recipe or of
    another model, or a damaged file; `FloatingPointError` when the loss is no number any more.
    """
    config = config or TrainConfig()
    if not len(train) or not len(validation):
        raise ValueError(
            f"fit needs images to learn from and images to validate on; got {len(train)} and "
            f"{len(validation)}"
        )
    run = Run(model, config, math.ceil(len(train) / config.batch_size), count_classes(model, train))
    store = Path(folder) if folder is not None else None
    if store is not None:
        run.load(store)
    with torch.random.fork_rng():
        while run.epoch < config.epochs:
            for rows in progress_bar(run.batches_left(len(train)), f"epoch {run.epoch + 1}"):
                run.train_step(*train[rows])
                if store is not None and run.step % config.save_every == 0:
                    run.save(store)
            run.end_epoch(validation)
            if store is not None:
                run.save(store)
            if after_epoch is not None:
                after_epoch(run.epoch - 1, run.history)
    model.load_state_dict(run.best)
    model.eval()
    return run.history


class Run:
    """A training under way: the model, its optimizer, and what must be saved to go on exactly."""

    def __init__(
        self, model: nn.Module, config: TrainConfig, steps_per_epoch: int, classes: int
    ) -> None:
        # Convolutions are faster with the channels innermost; other layers do not mind.
        model.to(memory_format=torch.channels_last)
        self.model, self.config, self.classes = model, config, classes
        self.steps_per_epoch = steps_per_epoch
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, config.weight_decay), lr=config.learning_rate
        )
        self.average = None
        if config.ema:
            average = get_ema_multi_avg_fn(config.ema)
            self.average = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        self.step, self.epoch, self.loss_sum = 0, 0, 0.0
        self.history = History()
        self.best: dict[str, Tensor] = {}

    def batches_left(self, items: int) -> list[Tensor]:
        """The rows of each batch of this epoch that is still to come, in the epoch's own order."""
        seed = self.config.seed * 100_003 + self.epoch
        order = torch.randperm(items, generator=torch.Generator().manual_seed(seed))
        # Not the remainder of the step: a run killed between its epoch's last step and its end has
        # no batch left, but still has to validate.
        done = self.step - self.epoch * self.steps_per_epoch
        return list(order.split(self.config.batch_size))[done:]

    def train_step(self, images: Tensor, labels: Tensor) -> None:
        """One batch: augment, forward, loss, backward, clip, step."""
        config, model = self.config, self.model
        torch.manual_seed(config.seed * 1_000_003 + self.step)
        total = config.epochs * self.steps_per_epoch
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * schedule(self.step, total, config.warmup)
        model.train()
        images = images.to(next(model.parameters()))  # its device and its type
        images, targets = config.augment(images, labels.to(images.device), self.classes)
        with precision(config.precision, model):
            logits = at_least_float32(model(images))
            loss = F.cross_entropy(logits, targets, label_smoothing=config.label_smoothing)
            self._check(loss.item())
            self.optimizer.zero_grad()
            loss.backward()
        if config.clip:
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(model)
        self.step += 1
        self.loss_sum += loss.item()

    def _check(self, loss: float) -> None:
        """A loss that is no number stops the run before it reaches the weights."""
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} in step {self.step + 1}: look for images that are no numbers, take "
                f"a lower learning rate than {self.config.learning_rate}, or a longer warm-up than "
                f"{self.config.warmup} of the steps"
            )

    def end_epoch(self, validation: Data) -> None:
        """Validate, and keep the weights if they are the best so far."""
        model = self.model if self.average is None else self.average.module
        result = evaluate(model, validation, precision_name=self.config.precision)
        self.history.train_loss.append(self.loss_sum / self.steps_per_epoch)
        self.history.validation_loss.append(result.loss)
        self.history.validation_accuracy.append(result.accuracy)
        if self.history.is_best():
            self.history.best_epoch = self.epoch
            self.best = {name: value.clone() for name, value in model.state_dict().items()}
        self.epoch, self.loss_sum = self.epoch + 1, 0.0

    def save(self, folder: Path) -> None:
        """Write everything that decides how the run goes on, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": self.recipe(),
            "progress": {"step": self.step, "epoch": self.epoch, "loss_sum": self.loss_sum},
            "history": asdict(self.history),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "best": self.best,
        }
        content = io.BytesIO()
        torch.save(state, content)
        replace_file(folder / STATE, content.getvalue())

    def load(self, folder: Path) -> None:
        """Go on from what `folder` holds, if it holds anything."""
        if not (folder / STATE).exists():
            return
        state = _read_state(folder / STATE)
        if state["recipe"] != self.recipe():
            raise ValueError(
                f"{folder} holds a run of another recipe, {state['recipe']}; this one is "
                f"{self.recipe()}: give another folder, or remove that one"
            )
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:  # shapes or names that differ
            raise ValueError(
                f"{folder} holds a run of another model: give another folder, or remove that one "
                f"({error})"
            ) from error
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        progress = state["progress"]
        self.step, self.epoch = progress["step"], progress["epoch"]
        self.loss_sum = progress["loss_sum"]
        self.history, self.best = History(**state["history"]), state["best"]

    def recipe(self) -> dict[str, Any]:
        """What must be the same for a run to go on: all but how often it is saved."""
        recipe = {**asdict(self.config), "steps_per_epoch": self.steps_per_epoch}
        recipe.pop("save_every")
        return recipe


STATE = "training_state.pt"
_PARTS = {"recipe", "progress", "history", "model", "optimizer", "average", "best"}


def _read_state(path: Path) -> dict[str, Any]:
    """What `Run.save` wrote. Only tensors, numbers and text are read, never pickled code."""
    content = path.read_bytes()  # a file that we may not read is not damaged
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        missing = _PARTS - state.keys()
    except Exception as error:  # zip, pickle and PyTorch's reader each have errors of their own
        raise ValueError(
            f"{path} is damaged, or not written by fit ({type(error).__name__}): remove it, and the "
            "run begins anew"
        ) from error
    if missing:
        raise ValueError(
            f"{path} is not written by fit: {', '.join(sorted(missing))} missing; remove it, and the "
            "run begins anew"
        )
    return state


def schedule(step: int, total: int, warmup: float) -> float:
    """The share of the full learning rate: a straight line up, then half a cosine down to zero."""
    rising = max(1, round(warmup * total))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight matrices and kernels decay; biases, norms, positions and class tokens do not.

    The custom since BERT: what has one axis only, or is a table of places, is not pulled to zero.
    """
    decay: list[nn.Parameter] = []
    keep: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        table = name.endswith(("pos_embed", "cls_token"))
        (keep if parameter.dim() < 2 or table else decay).append(parameter)
    return [{"params": decay, "weight_decay": weight_decay}, {"params": keep, "weight_decay": 0.0}]
