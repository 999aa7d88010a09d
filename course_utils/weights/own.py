"""The course's own checkpoints: one safetensors file each, which describes itself in its header.

Weights are stored as float16 and loaded as float32; counters of batches stay integers.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_utils.progress import replace_file
from course_utils.weights.checkpoint import FAMILIES, PRESETS, Checkpoint, family_of
from course_utils.weights.files import WeightsMissing
from course_utils.weights.transforms import Transform

HEADER = "course_checkpoint"  # the key of the description in the file's header
NEEDED = ("preset", "classes", "mean", "std", "size", "recipe", "accuracy")


class OwnCheckpoints(Mapping[str, Checkpoint]):
    """Name -> description of every checkpoint in a folder, read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """The file of a checkpoint, whether or not it is there."""
        return self.folder / f"{name}.safetensors"

    def __getitem__(self, name: str) -> Checkpoint:
        if name not in set(self):
            raise KeyError(
                f"{name}; the course has: {', '.join(self) or 'none in this installation'}"
            )
        return read_description(self.path(name))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in self.folder.glob("*.safetensors")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


CHECKPOINTS = OwnCheckpoints(Path(__file__).parents[1] / "checkpoints")


def save_checkpoint(model: nn.Module, path: str | Path, about: Mapping[str, Any]) -> None:
    """Write `model` to `path` (.safetensors), with all that is needed to use it.

    `about` has: preset (a name in PRESETS of vit, cnn or cvt); arguments, only if the model was made
    with others besides the preset's; classes (the name of each logit); mean, std (a number for each
    channel); size (pixels: one number or height and width); recipe (how it was trained: a mapping
    that JSON can hold); accuracy (share of the test images, 0 ... 1).

    Raises `ValueError` when `about` lacks something or has more, when it does not describe `model`,
    or when a weight is too large for float16. A write that fails leaves what was there before.
    """
    missing = [key for key in NEEDED if key not in about]
    unknown = sorted(set(about) - {*NEEDED, "arguments"})
    if missing or unknown:
        raise ValueError(
            f"about has {', '.join(NEEDED)} and perhaps arguments; missing: "
            f"{', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}"
        )
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"a checkpoint is a .safetensors file; got {path}: change the suffix")
    text = json.dumps(dict(about))
    described = _checkpoint(Path(path).stem, json.loads(text))
    _check_describes(described, model)
    weights = {}
    for name, tensor in model.state_dict().items():
        small = tensor.detach().cpu()
        small = small.half() if small.is_floating_point() else small
        if small.is_floating_point() and not small.isfinite().all():
            raise ValueError(
                f"weights are stored as float16, up to 65504; {name} has "
                f"{tensor.abs().max().item():.3g}: was the training stable?"
            )
        weights[name] = small.contiguous()
    from safetensors.torch import save

    Path(path).parent.mkdir(parents=True, exist_ok=True)
    replace_file(Path(path), save(weights, metadata={HEADER: text}))


def is_own(path: Path) -> bool:
    """Whether a file is a checkpoint that `save_checkpoint` wrote."""
    return path.suffix == ".safetensors" and path.is_file() and HEADER in _header(path)


def read_description(path: Path) -> Checkpoint:
    """The description in a checkpoint's header; the weights are not read.

    Raises `WeightsMissing` without a file, `ValueError` for one that `save_checkpoint` did not write.
    """
    if not path.is_file():
        raise WeightsMissing(
            f"there is no checkpoint {path}: install the course again, its checkpoints come with it"
        )
    header = _header(path)
    if HEADER not in header:
        raise ValueError(
            f"{path} does not describe itself, so no model can be built for it: save with "
            "save_checkpoint, or build a model and use load_weights"
        )
    return _checkpoint(path.stem, json.loads(header[HEADER]))


def _header(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): copy it again") from error


def _checkpoint(name: str, about: Mapping[str, Any]) -> Checkpoint:
    preset, size = about["preset"], about["size"]
    family = family_of(preset)
    arguments = PRESETS[family][preset] | about.get("arguments", {})
    return Checkpoint(
        name=name,
        family=family,
        arguments={k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()},
        classes=tuple(about["classes"]),
        transform=Transform(
            size=(size, size) if isinstance(size, int) else (size[0], size[1]),
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
        ),
        preset=preset,
        recipe=about["recipe"],
        accuracy=about["accuracy"],
    )


def _check_describes(described: Checkpoint, model: nn.Module) -> None:
    """Raise `ValueError` unless the description builds a model with this one's parameters."""
    with torch.device("meta"):
        built = described.build()
    shapes = [{n: tuple(t.shape) for n, t in m.state_dict().items()} for m in (built, model)]
    family = FAMILIES[described.family]
    if not isinstance(model, family) or shapes[0] != shapes[1]:
        names = sorted({n for n, _ in set(shapes[0].items()) ^ set(shapes[1].items())})
        raise ValueError(
            f"about must describe the model: preset={described.preset!r} with "
            f"{dict(described.arguments)} makes a {family.__name__} that differs from this "
            f"{type(model).__name__} in {', '.join(names[:5]) or 'kind'}: give the arguments that it "
            "was made with"
        )
    head = getattr(model, "fc" if described.family == "resnet" else "head")
    if getattr(head, "out_features", 0) != len(described.classes):
        raise ValueError(
            f"each logit needs the name of its class; the model has "
            f"{getattr(head, 'out_features', 0)}, about['classes'] {len(described.classes)}"
        )
