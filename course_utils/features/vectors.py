"""Which tensor is the feature vector: the one that the last layer, the classifier, would get.

Not the logits: those are scores of the classes of somebody's data set. In a CNN it is the mean of the
last feature map over all places; in a ViT the class token after the last LayerNorm, or the mean of
the tokens, whichever the model's classifier was trained on.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

VectorFunction = Callable[[Tensor], Tensor]
# What the libraries call the last layer, or the small network that ends in it.
HEADS = ("head", "fc", "classifier", "heads", "cls_classifier")


def vector_function(module: nn.Module) -> VectorFunction:
    """images (batch, channels, height, width) -> feature vectors (batch, dim), for a known `module`.

    timm's models have a call for it. Of the course's, torchvision's and Hugging Face's classifiers it
    is what their last linear layer gets. Of Hugging Face's models without classifier it is the class
    token of the last layer, or where there is none the pooled output.

    Raises `ValueError` for a module in which no last layer can be told.
    """
    if is_timm(module):
        timms: Any = module  # its two calls are not nn.Module's
        return lambda images: timms.forward_head(timms.forward_features(images), pre_logits=True)
    head = _last_layer(module)
    if is_huggingface(module):
        if head is None:
            return _huggingface_vectors(module)
        return lambda images: _input_of(head, lambda: module(pixel_values=images))
    if head is None:
        raise ValueError(
            f"the feature vector is what the last linear layer gets, and in this "
            f"{type(module).__name__} there is none under the names {', '.join(HEADS)}: give "
            "FeatureModel(module, transform, vectors=...) with your own function from images "
            "(batch, channels, height, width) to vectors (batch, dim)"
        )
    return lambda images: _input_of(head, lambda: module(images))


def is_timm(module: nn.Module) -> bool:
    """Whether a module is one of timm's."""
    return hasattr(module, "forward_features") and hasattr(module, "forward_head")


def is_huggingface(module: nn.Module) -> bool:
    """Whether a module is one of Hugging Face's, or of a class made from one."""
    return any(kind.__module__.startswith("transformers.") for kind in type(module).__mro__)


def _last_layer(module: nn.Module) -> nn.Module | None:
    """The last linear layer below the first of HEADS that the module has; or what stands for it."""
    for name in HEADS:
        head = getattr(module, name, None)
        if isinstance(head, nn.Module):
            layers = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
            if layers:
                return layers[-1]
            return head if isinstance(head, nn.Identity) else None
    return None


def _input_of(layer: nn.Module, run: Callable[[], object]) -> Tensor:
    """What `layer` gets while `run` runs; no hook stays behind."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        caught.append(arguments[0])

    handle = layer.register_forward_pre_hook(catch)
    try:
        run()
    finally:
        handle.remove()
    return caught[-1]


def _huggingface_vectors(module: nn.Module) -> VectorFunction:
    config = getattr(module, "config", None)
    if hasattr(module, "get_image_features") or getattr(config, "model_type", "") == "vit_mae":
        raise ValueError(
            f"{type(module).__name__} does not make one vector of one image as it is (it also reads "
            "text, or hides patches at random): give its vision part, often model.vision_model, or "
            "load the weights as another class"
        )
    averages = getattr(config, "use_mean_pooling", False)  # BEiT: the pooled output is the mean
    has_class_token = hasattr(getattr(module, "embeddings", None), "cls_token") and not averages

    def vectors(images: Tensor) -> Tensor:
        output = module(pixel_values=images, return_dict=True)
        token = getattr(output, "cls_token_value", None)  # CvT
        if token is not None:
            return token.flatten(1)
        last, pooled = output.last_hidden_state, getattr(output, "pooler_output", None)
        if has_class_token:
            return last[:, 0]
        if pooled is not None:
            return pooled.flatten(1)
        return last.mean(dim=1) if last.dim() == 3 else last.mean(dim=(-2, -1))

    return vectors


def check_vectors(vectors: Tensor, images: Tensor, model: str) -> None:
    """Raise `ValueError` unless there is one vector for each image."""
    if not torch.is_tensor(vectors) or vectors.shape[:1] != images.shape[:1] or vectors.dim() != 2:
        found = tuple(vectors.shape) if torch.is_tensor(vectors) else type(vectors).__name__
        raise ValueError(
            f"a model makes one vector of each image, (batch, dim); {model} makes {found} of "
            f"{tuple(images.shape)}: pool over places or tokens in FeatureModel's vectors"
        )
