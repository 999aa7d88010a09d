"""Handwritten digits that come with scikit-learn: real images, no download."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_utils.data.splits import Split, check_split, part


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: images in 0 ... 1, and which digit each shows."""

    images: Float[Tensor, "items 1 8 8"]
    labels: Int[Tensor, " items"]
    classes: tuple[str, ...] = tuple("0123456789")


def digits(split: Split = "train") -> Digits:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, split 60, 20 and 20 percent.

    Each class keeps its share in every split (seeded). Source: Alpaydin and Kaynak 1998, "Optical
    Recognition of Handwritten Digits", UCI repository, test part.
    """
    from sklearn.datasets import load_digits

    check_split(split)
    raw = load_digits()
    rng = np.random.default_rng(0)
    rows = [
        part(rng.permutation(np.flatnonzero(raw.target == digit)), split, (0.6, 0.8))
        for digit in range(10)
    ]
    chosen = np.sort(np.concatenate(rows))
    images = torch.from_numpy(raw.images[chosen]).float().div(16.0).unsqueeze(1)
    return Digits(images, torch.from_numpy(raw.target[chosen]).long())
