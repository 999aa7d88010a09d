"""Weights of timm, torchvision and Hugging Face in our models: the same logits, or a refusal."""


import pytest
import torch
from torch import nn

from course_utils.cnn import ResNet
from course_utils.cvt import ConvolutionalVisionTransformer
from course_utils.vit import VisionTransformer
from course_utils.weights import load_weights

SIDE, PATCH, DIM, DEPTH, HEADS, HIDDEN, CLASSES = 14, 7, 33, 2, 3, 47, 5
VIT = {
    "image_size": SIDE,
    "patch_size": PATCH,
    "dim": DIM,
    "depth": DEPTH,
    "heads": HEADS,
    "mlp_ratio": HIDDEN / DIM,
    "num_classes": CLASSES,
}
RESNET = {"depths": (1, 2, 1), "widths": (7, 11, 13), "num_classes": CLASSES}
CVT = {
    "dims": (6, 14),
    "depths": (1, 2),
    "heads": (3, 2),
    "patch_sizes": (7, 3),
    "strides": (4, 2),
    "paddings": (2, 1),
    "scale": "stage",
    "num_classes": CLASSES,
}


def randomized(module: nn.Module) -> nn.Module:
    """Every tensor random, so that nothing agrees by its start; float64, in eval mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                random = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.2
                tensor.copy_(random.abs() + 0.5 if name.endswith("running_var") else random)
    return module.double().eval()


def huggingface_vit(**changes):
    from transformers import ViTConfig, ViTForImageClassification

    options = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "hidden_size": DIM,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": HEADS,
        "intermediate_size": HIDDEN,
        "num_labels": CLASSES,
        "id2label": {i: f"animal {i}" for i in range(CLASSES)},
        "layer_norm_eps": 1e-3,
    }
    return randomized(ViTForImageClassification(ViTConfig(**options | changes)))


def huggingface_resnet(**changes):
    from transformers import ResNetConfig, ResNetForImageClassification

    options = {
        "layer_type": "basic",
        "depths": [1, 2, 1],
        "embedding_size": 7,
        "hidden_sizes": [7, 11, 13],
        "num_labels": CLASSES,
        "id2label": {i: f"animal {i}" for i in range(CLASSES)},
    }
    return randomized(ResNetForImageClassification(ResNetConfig(**options | changes)))


def huggingface_cvt(**changes):
    from transformers import CvtConfig, CvtForImageClassification

    options = {
        "embed_dim": [6, 14],
        "depth": [1, 2],
        "num_heads": [3, 2],
        "patch_sizes": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [2, 1],
        "mlp_ratio": [4.0, 4.0],
        "attention_drop_rate": [0.0, 0.0],
        "drop_rate": [0.0, 0.0],
        "drop_path_rate": [0.0, 0.0],
        "qkv_bias": [True, True],
        "cls_token": [False, True],
        "qkv_projection_method": ["dw_bn", "dw_bn"],
        "kernel_qkv": [3, 3],
        "padding_kv": [1, 1],
        "stride_kv": [2, 2],
        "padding_q": [1, 1],
        "stride_q": [1, 1],
        "num_labels": CLASSES,
        "id2label": {i: f"animal {i}" for i in range(CLASSES)},
    }
    return randomized(CvtForImageClassification(CvtConfig(**options | changes)))


def timm_vit(**changes):
    import timm

    options = {
        "img_size": SIDE,
        "patch_size": PATCH,
        "embed_dim": DIM,
        "depth": DEPTH,
        "num_heads": HEADS,
        "mlp_ratio": HIDDEN / DIM,
        "num_classes": CLASSES,
    }
    return randomized(timm.create_model("vit_tiny_patch16_224", **options | changes))


def torchvision_vit():
    from torchvision.models import VisionTransformer as Theirs

    return randomized(
        Theirs(
            image_size=SIDE,
            patch_size=PATCH,
            num_layers=DEPTH,
            num_heads=HEADS,
            hidden_dim=DIM,
            mlp_dim=HIDDEN,
            num_classes=CLASSES,
        )
    )


def torchvision_resnet():
    from torchvision.models import resnet18

    return randomized(resnet18(num_classes=CLASSES))


def timm_resnet():
    import timm

    return randomized(timm.create_model("resnet18", num_classes=CLASSES))


def vit(**changes) -> VisionTransformer:
    return VisionTransformer(**VIT | changes)


def resnet(**changes) -> ResNet:
    return ResNet(**RESNET | changes)


def cvt(**changes) -> ConvolutionalVisionTransformer:
    return ConvolutionalVisionTransformer(**CVT | changes)


def resnet18() -> ResNet:
    return ResNet(num_classes=CLASSES)


# Their module, ours of the same sizes (with their eps), the side of an image.
PAIRS = {
    "huggingface vit": (huggingface_vit, lambda: vit(norm_eps=1e-3), SIDE),
    "timm vit": (timm_vit, vit, SIDE),
    "torchvision vit": (torchvision_vit, vit, SIDE),
    "huggingface resnet": (huggingface_resnet, resnet, 37),
    "torchvision resnet": (torchvision_resnet, resnet18, 41),
    "timm resnet": (timm_resnet, resnet18, 41),
    "huggingface cvt": (huggingface_cvt, cvt, 29),
}


def logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    output = model(images)
    return getattr(output, "logits", output)


def assert_same_logits(ours: nn.Module, theirs: nn.Module, side: int) -> None:
    images = torch.randn(2, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(ours.double().eval()(images), logits(theirs, images))


@pytest.mark.parametrize("pair", PAIRS)
def test_a_module_s_weights_give_its_logits(pair):
    make_theirs, make_ours, side = PAIRS[pair]
    theirs, ours = make_theirs(), make_ours().double()
    assert load_weights(ours, theirs) is ours
    assert_same_logits(ours, theirs, side)


@pytest.mark.parametrize("pair", [name for name in PAIRS if name.startswith("huggingface")])
def test_a_saved_folder_gives_the_module_s_logits(pair, tmp_path):
    """`save_pretrained` writes a ViT under its old names, whatever the module's are."""
    make_theirs, make_ours, side = PAIRS[pair]
    theirs = make_theirs()
    theirs.save_pretrained(tmp_path)
    assert_same_logits(load_weights(make_ours().double(), tmp_path), theirs, side)


# One parameter in each naming that published files have.
OLD = "encoder.layer.1.attention.attention.query.weight"
NEW = "layers.1.attention.q_proj.weight"


def both_namings(theirs, tmp_path) -> dict[str, dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    theirs.save_pretrained(tmp_path)
    old, new = load_file(tmp_path / "model.safetensors"), theirs.state_dict()
    return {"old": old, "new": new}


@pytest.mark.parametrize("prefix", ["vit.", ""])
@pytest.mark.parametrize("naming", ["old", "new"])
def test_both_namings_of_a_vit_with_and_without_prefix(naming, prefix, tmp_path):
    theirs = huggingface_vit()
    weights = both_namings(theirs, tmp_path)[naming]
    if f"vit.{OLD if naming == 'old' else NEW}" not in weights:
        pytest.skip("this version of transformers has another naming")
    weights = {name.replace("vit.", prefix, 1): tensor for name, tensor in weights.items()}
    assert_same_logits(load_weights(vit(norm_eps=1e-3).double(), weights), theirs, SIDE)


@pytest.mark.parametrize(
    ("make_theirs", "make_ours", "prefix"),
    [(huggingface_resnet, resnet, "resnet."), (huggingface_cvt, cvt, "cvt.")],
)
def test_a_prefix_may_be_missing(make_theirs, make_ours, prefix):
    theirs = make_theirs()
    weights = {name.removeprefix(prefix): t for name, t in theirs.state_dict().items()}
    assert_same_logits(load_weights(make_ours().double(), weights), theirs, 37)
