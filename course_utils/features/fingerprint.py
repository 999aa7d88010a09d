"""Digests: of a model's weights, of how it is set, of what prepares its images."""

import hashlib
import re
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, str, type(None))
# Settings that change no vector.
NO_MATTER = ("training", "name_or_path", "fused_attn", "num_batches_tracked")


def fingerprint(module: nn.Module) -> str:
    """The kind of a module and a digest of its weights: the same for the same weights anywhere."""
    digest = hashlib.blake2b(digest_size=10)
    for name, tensor in sorted(module.state_dict().items()):
        if torch.is_tensor(tensor) and not name.endswith("num_batches_tracked"):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(_bytes_of(tensor))
    return f"{type(module).__name__} {digest.hexdigest()}"


def settings_of(module: nn.Module) -> str:
    """A digest of what weights do not tell and vectors depend on: heads, eps, pooling, versions."""
    digest = hashlib.blake2b(digest_size=10)
    for name, part in module.named_modules():
        plain = {key: value for key, value in vars(part).items() if _is_plain(key, value)}
        digest.update(f"{name}{type(part).__qualname__}{sorted(plain.items())}".encode())
    digest.update(version("torch").encode())
    return digest.hexdigest()


def transform_in_words(transform: Any) -> str | None:
    """All that a transform does as text, or None if it does not tell: a function, a lambda."""
    known = ("course_utils.", "torchvision.", "timm.")
    text = repr(transform)
    if not type(transform).__module__.startswith(known) or re.search("Lambda| at 0x", text):
        return None
    return text


def _is_plain(key: str, value: Any) -> bool:
    if key.startswith("_") or key in NO_MATTER:
        return False
    values = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(one, PLAIN) for one in values)


def _bytes_of(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
