"""Weights of other libraries into our models, all of them or none."""

from math import isqrt
from typing import Any, TypeVar

from torch import Tensor, nn

from course_utils.positions import resize_positions
from course_utils.vit import VisionTransformer
from course_utils.weights.files import Source, read_weights
from course_utils.weights.names import HEADS, RULES, our_names

Model = TypeVar("Model", bound=nn.Module)


def load_weights(model: Model, source: Source, *, head: bool = True) -> Model:
    """Copy the weights of `source` into `model` (`VisionTransformer`, `ResNet` or
    `ConvolutionalVisionTransformer`), and return it.

    `source` is a module of timm, torchvision or Hugging Face, a state dict with their names or ours,
    a file, a folder as `save_pretrained` writes it, or a name on the Hugging Face hub (downloaded
    once). `head=False` leaves the classifier as it is: the way to fine-tune on other classes.

    Everything else must fit, or nothing is loaded. One thing is changed to fit: learned positions of
    another grid, when the model was made for another image size (`resize_positions`; the source's
    grid is taken to be square unless `source` is a module that says otherwise). The model keeps its
    own dtype, and its own LayerNorm eps: files do not carry it, and libraries differ (timm and
    torchvision 1e-6, Hugging Face's ViT 1e-12), so make the model with that `norm_eps`. Batch norm's
    counters of batches may be missing in old files; the model's then stay.

    Raises `ValueError` that names every parameter that does not fit, with both shapes;
    `WeightsMissing` when `source` cannot be had; `TypeError` for a model that is none of the three.
    """
    family = next((family for family in RULES if isinstance(model, family)), None)
    if family is None:
        raise TypeError(
            f"weights go into a {', '.join(kind.__name__ for kind in RULES)}; got "
            f"{type(model).__name__}: use its own load_state_dict"
        )
    weights = our_names(read_weights(source), family)
    own = model.state_dict()
    if not head:
        prefix = HEADS[family]
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith(prefix)}
        weights |= {name: tensor for name, tensor in own.items() if name.startswith(prefix)}
    for name in own:
        if name.endswith(".num_batches_tracked"):
            weights.setdefault(name, own[name])
    if isinstance(model, VisionTransformer):
        _fit_positions(model, weights, _grid_of(source))
    _check_fit(type(model).__name__, own, weights, HEADS[family])
    model.load_state_dict(weights, strict=True)
    return model


def _fit_positions(
    model: VisionTransformer, weights: dict[str, Tensor], grid: tuple[int, int] | None
) -> None:
    """Resize a table of positions of another grid; one that does not fill its grid stays."""
    table = weights.get("pos_embed")
    if model.positions != "learned" or table is None or table.dim() != 3:
        return
    places = table.shape[1] - model.prefix_tokens
    if grid is None:
        same = places == model.grid[0] * model.grid[1]
        side = isqrt(max(places, 0))
        grid = model.grid if same else (side, side)
    if grid[0] * grid[1] == places > 0 and grid != model.grid:
        weights["pos_embed"] = resize_positions(
            table, model.grid, prefix_tokens=model.prefix_tokens, old_grid=grid
        )


def _grid_of(source: Any) -> tuple[int, int] | None:
    """Rows and columns of patches for which a module was made, where it tells."""
    if isinstance(source, VisionTransformer):
        return source.grid
    embedding = getattr(source, "patch_embed", None)  # timm
    if embedding is not None and getattr(embedding, "grid_size", None):
        return tuple(embedding.grid_size)
    config: Any = getattr(source, "config", None)  # Hugging Face
    if getattr(config, "image_size", None) and getattr(config, "patch_size", None):
        sides, patches = _pair(config.image_size), _pair(config.patch_size)
        return sides[0] // patches[0], sides[1] // patches[1]
    return None


def _pair(size: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _check_fit(model: str, own: dict[str, Tensor], weights: dict[str, Tensor], head: str) -> None:
    """Raise `ValueError` with everything that does not fit, unless names and shapes agree."""
    lines = []
    for name in [*own, *(name for name in weights if name not in own)]:
        sides = [f"{tuple(t[name].shape)}" if name in t else "nothing" for t in (own, weights)]
        if sides[0] != sides[1]:
            lines.append(f"  {name}: the model has {sides[0]}, the source {sides[1]}")
    if not lines:
        return
    ways = ["make the model with the sizes and options of the source (load_pretrained reads them)"]
    if any(line.startswith(f"  {head}") for line in lines):
        bias = weights.get(f"{head}bias")
        classes = 0 if bias is None else len(bias)
        ways.append(
            f"the source classifies {classes} classes: make the model with num_classes={classes}, or "
            "keep the model's own classifier with load_weights(model, source, head=False)"
        )
    raise ValueError(
        f"weights are loaded whole or not at all, and these do not fit this {model}:\n"
        + "\n".join(lines)
        + "\n"
        + "; ".join(ways)
    )
