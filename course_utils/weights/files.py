"""Weights where they lie: in a module, a mapping, a file, a folder, or on the Hugging Face hub.

Tensors only: safetensors, or PyTorch's files read with `weights_only=True`, which runs no code.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Source = nn.Module | Mapping[str, Tensor] | str | Path

SAFE, SHARDS, PICKLED = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


class WeightsMissing(FileNotFoundError):
    """Weights are neither on this machine nor within reach; the text says what to do."""


def read_weights(source: Source) -> dict[str, Tensor]:
    """All tensors of `source` by their names there, on the CPU unless `source` is in memory.

    Raises `WeightsMissing` when there is no such file or the hub cannot be reached, `ValueError` for
    a file that holds other things than tensors.
    """
    if isinstance(source, nn.Module):
        return dict(source.state_dict())
    if isinstance(source, Mapping):
        return _only_tensors(source, "the mapping")
    path = locate(source)
    return _read_folder(path) if path.is_dir() else _read_file(path)


def locate(source: str | Path) -> Path:
    """The local file or folder that `source` names; a hub name is downloaded, or taken from its cache.

    Raises as `read_weights` does.
    """
    path = Path(source).expanduser()
    if path.exists():
        return path
    name = str(source)
    if isinstance(source, Path) or name.endswith(SUFFIXES) or not is_hub_name(name):
        raise WeightsMissing(
            f"there is no file or folder {name}: give the path of one, or a name on the Hugging "
            'Face hub, owner/name, as "google/vit-base-patch16-224"'
        )
    return _download(name)


def is_hub_name(name: str) -> bool:
    """Whether `name` is written as names on the hub are: owner/name."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) is not None


def read_json(folder: Path, file: str) -> dict[str, Any]:
    """A JSON file of a folder; empty if it is not there."""
    path = folder / file
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _download(name: str) -> Path:
    """A local copy of a hub repository: safetensors and configuration; else PyTorch's own file."""
    from huggingface_hub import snapshot_download

    wanted = ["*.json", SAFE, "model-*-of-*.safetensors"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted, etag_timeout=5))
        if not any((folder / file).exists() for file in (SAFE, SHARDS)):
            folder = Path(snapshot_download(name, allow_patterns=[PICKLED], etag_timeout=5))
    except (
        Exception
    ) as error:  # no network, a blocked one, no such name: each has errors of its own
        raise WeightsMissing(
            f"{name} is neither on this machine nor can it be downloaded "
            f"({type(error).__name__}): connect to the internet once, try again if the connection "
            "broke off, check the name on huggingface.co, give the path of a folder with its files, "
            "or take the course's own weights with load_pretrained, which need no network"
        ) from error
    return folder


def _read_folder(folder: Path) -> dict[str, Tensor]:
    if (folder / SAFE).is_file():
        return _read_file(folder / SAFE)
    if (folder / SHARDS).is_file():
        places = read_json(folder, SHARDS)["weight_map"]
        shards = {file: _read_file(folder / file) for file in sorted(set(places.values()))}
        return {name: shards[file][name] for name, file in places.items()}
    if (folder / PICKLED).is_file():
        return _read_file(folder / PICKLED)
    raise WeightsMissing(
        f"{folder} has none of {SAFE}, {SHARDS}, {PICKLED}: download the repository again, or give "
        "the path of the file itself"
    )


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsMissing(f"{path} is missing: download the repository again")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged, or not a file of tensors: each library has its own errors
        raise ValueError(
            f"{path} cannot be read as tensors only ({type(error).__name__}): it is damaged, then copy "
            "it again; or it holds Python objects, which may run code and are refused: save a "
            "state_dict, best as safetensors"
        ) from error
    return _only_tensors(weights, str(path))


def _only_tensors(weights: Any, where: str) -> dict[str, Tensor]:
    if not isinstance(weights, Mapping) or not all(map(torch.is_tensor, weights.values())):
        found = list(weights)[:5] if isinstance(weights, Mapping) else type(weights).__name__
        raise ValueError(
            f"{where} must map names to tensors, as a state_dict does; it has {found}: take the part "
            'that does, often weights["state_dict"] or weights["model"]'
        )
    return dict(weights)
