"""A trained model by its name: the course's own, or one that somebody published."""

from pathlib import Path
from typing import NamedTuple

from torch import nn

from course_utils.weights.checkpoint import Checkpoint
from course_utils.weights.files import WeightsMissing, is_hub_name, locate, read_weights
from course_utils.weights.loading import load_weights
from course_utils.weights.own import CHECKPOINTS, is_own, read_description
from course_utils.weights.published import describe_folder


class Pretrained(NamedTuple):
    """A model in eval mode, its description, and one line that says where it is from."""

    model: nn.Module
    checkpoint: Checkpoint
    line: str


def describe(name: str | Path) -> Checkpoint:
    """The description of a checkpoint, by any name that `load_pretrained` takes. Raises as it does."""
    return _find(name)[0]


def load_pretrained(name: str | Path) -> nn.Module:
    """A trained model of ours in eval mode, float32, made with the sizes that its description gives.

    `name` is one of the course's own (CHECKPOINTS; no network needed), a file that `save_checkpoint`
    wrote, a folder in the hub's layout (config.json and weights), or a name on the hub as
    "google/vit-base-patch16-224", "timm/resnet18.a1_in1k", "microsoft/cvt-13". Hugging Face's ViT,
    ResNet with basic blocks and CvT, and timm's plain ViTs, ResNet-18 and ResNet-34 can be loaded.

    Raises `WeightsMissing` when there is no such file or no network, `ValueError` for a model that
    ours cannot be.
    """
    return _load(*_find(name))


def published_or_own(published: str | Path, own: str) -> Pretrained:
    """The published model if it can be had (folder, cache or network), else the course's own.

    `line` says which; print it. Only missing weights are replaced: a model that does not fit raises,
    and so does an own checkpoint that is not there (`WeightsMissing`).
    """
    try:
        checkpoint, path = _find(published)
        model = _load(checkpoint, path)
    except WeightsMissing:
        checkpoint, path = _find(own)
        model = _load(checkpoint, path)
        line = (
            f"no {published} here and no network: the course's own {_in_words(checkpoint)} instead"
        )
    else:
        line = f"published weights: {_in_words(checkpoint)}"
    return Pretrained(model, checkpoint, line)


def _in_words(checkpoint: Checkpoint) -> str:
    height, width = checkpoint.transform.size
    return f"{checkpoint.name} ({len(checkpoint.classes)} classes, {height} x {width} pixels)"


def _load(checkpoint: Checkpoint, path: Path) -> nn.Module:
    return load_weights(checkpoint.build(), read_weights(path)).eval()


def _find(name: str | Path) -> tuple[Checkpoint, Path]:
    """The description, and where the weights are."""
    if name in set(CHECKPOINTS):
        return CHECKPOINTS[str(name)], CHECKPOINTS.path(str(name))
    if isinstance(name, str) and not is_hub_name(name) and not Path(name).expanduser().exists():
        raise WeightsMissing(
            f"there is no checkpoint {name!r}: the course has "
            f"{', '.join(CHECKPOINTS) or 'none in this installation'}; published ones are called "
            'owner/name, as "google/vit-base-patch16-224", or give the path of a folder'
        )
    path = locate(name)
    if path.is_dir():
        return describe_folder(path, str(name) if is_hub_name(str(name)) else path.name), path
    if is_own(path):
        return read_description(path), path
    raise ValueError(
        f"{path} does not say which model it belongs to: give a folder with its config.json, or "
        "build the model and use load_weights"
    )
