"""Which places speak for a class, by gradients: Grad-CAM, and the plain gradient of the pixels."""

import re
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_utils.evaluation import in_eval_mode
from course_utils.explain.maps import grid_of_tokens, upsample
from course_utils.explain.record import record

Images = Float[Tensor, "batch channels height width"]
Maps = Float[Tensor, "batch height width"]

# The last norm before an attention: of the course and timm, of Hugging Face, of torchvision.
_NORMS = re.compile(r"(norm1|layernorm_before|ln_1)$")
# The last stage of a convolutional network: of the course, timm and torchvision; of Hugging Face.
_STAGES = re.compile(r"(^|\.)(layer\d+|stages\.\d+)$")


def grad_cam(
    model: nn.Module,
    images: Images,
    target: Int[Tensor, " batch"] | None = None,
    *,
    layer: str | None = None,
    grid: tuple[int, int] | None = None,
) -> Maps:
    """Where the score of a class comes from, as large as the image, 0 and more.

    The channels of a layer's map are summed, each weighted by the mean of its gradient over all
    places, and what is negative is cut off. Selvaraju et al. 2017, "Grad-CAM", section 3. `target` is
    one class an image, by default the one that the model answers. `layer` is a name of
    `model.named_modules()`, by default that of `grad_cam_layer`. Where it gives tokens, those before
    the grid are left out; `grid` is found as in `attention_maps`.

    The model is in eval mode meanwhile, and no parameter's `.grad` changes. Raises `ValueError` for a
    layer that the score does not depend on, or that gives neither a map nor tokens.
    """
    layer = layer or grad_cam_layer(model)
    with record(model, layer, graph=True) as seen:
        score = _scores(model, images.detach().requires_grad_(), target)
    values = seen[layer]
    (slope,) = torch.autograd.grad(score, values, allow_unused=True)
    if slope is None or values.dim() not in (3, 4):
        raise ValueError(
            f"Grad-CAM needs a layer that gives (batch, channels, rows, columns) or (batch, tokens, "
            f"dim) and that the score comes from; {layer} gives {tuple(values.shape)}: take an "
            "earlier one"
        )
    if values.dim() == 3:
        grid = grid or grid_of_tokens(values.shape[1], (images.shape[-2], images.shape[-1]))
        values, slope = (_as_map(x, grid) for x in (values, slope))
    strength = slope.mean(dim=(-2, -1), keepdim=True)
    cam = (strength * values).sum(dim=1).relu()
    return upsample(cam.detach(), (images.shape[-2], images.shape[-1]))


def grad_cam_layer(model: nn.Module) -> str:
    """The layer that is customary: the last stage of a CNN; the last norm before attention.

    After a transformer's last attention only the class token goes on to the head, so the gradient of
    every patch is zero there. Raises `ValueError` where neither is found.
    """
    names = [name for name, _ in model.named_modules()]
    for kind in (_NORMS, _STAGES):
        found = [name for name in names if kind.search(name)]
        if found:
            return found[-1]
    raise ValueError(
        f"no layer for Grad-CAM is known for {type(model).__name__}: give layer=, a name of "
        "model.named_modules()"
    )


def gradient_map(
    model: nn.Module, images: Images, target: Int[Tensor, " batch"] | None = None
) -> Maps:
    """How fast the score of a class changes with each pixel: the largest slope of its channels.

    Simonyan et al. 2014, "Deep Inside Convolutional Networks", section 3. `target` as in `grad_cam`.
    """
    inputs = images.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_scores(model, inputs, target), inputs)
    return slope.abs().amax(dim=1)


def logits_of(output: Any) -> Float[Tensor, "batch classes"]:
    """The logits of what a classifier gives: a tensor, or Hugging Face's output with names."""
    return getattr(output, "logits", output)


def _scores(model: nn.Module, images: Tensor, target: Tensor | None) -> Tensor:
    """The sum of each image's logit for its class; images do not meet in eval mode."""
    with torch.enable_grad(), in_eval_mode(model):
        logits = logits_of(model(images))
        classes = logits.argmax(dim=-1) if target is None else target.to(logits.device)
        return logits.gather(1, classes[:, None]).sum()


def _as_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """The last rows * columns tokens as a map (batch, dim, rows, columns)."""
    return tokens[:, -grid[0] * grid[1] :].transpose(1, 2).unflatten(2, grid)
