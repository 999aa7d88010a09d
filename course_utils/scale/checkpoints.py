"""What a run leaves behind: files from which it goes on, and the weights in safetensors."""

import io
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from course_utils.progress import replace_file
from course_utils.scale.datamodule import ImageData
from course_utils.scale.module import ImageClassifier
from course_utils.weights import save_checkpoint


class SafeFiles(TorchCheckpointIO):
    """Checkpoints that a kill cannot leave half written, and from which no code is ever run.

    A file is written beside its name and put in place as a whole. It is read with
    `weights_only=True`, whatever the caller asks for: tensors, numbers, text, lists and dictionaries.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write `checkpoint` to a local path, whole or not at all."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        replace_file(target, content.getvalue())

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read what was written. Raises `FileNotFoundError`; `ValueError` for a damaged file."""
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"there is no checkpoint {path}: leave ckpt_path out to begin anew"
            )
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except OSError:
            raise  # a file that we may not read is not damaged
        except Exception as error:  # zip, pickle and PyTorch's reader each have errors of their own
            raise ValueError(
                f"{path} is damaged or holds Python objects, which may run code and are refused "
                f"({type(error).__name__}): take another checkpoint, or begin anew without ckpt_path"
            ) from error


class ExportWeights(lightning.Callback):
    """When the training ends, the weights as safetensors, ready for `weights.load_pretrained(path)`.

    A course model is written as `save_checkpoint` does (`path` ends in .safetensors); a model of timm
    as a folder in the hub's layout (`path` has no suffix), which timm reads as well. With `best` these
    are the weights of the lowest validation loss that a `ModelCheckpoint` kept, else those that the
    module holds at the end: those, when an averaging callback stands before this one.

    Raises `ValueError` before the training begins for a path with the wrong suffix, or when there is
    no checkpoint to choose the best from.
    """

    def __init__(self, path: str, *, best: bool = True) -> None:
        self.path, self.best = Path(path), best

    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        """Refuse now what could not be written after hours of training."""
        wanted = ".safetensors" if pl_module.hparams["library"] == "course" else ""
        if self.path.suffix != wanted:
            raise ValueError(
                f"a model of {pl_module.hparams['library']} is exported to a path with "
                f"{'the suffix .safetensors' if wanted else 'no suffix, a folder'}; got {self.path}"
            )
        if self.best and self._monitored(trainer) is None:
            raise ValueError(
                "the best weights are those of a ModelCheckpoint with monitor=validation_loss; there "
                "is none: add one, or set best to false to export the last weights"
            )

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Write, in one process."""
        data = getattr(trainer, "datamodule")  # noqa: B009  (not declared by Lightning)
        checkpoint = self._monitored(trainer)
        if self.best and checkpoint is not None and checkpoint.best_model_path:
            weights = trainer.strategy.checkpoint_io.load_checkpoint(checkpoint.best_model_path)[
                "state_dict"
            ]
        else:
            weights = trainer.strategy.lightning_module_state_dict()  # of all shards, together
        if trainer.is_global_zero:
            export_weights(weights, pl_module.hparams, data, self.path)
        trainer.strategy.barrier("export")

    @staticmethod
    def _monitored(trainer: lightning.Trainer) -> ModelCheckpoint | None:
        found = (c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint))
        return next((c for c in found if c.monitor == "validation_loss"), None)


def export_weights(
    weights: dict[str, Any], hparams: Any, data: ImageData, path: str | Path
) -> None:
    """Write the `state_dict` of an `ImageClassifier` to `path`; see `ExportWeights`.

    `hparams` are the module's, `data` says what the images and the classes are.
    """
    given = {k: v for k, v in (hparams["arguments"] or {}).items() if k != "pretrained"}
    module = ImageClassifier(**{**hparams, "arguments": given})
    module.load_state_dict(weights)
    transform = data.transform
    if hparams["library"] == "timm":
        _export_timm(module.model, hparams, data, given, Path(path))
        return
    about = {
        "preset": hparams["model"],
        "arguments": {**given, "num_classes": hparams["classes"]},
        "classes": list(data.classes),
        "mean": list(transform.mean),
        "std": list(transform.std),
        "size": list(transform.size),
        "recipe": {"data": data.name, "batch_size": data.batch_size, **dict(hparams)},
        "accuracy": None,  # of the test images: measured by `test`, not in the training
    }
    save_checkpoint(module.model, path, about)


def _export_timm(
    model: torch.nn.Module, hparams: Any, data: ImageData, given: dict[str, Any], folder: Path
) -> None:
    from timm.models import save_for_hf

    transform = data.transform
    about = {
        "num_classes": hparams["classes"],
        "label_names": list(data.classes),
        "pretrained_cfg": {
            "input_size": [len(transform.mean), *transform.size],
            "mean": list(transform.mean),
            "std": list(transform.std),
            "interpolation": transform.interpolation,
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "num_classes": hparams["classes"],
        },
    }
    save_for_hf(model, str(folder), model_config=about, model_args=given, safe_serialization=True)
