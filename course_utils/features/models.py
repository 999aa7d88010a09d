"""A model that makes feature vectors: a module, what its images need, and which tensor to take."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_utils.features.fingerprint import fingerprint
from course_utils.features.libraries import Transform, load, own_transform
from course_utils.features.vectors import VectorFunction, vector_function
from course_utils.weights import Pretrained


@dataclass(frozen=True)
class FeatureModel:
    """`module` in eval mode turns what `transform` makes of an image into vectors.

    `transform(image)` takes a PIL image (RGB, upright) to a tensor (channels, height, width);
    `vectors(images)` takes a batch of them to (batch, dim), by default what the module's last layer
    would get (`vector_function`). `name` is for people; two models are the same if `identity` is.
    """

    module: nn.Module
    transform: Transform
    vectors: VectorFunction
    name: str

    @cached_property
    def identity(self) -> str:
        """The kind of the module, a digest of all its weights, and the name of your own `vectors`."""
        own = "" if self.known_vectors else f" {self.vectors.__qualname__}"
        return fingerprint(self.module) + own

    @property
    def known_vectors(self) -> bool:
        """Whether `vectors` is the one that `vector_function` gives."""
        return self.vectors.__module__ == vector_function.__module__


def feature_model(
    model: "str | Path | nn.Module | Pretrained | FeatureModel",
    transform: Callable[[Any], Tensor] | None = None,
) -> FeatureModel:
    """The model that `extract_features` uses for `model`; see there for what it may be.

    Raises `WeightsMissing` when weights are neither here nor within reach; nothing else is taken in
    their place. Raises `ValueError` for an unknown name, for a module of which the preprocessing is
    not known, and where no feature vector can be told.
    """
    if isinstance(model, FeatureModel):
        chosen = transform or model.transform
        return FeatureModel(model.module, chosen, model.vectors, model.name)
    preprocess: Callable[[Any], Tensor]
    if isinstance(model, Pretrained):
        module, preprocess, name = model.model, model.checkpoint.transform, model.checkpoint.name
    elif isinstance(model, nn.Module):
        module, name = _unwrapped(model), type(model).__name__
        preprocess = transform or own_transform(module)
    elif isinstance(model, str | Path):
        module, preprocess = load(model)
        name = str(model)
    else:
        raise TypeError(
            f"a model is a name, the path of a folder, a module or a FeatureModel; got "
            f"{type(model).__name__}"
        )
    return FeatureModel(module, transform or preprocess, vector_function(module), name)


def _unwrapped(module: nn.Module) -> nn.Module:
    """The module inside `torch.compile`'s or a parallel wrapper."""
    for name in ("_orig_mod", "module"):
        inner = getattr(module, name, None)
        wraps = re.search("OptimizedModule|Parallel", type(module).__name__)
        if wraps and isinstance(inner, nn.Module):
            return _unwrapped(inner)
    return module
