"""Attention as pictures: what a query looks at, what reaches it through all layers, and how far.

The weights are those that `record` keeps: (batch, heads, queries, keys).
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Weights = Float[Tensor, "batch heads queries keys"]


def grid_of_tokens(tokens: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of patches in the proportions of an image (height, width), after a prefix.

    The largest grid of square patches that fits into the number of tokens; what is left over, fewer
    than 17, are class tokens and registers, which come first. Raises `ValueError` if there is none.
    """
    height, width = image_size
    for places in range(tokens, max(0, tokens - 17), -1):
        rows = round((places * height / width) ** 0.5)
        if rows and rows * width % height == 0 and rows * (rows * width // height) == places:
            return rows, rows * width // height
    raise ValueError(
        f"{tokens} tokens do not make a grid in the proportions of {height} x {width} pixels: give "
        "grid=(rows, columns)"
    )


def attention_maps(
    weights: Weights, image_size: tuple[int, int], *, grid: tuple[int, int] | None = None
) -> Float[Tensor, "batch heads rows columns"]:
    """What the class token looks at, patch by patch; without one, what all patches do on average.

    `image_size` is (height, width) in pixels; from its proportions the grid of the keys is found
    unless `grid` gives it. Tokens before the grid are the prefix, the class token the first of them;
    its look at the prefix is left out, so a map sums to less than one. Raises `ValueError` for a grid
    that the keys do not fill.
    """
    rows, columns = grid or grid_of_tokens(weights.shape[-1], image_size)
    prefix = weights.shape[-1] - rows * columns
    if prefix < 0:
        raise ValueError(
            f"a grid of {rows} x {columns} has more places than the {weights.shape[-1]} keys: give "
            "the grid of the keys, in CvT half the sides of the queries'"
        )
    row = weights[:, :, 0] if prefix else weights.mean(dim=2)
    return row[..., prefix:].unflatten(-1, (rows, columns))


def upsample(
    maps: Float[Tensor, "batch rows columns"], image_size: tuple[int, int]
) -> Float[Tensor, "batch height width"]:
    """A small map as large as the image, bilinear between the middles of the places."""
    return F.interpolate(maps[:, None], size=image_size, mode="bilinear", align_corners=False)[:, 0]


def attention_rollout(
    maps: Mapping[str, Tensor] | Sequence[Tensor],
) -> Float[Tensor, "batch tokens tokens"]:
    """How much of each input token (columns) there is in each output token (rows): rows sum to one.

    `maps`: the weights of all layers, first layer first, as `record` gives them. Each layer is the
    mean of its heads, half of it replaced by the identity, for the residual connection; the layers
    are multiplied. Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3.
    It knows nothing of values and feed-forward layers.

    Raises `ValueError` for no layers, and for a layer whose keys are not its queries (CvT's strided
    keys, stages of several sizes, windows): there is no identity to add, nothing to multiply.
    """
    layers = list(maps.values() if isinstance(maps, Mapping) else maps)
    if not layers:
        raise ValueError("rollout needs at least one layer; got none: run the model inside record")
    shapes = [tuple(layer.shape) for layer in layers]
    if len({(s[0], *s[2:]) for s in shapes}) > 1 or any(s[-1] != s[-2] for s in shapes):
        raise ValueError(
            f"rollout multiplies layers whose queries and keys are the same tokens; got weights of "
            f"{', '.join(map(str, dict.fromkeys(shapes)))}: in CvT keys are strided, look at single "
            "layers with attention_maps"
        )
    flow = torch.eye(shapes[0][-1], dtype=layers[0].dtype, device=layers[0].device)
    identity = flow
    for layer in layers:
        step = (layer.mean(dim=1) + identity) / 2
        flow = step / step.sum(dim=-1, keepdim=True) @ flow
    return flow


def mean_attention_distance(
    weights: Weights,
    image_size: tuple[int, int],
    *,
    grid: tuple[int, int] | None = None,
    key_grid: tuple[int, int] | None = None,
) -> Float[Tensor, "batch heads"]:
    """How far, in pixels, each head looks: distances to the keys' patches, weighted by attention.

    Between the middles of patches, averaged over all patches as queries; the class token takes no
    part, and the weights that are left sum to one again. Dosovitskiy et al. 2021, figure 7, right.
    `grid` and `key_grid` are found as in `attention_maps`; with strided keys (CvT) their middles are
    taken as evenly spread over the image. Raises `ValueError` for grids that the weights do not have.
    """
    places = []
    for given, tokens in ((grid, weights.shape[-2]), (key_grid or grid, weights.shape[-1])):
        rows, columns = given or grid_of_tokens(tokens, image_size)
        if rows * columns > tokens:
            raise ValueError(
                f"a grid of {rows} x {columns} has more places than the {tokens} tokens: give grid "
                "for the queries and key_grid for the keys"
            )
        places.append(_middles(weights, image_size, (rows, columns)))
    queries, keys = places
    distance = torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist")
    looks = weights[..., -len(queries) :, -len(keys) :]
    looks = looks / looks.sum(dim=-1, keepdim=True)
    return (looks * distance).sum(dim=-1).mean(dim=-1)


def _middles(like: Tensor, image_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """(places, 2): y and x in pixels of the middle of each patch, row by row."""
    sides = [
        (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) * size / count
        for size, count in zip(image_size, grid, strict=True)
    ]
    return torch.cartesian_prod(*sides)
