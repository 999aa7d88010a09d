"""What a published model is, read from its `config.json`: which of ours, how large, which classes.

The hub has two kinds of configuration: Hugging Face's own (`model_type`) and timm's
(`architecture`). What our models cannot do is refused, so that what loads computes the same.
"""

import math
import re
from pathlib import Path
from typing import Any

from course_utils import cnn, vit
from course_utils.weights.checkpoint import Checkpoint
from course_utils.weights.files import read_json
from course_utils.weights.transforms import Transform

Config = dict[str, Any]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What a configuration may leave out, and what it must say for our model to compute the same.
VIT_DEFAULTS: Config = {
    "image_size": 224, "patch_size": 16, "num_channels": 3, "hidden_size": 768,
    "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
}  # fmt: skip
VIT_NEEDS: Config = {"hidden_act": "gelu", "qkv_bias": True}
RESNET_DEFAULTS: Config = {
    "num_channels": 3, "layer_type": "bottleneck", "embedding_size": 64,
}  # fmt: skip
RESNET_NEEDS: Config = {
    "layer_type": "basic", "hidden_act": "relu", "downsample_in_first_stage": False,
}  # fmt: skip
CVT_DEFAULTS: Config = {"num_channels": 3, "mlp_ratio": [4.0], "stride_kv": [2]}
CVT_NEEDS: Config = {
    "qkv_bias": True, "qkv_projection_method": "dw_bn", "kernel_qkv": 3, "padding_kv": 1,
    "padding_q": 1, "stride_q": 1,
}  # fmt: skip
# timm's sizes of ViT: heads of 64 numbers each, eps 1e-6.
TIMM_VIT = re.compile(r"vit_(tiny|small|base|large)_patch(\d+)_(\d+)")
TIMM_ARGUMENTS = {
    "img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "num_classes",
    "in_chans", "global_pool", "class_token", "fc_norm", "dynamic_img_size", "dynamic_img_pad",
    "drop_rate", "pos_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate",
}  # fmt: skip


def describe_folder(folder: Path, name: str) -> Checkpoint:
    """The description of a folder in the hub's layout. Raises `ValueError` for what we cannot build."""
    config = read_json(folder, "config.json")
    readers = {"vit": _huggingface_vit, "resnet": _huggingface_resnet, "cvt": _huggingface_cvt}
    kind = config.get("model_type")
    if kind in readers:
        arguments = readers[kind](config, name)
        arguments["num_classes"] = _huggingface_classes(config)
        transform = _huggingface_transform(folder, kind, config)
        return _checkpoint(name, kind, arguments, _huggingface_labels(config), transform)
    if "architecture" in config:
        family, arguments = _timm_arguments(config, name)
        labels = _timm_labels(config, arguments["num_classes"])
        return _checkpoint(name, family, arguments, labels, _timm_transform(config, arguments))
    raise ValueError(
        f"a published model says in config.json what it is: model_type vit, resnet or cvt (Hugging "
        f"Face) or an architecture (timm); {name} has model_type={kind!r}: load another, or make a "
        "model of the right sizes and use load_weights"
    )


def _checkpoint(
    name: str, family: str, arguments: Config, labels: tuple[str, ...], transform: Transform
) -> Checkpoint:
    classes = labels or tuple(f"class {i}" for i in range(arguments["num_classes"]))
    return Checkpoint(
        name=name, family=family, arguments=arguments, classes=classes, transform=transform
    )


def _needs(config: Config, needed: Config, name: str) -> None:
    """Raise unless each setting is, for every stage, what our model does (or is left out)."""
    wrong = [
        f"{key}={config[key]!r} (ours: {value!r})"
        for key, value in needed.items()
        if key in config
        and any(
            v != value for v in (config[key] if isinstance(config[key], list) else [config[key]])
        )
    ]
    if wrong:
        raise ValueError(
            f"{name} is a variant that the course's model does not have: {', '.join(wrong)}: take "
            "another model, or use this one through its own library"
        )


def _same(values: list[Any], key: str, name: str) -> Any:
    if len(set(values)) != 1:
        raise ValueError(f"our CvT has one {key} for all stages; {name} has {values}: take another")
    return values[0]


def _ratio(hidden: int, dim: int) -> float:
    """The mlp_ratio for which int(dim * ratio) is `hidden`, whatever the rounding."""
    ratio = hidden / dim
    return ratio if int(dim * ratio) == hidden else math.nextafter(ratio, math.inf)


def _pair(size: Any) -> Any:
    return tuple(size) if isinstance(size, list) else size


def _huggingface_vit(config: Config, name: str) -> Config:
    _needs(config, VIT_NEEDS, name)
    config = VIT_DEFAULTS | config
    return {
        "image_size": _pair(config["image_size"]),
        "patch_size": config["patch_size"],
        "channels": config["num_channels"],
        "dim": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "mlp_ratio": _ratio(config["intermediate_size"], config["hidden_size"]),
        "norm_eps": config["layer_norm_eps"],
    }


def _huggingface_resnet(config: Config, name: str) -> Config:
    config = RESNET_DEFAULTS | config
    first = config["hidden_sizes"][0]
    _needs(config, RESNET_NEEDS | {"embedding_size": first}, name)
    return {
        "depths": tuple(config["depths"]),
        "widths": tuple(config["hidden_sizes"]),
        "channels": config["num_channels"],
    }


def _huggingface_cvt(config: Config, name: str) -> Config:
    _needs(config, CVT_NEEDS, name)
    config = CVT_DEFAULTS | config
    tokens = [bool(token) for token in config["cls_token"]]
    if any(tokens[:-1]):
        raise ValueError(f"our CvT has a class token in the last stage only; {name} has {tokens}")
    return {
        "dims": tuple(config["embed_dim"]),
        "depths": tuple(config["depth"]),
        "heads": tuple(config["num_heads"]),
        "patch_sizes": tuple(config["patch_sizes"]),
        "strides": tuple(config["patch_stride"]),
        "paddings": tuple(config["patch_padding"]),
        "mlp_ratio": _same(config["mlp_ratio"], "mlp_ratio", name),
        "kv_stride": _same(config["stride_kv"], "stride_kv", name),
        "scale": "stage",
        "pool": "cls" if tokens[-1] else "mean",
        "channels": config["num_channels"],
    }


def _huggingface_classes(config: Config) -> int:
    """How many classes; a model without a classifier has none, and two are not written down."""
    if not any("ForImageClassification" in kind for kind in config.get("architectures") or [""]):
        return 0
    return len(config.get("id2label") or (0, 1))


def _huggingface_labels(config: Config) -> tuple[str, ...]:
    labels = config.get("id2label") or {}
    count = _huggingface_classes(config)
    return tuple(labels[str(i)] for i in range(count)) if len(labels) == count else ()


def _huggingface_transform(folder: Path, kind: str, config: Config) -> Transform:
    """From `preprocessor_config.json`; without one, what the family's processor does by default."""
    about = read_json(folder, "preprocessor_config.json")
    size: Any = about.get("size", config.get("image_size", 224))
    if isinstance(size, dict):
        size = size.get("shortest_edge") or (size["height"], size["width"])
    sides = (size, size) if isinstance(size, int) else (size[0], size[1])
    shorter = None
    processor = str(about.get("image_processor_type") or about.get("feature_extractor_type"))
    if "ConvNext" in processor and sides[0] < 384:
        # This processor cuts out the center of pictures below 384 pixels, and stretches larger ones.
        shorter = int(sides[0] / (about.get("crop_pct") or 224 / 256))
    plain = ((0.5,) * 3, (0.5,) * 3) if kind == "vit" else (IMAGENET_MEAN, IMAGENET_STD)
    return Transform(
        size=sides,
        mean=tuple(about.get("image_mean") or plain[0]),
        std=tuple(about.get("image_std") or plain[1]),
        shorter_side=shorter,
        interpolation="bicubic" if about.get("resample") == 3 else "bilinear",
    )


def _timm_arguments(config: Config, name: str) -> tuple[str, Config]:
    architecture, given = config["architecture"], config.get("model_args") or {}
    unknown = sorted(set(given) - TIMM_ARGUMENTS)
    found = TIMM_VIT.fullmatch(architecture)
    if unknown or not (found or architecture in ("resnet18", "resnet34")):
        raise ValueError(
            f"of timm's models the course's can be vit_(tiny|small|base|large)_patch.._... and "
            f"resnet18, resnet34, with usual arguments; {name} is {architecture} with "
            f"{', '.join(unknown) or 'no unusual argument'}: take another, or use timm"
        )
    about = config.get("pretrained_cfg") or {}
    classes = config.get("num_classes", about.get("num_classes", 1000))
    shape = about.get("input_size") or (3, 224, 224)
    channels = given.get("in_chans", shape[0])
    if found is None:
        preset = cnn.PRESETS[architecture]
        return "resnet", preset | {"channels": channels, "num_classes": classes}
    size, patch, side = found[1], int(found[2]), int(found[3])
    preset = vit.PRESETS[f"vit_{size}_patch16_224"]
    pool = config.get("global_pool", "token")
    return "vit", {
        "image_size": _pair(given.get("img_size") or about.get("input_size", [3, side, side])[1:]),
        "patch_size": given.get("patch_size", patch),
        "channels": channels,
        "dim": given.get("embed_dim", preset["dim"]),
        "depth": given.get("depth", preset["depth"]),
        "heads": given.get("num_heads", preset["heads"]),
        "mlp_ratio": given.get("mlp_ratio", 4.0),
        "pool": {"token": "cls", "avg": "mean"}.get(pool, pool),
        "num_classes": classes,
    }


def _timm_labels(config: Config, classes: int) -> tuple[str, ...]:
    about = config.get("pretrained_cfg") or {}
    names = config.get("label_names") or about.get("label_names")
    if isinstance(names, list) and len(names) == classes:
        texts = config.get("label_descriptions") or about.get("label_descriptions") or {}
        return tuple(str(texts.get(name, name)) for name in names)
    if classes == 1000 and (about.get("tag") or "").endswith("in1k"):
        from timm.data import ImageNetInfo

        info = ImageNetInfo()
        return tuple(str(info.index_to_description(i)) for i in range(classes))
    return ()


def _timm_transform(config: Config, arguments: Config) -> Transform:
    """A ViT takes images of the size it was made for; a ResNet those it was trained on."""
    about = config.get("pretrained_cfg") or {}
    size = arguments.get("image_size") or tuple((about.get("input_size") or (3, 224, 224))[1:])
    height, width = (size, size) if isinstance(size, int) else size
    shorter = math.floor(min(height, width) / (about.get("crop_pct") or 0.875))
    return Transform(
        size=(height, width),
        mean=tuple(about.get("mean") or IMAGENET_MEAN),
        std=tuple(about.get("std") or IMAGENET_STD),
        shorter_side=None if about.get("crop_mode") == "squash" else shorter,
        interpolation=about.get("interpolation", "bicubic"),
    )
