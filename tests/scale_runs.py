"""Runs of the command line in processes of their own: killed ones, and two at a time."""

import os
import signal
import sys
from pathlib import Path

import lightning
import torch
import yaml

from course_utils.scale import checkpoints, cli, module

CALLBACKS = "lightning.pytorch.callbacks"


def config(folder, *, callbacks=(), trainer=None, model=None, data=None):
    """A run of seconds: 40 shapes of 8 x 8 pixels, 5 steps an epoch, 3 epochs."""
    kept = {"dirpath": f"{folder}/checkpoints", "enable_version_counter": False}
    return {
        "seed_everything": 3,
        "model": {
            "model": "vit_small32",
            "arguments": {"image_size": 8, "dim": 12, "depth": 1, "heads": 2}
            | {"dropout": 0.3, "stem": "conv"},
            "classes": 12,
            "learning_rate": 0.01,
            "label_smoothing": 0.1,
            **(model or {}),
        },
        "data": {
            "name": "shapes",
            "size": 8,
            "items": 40,
            "batch_size": 8,
            "augment": {"crop": 1, "flip": True, "erase": 0.5, "mix": 0.5},
            **(data or {}),
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 3,
            "deterministic": True,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "default_root_dir": str(folder),
            "logger": False,
            "gradient_clip_val": 1.0,
            "callbacks": [
                *callbacks,
                {
                    "class_path": f"{CALLBACKS}.ModelCheckpoint",
                    "init_args": {"filename": "best", "monitor": "validation_loss", **kept},
                },
                {
                    "class_path": f"{CALLBACKS}.ModelCheckpoint",
                    "init_args": {"filename": "last", "every_n_train_steps": 2, **kept},
                },
                {
                    "class_path": "course_utils.scale.checkpoints.ExportWeights",
                    "init_args": {"path": f"{folder}/weights.safetensors"},
                },
            ],
            **(trainer or {}),
        },
    }


def write(folder, settings) -> str:
    path = Path(folder) / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return str(path)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Counts moments of a kind, and ends the process at the chosen one, as a power cut would."""

    moment, left = "", 0

    @classmethod
    def count(cls, moment):
        if moment == cls.moment:
            cls.left -= 1
            if cls.left < 0:
                die()


class Doomed(lightning.Callback):
    """Stands first, so a step's end comes before anything of that step is saved."""

    def on_train_batch_end(self, *args):
        Mortal.count("step")

    def on_validation_batch_start(self, *args):
        Mortal.count("validation")

    def on_train_epoch_end(self, *args):
        Mortal.count("epoch end")


class Record(lightning.Callback):
    """Notes the loss and the gradients of every step, and writes them when the training ends."""

    def __init__(self, folder: str):
        self.folder, self.losses, self.gradients = folder, [], []

    def on_after_backward(self, trainer, pl_module):
        self.gradients.append({n: p.grad.clone() for n, p in pl_module.named_parameters()})

    def on_train_batch_end(self, trainer, pl_module, outputs, *args):
        self.losses.append(outputs["loss"].detach())

    def on_train_end(self, trainer, pl_module):
        measured = {k: v.detach().clone() for k, v in trainer.callback_metrics.items()}
        noted = {"losses": self.losses, "gradients": self.gradients, "metrics": measured}
        noted["weights"] = pl_module.state_dict()
        torch.save(noted, f"{self.folder}/rank{trainer.global_rank}.pt")


class Starts(lightning.Callback):
    """Notes the weights whenever an epoch begins, and writes them when the training ends."""

    def __init__(self, folder: str):
        self.folder, self.weights = folder, []

    def on_train_epoch_start(self, trainer, pl_module):
        state = pl_module.model.state_dict()
        self.weights.append({name: value.clone() for name, value in state.items()})

    def on_train_end(self, trainer, pl_module):
        torch.save(self.weights, f"{self.folder}/starts.pt")


def doom(monkey):
    """Make every writing of a file, and every run of the module, count."""
    real = checkpoints.replace_file

    def replace(path, content):
        if Mortal.moment == "half written" and Mortal.left == 0:
            path.with_name(path.name + ".new").write_bytes(content[: len(content) // 2])
            die()
        Mortal.count("half written")
        real(path, content)
        Mortal.count("written")

    monkey(checkpoints, "replace_file", replace)
    monkey(module.ImageClassifier, "configure_callbacks", lambda self: [Doomed()])


def kill_and_resume(folder, rows):
    """Each row of kills in a folder of its own, then the run to its end; forked, to import once."""
    doom(setattr)
    for row, (callbacks, kills) in enumerate(rows):
        path = write(f"{folder}/{row}", config(f"{folder}/{row}", callbacks=callbacks))
        for moment, left in [*kills, ("", 0)]:
            child = os.fork()
            if not child:
                Mortal.moment, Mortal.left = moment, left
                cli.main(["fit", "--config", path, "--ckpt_path", "last"])
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            expected = signal.SIGKILL if moment else 0
            assert status == expected, (row, moment, left, status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    kill_and_resume(sys.argv[1], eval(sys.argv[2]))
