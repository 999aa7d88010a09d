"""Data that needs no network: text, handwritten digits, photographs. Three splits everywhere."""

import ast
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def course_text(split: Split = "train") -> list[str]:
    """Docstrings of the installed scikit-learn: English about machine learning, one string each.

    Read from its source files with `ast`, so nothing is imported or downloaded and every Python
    version gives the same text for the same scikit-learn. Duplicates are dropped, then 80, 10 and 10
    percent of the docstrings are drawn (seeded) for train, validation and test. scikit-learn is
    BSD-licensed; the text stays on the reader's machine.
    """
    _check_split(split)
    docstrings = _sklearn_docstrings()
    order = np.random.default_rng(0).permutation(len(docstrings))
    return [docstrings[i] for i in sorted(_part(order, split))]


@cache
def _sklearn_docstrings() -> tuple[str, ...]:
    root = _folder_of("sklearn")
    modules = sorted(path for path in root.rglob("*.py") if "tests" not in path.parts)
    texts: dict[str, None] = {}  # a dict keeps the order and drops duplicates
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                texts[ast.get_docstring(node) or ""] = None
    texts.pop("", None)
    return tuple(texts)


def parallel_sentences() -> list[dict[str, str]]:
    """Sentences that say the same in en, hi, zh, ja and ar (language code -> text)."""
    return _parallel()["sentences"]


def languages() -> dict[str, dict[str, str]]:
    """Language code -> its name, script and direction ("ltr" or "rtl")."""
    return _parallel()["languages"]


@cache
def _parallel() -> dict[str, Any]:
    path = files("course_utils") / "texts" / "parallel.json"
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: images in 0 ... 1, and which digit each shows."""

    images: Float[Tensor, "items 1 8 8"]
    labels: Int[Tensor, " items"]


def digits(split: Split = "train") -> Digits:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, split 60, 20 and 20 percent.

    Each class keeps its share in every split (seeded). Source: Alpaydin and Kaynak 1998, "Optical
    Recognition of Handwritten Digits", UCI repository, test part.
    """
    from sklearn.datasets import load_digits

    _check_split(split)
    raw = load_digits()
    rng = np.random.default_rng(0)
    rows = [
        _part(rng.permutation(np.flatnonzero(raw.target == digit)), split, (0.6, 0.8))
        for digit in range(10)
    ]
    chosen = np.sort(np.concatenate(rows))
    images = torch.from_numpy(raw.images[chosen]).float().div(16.0).unsqueeze(1)
    return Digits(images, torch.from_numpy(raw.target[chosen]).long())


# The photographs that come inside two libraries' wheels: name -> (library, file).
PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "temple": ("sklearn", "datasets/images/china.jpg"),
}


def photo(name: str) -> Float[Tensor, "3 height width"]:
    """A real photograph as (channels, height, width), values 0 ... 1; `PHOTOS` lists the names.

    Raises `ValueError` for an unknown name.
    """
    from PIL import Image

    if name not in PHOTOS:
        raise ValueError(f"there is no photograph {name!r}; there are: {', '.join(PHOTOS)}")
    library, file = PHOTOS[name]
    with Image.open(_folder_of(library) / file) as image:
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div(255.0)


def photos() -> dict[str, Float[Tensor, "3 height width"]]:
    """All photographs by name, each in its own size."""
    return {name: photo(name) for name in PHOTOS}


def _folder_of(library: str) -> Path:
    """Where an installed library lies, found without importing it."""
    spec = find_spec(library)
    assert spec is not None, f"{library} is a dependency of this package"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _part(order: np.ndarray, split: Split, cuts: tuple[float, float] = (0.8, 0.9)) -> np.ndarray:
    """The share of `order` that belongs to `split`; `cuts` are where train and validation end."""
    first, second = (round(cut * len(order)) for cut in cuts)
    return {"train": order[:first], "validation": order[first:second], "test": order[second:]}[
        split
    ]


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
