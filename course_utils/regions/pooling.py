"""The features of a region: the part of a map under a box, on a grid of its own. Lesson 11.

A box is x1, y1, x2, y2 in pixels of the image, from edge to edge: x2 - x1 is its width.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

Boxes = Float[Tensor, "_ 4"]  # as many as there are in an image


def roi_features(
    feature_map: Float[Tensor, "batch channels rows columns"],
    boxes: Sequence[Boxes],
    output_size: int | tuple[int, int],
    *,
    image_size: tuple[int, int],
    samples: int = 2,
) -> Float[Tensor, "_ channels cells_y cells_x"]:
    """The map under every box, as output_size cells: those of the first image, then of the second.

    `boxes` has the boxes of each image, in its pixels; `image_size` is (height, width). Each cell is
    the mean of samples x samples points, each interpolated between the four nearest places, nothing
    rounded: RoIAlign (He et al. 2017, "Mask R-CNN", section 3), by torchvision, with the middles of
    pixels at halves (`aligned=True`). A box may reach over the edge.

    Raises `ValueError` unless each image has its boxes, and for a map of other proportions than the
    image: there is one scale for both axes.
    """
    from torchvision.ops import roi_align

    if len(boxes) != len(feature_map):
        raise ValueError(
            f"each image needs a tensor of boxes, (0, 4) for none; got {len(feature_map)} maps and "
            f"{len(boxes)} tensors of boxes"
        )
    rows, columns = feature_map.shape[-2:]
    height, width = image_size
    if rows * width != columns * height:
        raise ValueError(
            f"a map must have the proportions of the image, as boxes are scaled by one number; got "
            f"{rows} x {columns} places for {height} x {width} pixels: resize or pad the images to "
            "multiples of the model's stride"
        )
    return roi_align(
        feature_map,
        [part.to(feature_map) for part in boxes],
        output_size,
        spatial_scale=rows / height,
        sampling_ratio=samples,
        aligned=True,
    )


def patch_map(
    tokens: Float[Tensor, "batch tokens dim"], grid: tuple[int, int]
) -> Float[Tensor, "batch dim rows columns"]:
    """A ViT's tokens as a map: the last rows * columns; what stands before is left out.

    Raises `ValueError` for a grid of more places than there are tokens.
    """
    rows, columns = grid
    if rows * columns > tokens.shape[1]:
        raise ValueError(
            f"a grid of {rows} x {columns} needs {rows * columns} tokens; got {tokens.shape[1]}: "
            "grid is (height, width) of the image divided by the patch size"
        )
    return tokens[:, -rows * columns :].transpose(1, 2).unflatten(2, grid)
