"""Every method by its name, and its three marks: what lesson 12 and its study compare."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_utils.evaluation import in_eval_mode
from course_utils.explain.faithfulness import (
    area_under,
    blurred,
    center_maps,
    perturbation_curve,
    pointing_game,
    random_maps,
)
from course_utils.explain.gradients import grad_cam, gradient_map
from course_utils.explain.maps import attention_maps, attention_rollout, upsample
from course_utils.explain.record import Recording, record

Images = Float[Tensor, "batch channels height width"]
Maps = Float[Tensor, "batch height width"]
Target = Int[Tensor, " batch"]


@dataclass(frozen=True)
class Faithfulness:
    """A method's marks, one number an image: areas under the deletion curve (low is good) and the
    insertion curve (high is good), and hits in the pointing game (`mean_interval` sums them up).
    """

    deletion: Float[Tensor, " items"]
    insertion: Float[Tensor, " items"]
    pointing: Float[Tensor, " items"]


def saliency_maps(
    model: nn.Module, images: Images, target: Target, method: str, *, seed: int = 0
) -> Maps:
    """A map of each image by the method of that name, of METHODS.

    "attention": the last layer's, heads averaged; "rollout"; "grad_cam"; "gradient"; "random" and
    "center" know nothing of the model. Attention and rollout know nothing of `target`. Raises
    `ValueError` for another name, and for a model that has no such map: a CNN has no attention, a
    CvT no rollout.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    return METHODS[method](model, images, target, seed)


def measure_faithfulness(
    model: nn.Module,
    images: Images,
    target: Target,
    masks: Bool[Tensor, "batch height width"],
    method: str,
    *,
    steps: int = 16,
    seed: int = 0,
    batch_size: int = 64,
) -> Faithfulness:
    """The marks of a method on images whose objects are known. Raises as `saliency_maps`
    does.

    Deleted pixels get the mean color, 0; insertion begins with the image blurred by an eighth of its
    side.
    """
    marks = []
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        some, classes = images[part], target[part]
        maps = saliency_maps(model, some, classes, method, seed=seed + start)
        blur = blurred(some, min(some.shape[-2:]) / 8)
        curve = partial(perturbation_curve, model, some, maps, classes, steps=steps, seed=seed)
        deletion, insertion = curve(mode="deletion"), curve(mode="insertion", fill=blur)
        hits = pointing_game(maps, masks[part])
        marks.append((area_under(deletion), area_under(insertion), hits))
    return Faithfulness(*(torch.cat(column) for column in zip(*marks, strict=True)))


def _recorded(model: nn.Module, images: Tensor) -> Recording:
    with record(model) as seen, in_eval_mode(model), torch.no_grad():
        model(images)
    if not seen:
        raise ValueError(
            f"this {type(model).__name__} has no attention to look at: take grad_cam or gradient"
        )
    return seen


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def _attention(model: nn.Module, images: Tensor, _target: Tensor, _seed: int) -> Tensor:
    weights = list(_recorded(model, images).values())[-1]
    return upsample(attention_maps(weights, _size(images)).mean(dim=1), _size(images))


def _rollout(model: nn.Module, images: Tensor, _target: Tensor, _seed: int) -> Tensor:
    flow = attention_rollout(_recorded(model, images))
    return upsample(attention_maps(flow[:, None], _size(images))[:, 0], _size(images))


METHODS: dict[str, Callable[[nn.Module, Tensor, Tensor, int], Tensor]] = {
    "attention": _attention,
    "rollout": _rollout,
    "grad_cam": lambda model, images, target, _seed: grad_cam(model, images, target),
    "gradient": lambda model, images, target, _seed: gradient_map(model, images, target),
    "random": lambda _model, images, _target, seed: random_maps(images, seed=seed),
    "center": lambda _model, images, _target, _seed: center_maps(images),
}
