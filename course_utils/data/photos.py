"""Photographs that come inside two libraries' wheels: no download; or a file of your own."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from course_utils.data.splits import folder_of
from course_utils.images import open_image

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


def photo(name: str | Path) -> Float[Tensor, "3 height width"]:
    """A real photograph as (channels, height, width), values 0 ... 1; `PHOTOS` lists the names.

    Or the path of an image file of your own; one that a phone has stored turned is turned upright.
    Raises `ValueError` for what is neither a name nor a file.
    """
    if name in PHOTOS:
        library, file = PHOTOS[str(name)]
        path = folder_of(library) / file
    else:
        path = Path(name)
        if not path.is_file():
            raise ValueError(
                f"there is no photograph {str(name)!r}; there are: {', '.join(PHOTOS)}, or give the "
                "path of an image file"
            )
    pixels = torch.from_numpy(np.array(open_image(path)))
    return pixels.permute(2, 0, 1).float().div(255.0)


def photos() -> dict[str, Float[Tensor, "3 height width"]]:
    """All photographs by name, each in its own size."""
    return {name: photo(name) for name in PHOTOS}
