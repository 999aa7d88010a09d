"""A trained model described: what to build, what its outputs mean, what to feed it, how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from course_utils import cnn, cvt, vit
from course_utils.weights.transforms import Transform

FAMILIES: dict[str, type[nn.Module]] = {
    "vit": vit.VisionTransformer,
    "resnet": cnn.ResNet,
    "cvt": cvt.ConvolutionalVisionTransformer,
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "vit": vit.PRESETS,
    "resnet": cnn.PRESETS,
    "cvt": cvt.PRESETS,
}


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights.

    `build()` makes the model, untrained: `family` (vit, resnet or cvt) with the keyword arguments
    `arguments`. `classes` has the name of each logit. `transform` takes a PIL image or a tensor to
    what the model was trained on. `recipe` tells how it was trained and `accuracy` how many of the
    test images it gets right, 0 ... 1, where that is recorded. `preset` is its name in the family's
    PRESETS, where it has one.
    """

    name: str
    family: str
    arguments: Mapping[str, Any]
    classes: tuple[str, ...]
    transform: Transform
    preset: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    accuracy: float | None = None

    def build(self) -> nn.Module:
        """The model, with the weights that it starts with."""
        return FAMILIES[self.family](**self.arguments)


def family_of(preset: str) -> str:
    """The family that has a preset. Raises `ValueError` for an unknown one."""
    for family, presets in PRESETS.items():
        if preset in presets:
            return family
    known = ", ".join(name for presets in PRESETS.values() for name in presets)
    raise ValueError(f"there is no preset {preset!r}; there are: {known}")
