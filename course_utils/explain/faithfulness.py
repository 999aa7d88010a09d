"""Is an explanation true of the model? Take away what it points to, and see what the model says.

Deletion and insertion ask the model; the pointing game asks whoever drew the picture. A method that
is no better than chance, or than the middle of the image, explains nothing.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_utils.evaluation import in_eval_mode
from course_utils.explain.gradients import logits_of
from course_utils.explain.maps import upsample

Images = Float[Tensor, "batch channels height width"]
Maps = Float[Tensor, "batch height width"]
Mode = Literal["deletion", "insertion"]


@torch.no_grad()
def perturbation_curve(
    model: nn.Module,
    images: Images,
    maps: Maps,
    target: Int[Tensor, " batch"],
    *,
    mode: Mode,
    steps: int = 16,
    fill: Tensor | None = None,
    seed: int = 0,
) -> Float[Tensor, "batch points"]:
    """The probability of class `target` after 0, 1 ... `steps` equal portions of the pixels.

    "deletion": pixels are replaced by those of `fill`, the most important first; the sooner the
    probability falls, the better the map. "insertion": the image starts as `fill` and gets its own
    pixels back, the most important first; the sooner it rises, the better. Petsiuk et al. 2018,
    "RISE". `fill` broadcasts to the images, by default 0, the mean color of normalized images; see
    `blurred`. Among equally important pixels chance, from `seed`, decides.

    Raises `ValueError` for another mode, no steps, or maps that are not as large as the images.
    """
    _check_curve(images, maps, mode, steps)
    filling = torch.zeros_like(images) if fill is None else fill.to(images).expand_as(images)
    rank = _ranks(maps, seed)[:, None]
    points = []
    with in_eval_mode(model):
        for step in range(steps + 1):
            first = rank < round(maps[0].numel() * step / steps)
            hidden = first if mode == "deletion" else ~first
            logits = logits_of(model(torch.where(hidden, filling, images)))
            points.append(logits.softmax(dim=-1).gather(1, target[:, None].to(logits.device)))
    return torch.cat(points, dim=1)


def _check_curve(images: Tensor, maps: Tensor, mode: str, steps: int) -> None:
    if mode not in get_args(Mode) or steps < 1:
        raise ValueError(
            f"mode must be one of {', '.join(get_args(Mode))} and steps at least 1; got {mode!r} and "
            f"{steps}"
        )
    if maps.shape != (len(images), *images.shape[-2:]):
        raise ValueError(
            f"each image needs a map as large as itself; got images {tuple(images.shape)} and maps "
            f"{tuple(maps.shape)}: see upsample"
        )


def _ranks(maps: Tensor, seed: int) -> Tensor:
    """The place of each pixel in the order of importance, 0 the most important."""
    flat = maps.flatten(1)
    # The pixels are sorted in a random order: a stable sort alone would favor the upper left.
    mixed = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(seed))
    mixed = mixed.to(maps.device)
    order = mixed[flat[:, mixed].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(dim=1).view_as(maps)


def area_under(curve: Float[Tensor, "batch points"]) -> Float[Tensor, " batch"]:
    """The area under each curve over 0 ... 1, by trapezoids: one number for a curve, 0 ... 1."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[1] - 1), dim=1)


def blurred(images: Images, sigma: float) -> Images:
    """The images without detail, for `fill`: blurred by a Gaussian of `sigma` pixels.

    Insertion into a blurred image adds no edges of its own (Petsiuk et al. 2018).
    """
    from torchvision.transforms.functional import gaussian_blur

    longest = 2 * min(images.shape[-2:]) - 1  # more than that the mirrored border does not give
    size = min(2 * round(3 * sigma) + 1, longest)
    return gaussian_blur(images, [size, size], [sigma, sigma])


def pointing_game(
    maps: Maps, masks: Bool[Tensor, "batch height width"], *, tolerance: int = 0
) -> Float[Tensor, " batch"]:
    """1 where a map is highest on the object, 0 where it is not; of several highest, their share.

    `tolerance`: a hit may lie so many pixels off the mask. Zhang et al. 2018, "Top-down Neural
    Attention by Excitation Backprop", section 4.1, where it is 15 pixels on photographs. A map that
    is the same everywhere scores the share of the image that the object covers.

    Raises `ValueError` for maps and masks of different shapes, and for an empty mask.
    """
    if maps.shape != masks.shape:
        raise ValueError(
            f"each map needs a mask of its size; got {tuple(maps.shape)} and {tuple(masks.shape)}"
        )
    if not masks.flatten(1).any(dim=1).all():
        raise ValueError("a map cannot hit an empty mask: leave out images without the object")
    y, x = (torch.arange(side, device=maps.device) for side in (2 * tolerance + 1,) * 2)
    disk = (y[:, None] - tolerance) ** 2 + (x - tolerance) ** 2 <= tolerance**2
    wide = F.conv2d(masks[:, None].to(maps), disk[None, None].to(maps), padding=tolerance)[:, 0]
    highest = maps == maps.amax(dim=(-2, -1), keepdim=True)
    inside = highest & (wide > 0.5)
    return inside.flatten(1).sum(dim=1).to(maps) / highest.flatten(1).sum(dim=1)


def random_maps(images: Images, *, cells: int = 8, seed: int = 0) -> Maps:
    """Maps that know nothing: chance on a grid of cells x cells, as coarse as attention, upsampled.

    A pixel's own chance would not be fair: single pixels deleted everywhere hurt more than a patch.
    Image i has that of seed + i.
    """
    chance = [
        torch.rand(cells, cells, generator=torch.Generator().manual_seed(seed + i))
        for i in range(len(images))
    ]
    return upsample(torch.stack(chance).to(images), (images.shape[-2], images.shape[-1]))


def center_maps(images: Images) -> Maps:
    """Maps that look at the middle of the image, whatever is in it: where photographers aim."""
    y, x = (torch.linspace(-1, 1, side).to(images) for side in images.shape[-2:])
    return (-(y[:, None] ** 2) - x**2).expand(len(images), -1, -1)


def mean_interval(values: Float[Tensor, " items"]) -> tuple[float, float, float]:
    """The mean, and between which values the true one lies with 95 % confidence: (mean, low, high).

    1.96 standard errors to both sides, which many items justify. To compare two methods on the same
    images, give the differences. Raises `ValueError` for fewer than two items.
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 items; got {len(values)}")
    mean = values.mean().item()
    half = 1.959963984540054 * values.std().item() / len(values) ** 0.5
    return mean, mean - half, mean + half
