"""Models by their names in each library, with the preprocessing that each was trained with.

Where the course's own `Transform` says the same, it is used: it is one step, and bears a picture of
10,000 x 1 pixels. Otherwise the library's own code prepares the images.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from course_utils import weights
from course_utils.features.vectors import is_huggingface, is_timm
from course_utils.weights import CHECKPOINTS, WeightsMissing, describe, load_pretrained
from course_utils.weights.files import is_hub_name, locate, read_json, read_weights

Transform = Callable[[Any], Tensor]
# These count on a change of the input that is no part of their weights.
NOT_BY_NAME = ("googlenet", "inception_v3")


def load(name: str | Path) -> tuple[nn.Module, Transform]:
    """A trained model and its preprocessing, by name or folder. Raises as `feature_model` does.

    In this order: the course's checkpoints and files; a folder or a hub name (owner/name), as the
    course's model where it can be one, else through its own library; torchvision's names; timm's.
    """
    text = str(name)
    path = Path(name).expanduser()
    if text in set(CHECKPOINTS) or path.is_file():
        return load_pretrained(name), describe(name).transform
    if path.is_dir() or (is_hub_name(text) and not text.startswith("torchvision/")):
        return _from_folder(locate(name), name)
    if isinstance(name, str):
        for loader in (_from_torchvision, _from_timm):
            found = loader(name)
            if found is not None:
                return found
    raise WeightsMissing(
        f"there is no model {text!r}. The course has {', '.join(CHECKPOINTS) or 'no checkpoint here'} "
        "(no network needed); torchvision's are called as \"resnet18\", timm's as "
        '"vit_tiny_patch16_224", Hugging Face\'s as "google/vit-base-patch16-224-in21k"; or give the '
        "path of a folder with config.json and weights, or a module"
    )


def own_transform(module: nn.Module) -> Transform:
    """What the library of `module` prepares its images with. Raises `ValueError` if it is not known."""
    if is_timm(module) and getattr(module, "pretrained_cfg", None):
        return _timm_transform(module)
    folder = getattr(module, "name_or_path", "")
    if is_huggingface(module) and folder:
        return _processor(folder)
    raise ValueError(
        f"a module of kind {type(module).__name__} does not say how its images are prepared: give "
        "transform=, for instance describe(name).transform of the checkpoint that you loaded, or "
        "course_utils.weights.Transform(size=(224, 224), mean=..., std=...)"
    )


def _from_folder(folder: Path, name: str | Path) -> tuple[nn.Module, Transform]:
    try:
        about = describe(folder)
    except ValueError as error:  # not one of ours; its own library may have it
        config = read_json(folder, "config.json")
        if "architecture" in config:
            return _timm_folder(folder, config)
        if "model_type" not in config:
            raise
        return _huggingface_model(folder, config, error)
    return load_pretrained(folder), about.transform


def _huggingface_model(
    folder: Path, config: dict[str, Any], error: ValueError
) -> tuple[nn.Module, Transform]:
    from transformers import AutoModel, AutoModelForImageClassification

    classifies = any("ForImageClass" in kind for kind in config.get("architectures") or ())
    loader: Any = AutoModelForImageClassification if classifies else AutoModel
    try:
        module = loader.from_pretrained(folder, local_files_only=True)
    except ValueError as other:
        raise other from error
    return module.eval(), _processor(folder)


def _processor(folder: str | Path) -> Transform:
    from transformers import AutoImageProcessor

    try:
        return ProcessorTransform(AutoImageProcessor.from_pretrained(folder))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{folder} has no preprocessor_config.json, so nothing says how images are prepared: "
            "give transform="
        ) from error


class ProcessorTransform:
    """A Hugging Face image processor as a transform of one image. Its text tells all its settings."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Any) -> Tensor:
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

    def __repr__(self) -> str:
        return f"ProcessorTransform({self.processor.to_json_string()})"


def _from_torchvision(name: str) -> tuple[nn.Module, Transform] | None:
    """None for a name that torchvision does not have."""
    from torchvision import models

    name = name.removeprefix("torchvision/")
    if name not in models.list_models(module=models) or name in NOT_BY_NAME:
        return None
    published = models.get_model_weights(name).DEFAULT
    try:  # tensors only: no code of a file is run
        state = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise WeightsMissing(
            f"torchvision's {name} is neither on this machine nor can it be downloaded ({error}): "
            f"connect to the internet once, or take the course's own checkpoints "
            f"({', '.join(CHECKPOINTS) or 'none in this installation'})"
        ) from error
    module = models.get_model(name, weights=None, num_classes=len(published.meta["categories"]))
    module.load_state_dict(state)
    return module.eval(), torchvision_transform(published.transforms())


def torchvision_transform(preset: Any) -> Transform:
    """The course's Transform for one of torchvision's presets; the preset itself where it differs."""
    interpolation = preset.interpolation.value
    if interpolation not in ("bilinear", "bicubic") or len(preset.resize_size) != 1:
        return preset
    return weights.Transform(
        size=(preset.crop_size[0], preset.crop_size[-1]),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        shorter_side=preset.resize_size[0],
        interpolation=interpolation,
    )


def _from_timm(name: str) -> tuple[nn.Module, Transform] | None:
    """None for a name that timm does not have."""
    import timm

    if not timm.is_model(name):
        return None
    about = timm.models.get_pretrained_cfg(name)
    if about is not None and about.hf_hub_id:
        return _from_folder(locate(str(about.hf_hub_id)), name)
    return _timm_model(name)


def _timm_folder(folder: Path, config: dict[str, Any]) -> tuple[nn.Module, Transform]:
    """timm's own reader would unpickle whatever a file holds; ours takes tensors only."""
    import timm

    classes = {"num_classes": config["num_classes"]} if "num_classes" in config else {}
    module = timm.create_model(f"local-dir:{folder}", pretrained=False, **classes).eval()
    try:
        module.load_state_dict(read_weights(folder))
    except RuntimeError as error:
        raise ValueError(
            f"the weights in {folder} must be those of the {config['architecture']} that its "
            f"config.json describes; {error}: copy config.json and the weights from one place"
        ) from None
    return module, _timm_transform(module)


def _timm_model(name: str) -> tuple[nn.Module, Transform]:
    import timm

    try:
        module = timm.create_model(name, pretrained=True).eval()
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "No pretrained weights" not in str(error):
            raise
        raise WeightsMissing(
            f"timm's {name} is neither on this machine nor can it be downloaded ({error}): connect to "
            "the internet once, or give the path of a folder with config.json and weights"
        ) from error
    return module, _timm_transform(module)


def _timm_transform(module: nn.Module) -> Transform:
    from timm.data import create_transform, resolve_data_config

    about = resolve_data_config({}, model=module)
    _, height, width = about["input_size"]
    mode, usual = about["crop_mode"], about["interpolation"] in ("bilinear", "bicubic")
    squashed = mode == "squash" and about["crop_pct"] == 1
    if not usual or not (squashed or (mode == "center" and height == width)):
        return create_transform(**about, is_training=False)
    return weights.Transform(
        size=(height, width),
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        shorter_side=None if squashed else int(height / about["crop_pct"]),
        interpolation=about["interpolation"],
    )
