"""Photographs that come inside two libraries' wheels: no download."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from course_utils.data.splits import folder_of

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
    with Image.open(folder_of(library) / file) as image:
        pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div(255.0)


def photos() -> dict[str, Float[Tensor, "3 height width"]]:
    """All photographs by name, each in its own size."""
    return {name: photo(name) for name in PHOTOS}
