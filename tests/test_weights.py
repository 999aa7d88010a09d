"""Weights of timm, torchvision and Hugging Face in our models: the same logits, or a refusal."""

import dataclasses
import json
import os
import re
import stat

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import progress
from course_utils.cnn import ResNet
from course_utils.cvt import ConvolutionalVisionTransformer
from course_utils.vit import VisionTransformer
from course_utils.weights import (
    CHECKPOINTS,
    Transform,
    WeightsMissing,
    describe,
    load_pretrained,
    load_weights,
    published_or_own,
    save_checkpoint,
)

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


# --- where weights lie -------------------------------------------------------------------------


def test_shards_pytorchs_file_and_a_file_by_itself(tmp_path):
    from safetensors.torch import save_file

    theirs = huggingface_vit()
    state = {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 1
    (tmp_path / "pickled").mkdir()
    torch.save(state, tmp_path / "pickled/pytorch_model.bin")
    save_file(state, tmp_path / "one.safetensors")
    torch.save(state, tmp_path / "one.pth")
    for source in ("shards", "pickled", "one.safetensors", "one.pth"):
        for path in (tmp_path / source, str(tmp_path / source)):
            assert_same_logits(load_weights(vit(norm_eps=1e-3).double(), path), theirs, SIDE)


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


def test_a_file_that_could_run_code_is_refused_and_runs_none(tmp_path, capsys):
    torch.save({"weight": Harmful()}, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=r"cannot be read as tensors only.*may run code"):
        load_weights(vit(), tmp_path / "bad.pth")
    assert "this ran" not in capsys.readouterr().out


def test_a_damaged_file_and_a_wrapped_state_dict_say_what_to_do(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=r"bad\.safetensors cannot be read"):
        load_weights(vit(), tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match=r'it has \[\'model\', \'epoch\'\].*weights\["model"\]'):
        load_weights(vit(), {"model": vit().state_dict(), "epoch": 3})


def test_missing_weights_say_how_to_get_them(hub_cache, tmp_path):
    with pytest.raises(WeightsMissing, match=r"connect to the internet once.*the path of a folder"):
        load_weights(vit(), "google/vit-base-patch16-224")
    with pytest.raises(WeightsMissing, match=r"there is no file or folder resnet18: .*owner/name"):
        load_weights(vit(), "resnet18")
    with pytest.raises(WeightsMissing, match=r"has none of model\.safetensors"):
        load_weights(vit(), tmp_path)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsMissing, match=r"model-00001-of-00002\.safetensors is missing"):
        load_weights(vit(), tmp_path)


def put_into_hub_cache(module: nn.Module, name: str, cache) -> None:
    """Lay out the cache as huggingface_hub does after a download."""
    folder = cache / f"models--{name.replace('/', '--')}"
    module.save_pretrained(folder / "snapshots" / ("0" * 40))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and no network."""
    from huggingface_hub import _snapshot_download, constants

    for module in (constants, _snapshot_download):  # old releases import the constant by name
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path / "hub"), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_what_was_downloaded_once_needs_no_network(hub_cache):
    theirs = huggingface_vit()
    put_into_hub_cache(theirs, "somebody/vit-tiny", hub_cache)
    assert_same_logits(load_weights(vit(norm_eps=1e-3).double(), "somebody/vit-tiny"), theirs, SIDE)
    ours = load_pretrained("somebody/vit-tiny")
    assert not ours.training
    assert_same_logits(ours, theirs, SIDE)


# --- what does not fit -------------------------------------------------------------------------


def test_a_refusal_names_all_that_does_not_fit_and_loads_nothing():
    model = vit(dim=39, num_classes=7)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights = timm_vit().state_dict()
    weights["fc_norm.weight"] = torch.ones(DIM)
    del weights["blocks.1.mlp.fc2.bias"]
    with pytest.raises(ValueError, match="whole or not at all") as refused:
        load_weights(model, weights)
    text = str(refused.value)
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    for name, tensor in before.items():
        if name in shapes and shapes[name] != tensor.shape:
            there = f"{name}: the model has {tuple(tensor.shape)}, the source {tuple(shapes[name])}"
            assert there in text
    assert "fc_norm.weight: the model has nothing, the source (33,)" in text
    assert "blocks.1.mlp.fc2.bias: the model has (39,), the source nothing" in text
    assert "make the model with num_classes=5" in text
    assert "head=False" in text
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("pair", ["huggingface vit", "torchvision resnet", "huggingface cvt"])
def test_head_false_keeps_the_model_s_own_classifier_and_loads_the_rest(pair):
    theirs, ours, side = PAIRS[pair][0](), PAIRS[pair][1](), PAIRS[pair][2]
    wide = type(ours)(**(VIT | {"norm_eps": 1e-3} if "vit" in pair else
                         CVT if "cvt" in pair else {}) | {"num_classes": 11})  # fmt: skip
    own = {n: t.clone() for n, t in wide.state_dict().items() if n.startswith(("head.", "fc."))}
    with pytest.raises(ValueError, match="head=False"):
        load_weights(wide, theirs)
    load_weights(wide.double(), theirs, head=False)
    load_weights(ours.double(), theirs)
    for name, tensor in own.items():
        torch.testing.assert_close(wide.state_dict()[name], tensor.double(), rtol=0, atol=0)
    images = torch.randn(2, 3, side, side, dtype=torch.float64)
    torch.testing.assert_close(
        wide.eval().forward_features(images), ours.eval().forward_features(images)
    )


def test_a_backbone_s_weights_need_a_model_without_head():
    from transformers import ViTModel

    theirs = randomized(ViTModel(huggingface_vit().config))
    with pytest.raises(
        ValueError, match=r"head\.weight: the model has \(5, 33\), the source nothing"
    ):
        load_weights(vit(norm_eps=1e-3), theirs)
    ours = load_weights(vit(norm_eps=1e-3, num_classes=0).double(), theirs).eval()
    images = torch.randn(2, 3, SIDE, SIDE, dtype=torch.float64)
    torch.testing.assert_close(ours.forward_features(images), theirs(images).last_hidden_state)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(TypeError, match=r"VisionTransformer, ResNet, Conv.*got Linear"):
        load_weights(nn.Linear(2, 2), {})


def test_counters_of_batches_may_be_missing_in_old_files():
    theirs = torchvision_resnet()
    weights = {n: t for n, t in theirs.state_dict().items() if "num_batches" not in n}
    assert_same_logits(load_weights(resnet18().double(), weights), theirs, 41)


# --- positions of another grid -----------------------------------------------------------------


@pytest.mark.parametrize("size", [(21, 35), (28, 28)])
def test_positions_are_resized_as_timm_does_when_the_image_size_differs(size):
    from timm.layers import resample_abs_pos_embed

    theirs = timm_vit()
    ours = load_weights(vit(image_size=size).double(), theirs.state_dict())
    grid = [side // PATCH for side in size]
    expected = resample_abs_pos_embed(theirs.pos_embed, grid, num_prefix_tokens=1)
    torch.testing.assert_close(ours.pos_embed, expected)
    torch.testing.assert_close(ours.patch_embed.proj.weight, theirs.patch_embed.proj.weight)


def test_a_module_says_the_grid_of_its_positions():
    """4 x 9 places are as many as 6 x 6: only the module knows which it is."""

    def resampled(table):  # not timm's: old releases take an equal number of places for equal grids
        places = table[:, 1:].unflatten(1, (4, 9)).permute(0, 3, 1, 2).float()
        places = F.interpolate(places, size=(6, 6), mode="bicubic", antialias=True)
        return torch.cat([table[:, :1], places.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)

    theirs = timm_vit(img_size=(4 * PATCH, 9 * PATCH))
    ours = load_weights(vit(image_size=6 * PATCH).double(), theirs)
    expected = resampled(theirs.pos_embed)
    torch.testing.assert_close(ours.pos_embed, expected)
    mine = load_weights(vit(image_size=6 * PATCH).double(), load_weights(
        vit(image_size=(4 * PATCH, 9 * PATCH)).double(), theirs))  # fmt: skip
    torch.testing.assert_close(mine.pos_embed, expected)
    hugging = huggingface_vit(image_size=[4 * PATCH, 9 * PATCH])
    ours = load_weights(vit(image_size=6 * PATCH).double(), hugging)
    table = hugging.vit.embeddings.position_embeddings
    torch.testing.assert_close(ours.pos_embed, resampled(table))


def test_positions_that_fill_no_square_are_refused_with_both_shapes():
    weights = timm_vit(img_size=(PATCH, 3 * PATCH)).state_dict()
    with pytest.raises(
        ValueError, match=r"pos_embed: the model has \(1, 5, 33\), the source \(1, 4"
    ):
        load_weights(vit(), weights)


# --- a trained model by its name ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "family"),
    [("huggingface vit", "vit"), ("huggingface resnet", "resnet"), ("huggingface cvt", "cvt")],
)
def test_a_hugging_face_folder_becomes_our_model(pair, family, tmp_path):
    make_theirs, _, side = PAIRS[pair]
    theirs = make_theirs()
    theirs.save_pretrained(tmp_path)
    about = describe(tmp_path)
    assert about.family == family
    assert about.classes == tuple(f"animal {i}" for i in range(CLASSES))
    assert_same_logits(load_pretrained(tmp_path), theirs, side)


def save_for_hub(module, folder, safe, **model_args):
    from timm.models import _hub

    extra = {"model_args": model_args} if model_args else {}
    _hub.save_for_hf(module, str(folder), safe_serialization=safe, **extra)


@pytest.mark.parametrize("safe", [True, False])
def test_a_timm_folder_becomes_our_model(safe, tmp_path):
    changes = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": DIM, "depth": DEPTH,
               "num_heads": HEADS, "mlp_ratio": HIDDEN / DIM}  # fmt: skip
    theirs = timm_vit()
    save_for_hub(theirs, tmp_path / "vit", safe, **changes)
    assert_same_logits(load_pretrained(tmp_path / "vit"), theirs, SIDE)
    theirs = timm_resnet()
    save_for_hub(theirs, tmp_path / "resnet", safe)
    assert_same_logits(load_pretrained(tmp_path / "resnet"), theirs, 41)
    assert describe(tmp_path / "resnet").classes == tuple(f"class {i}" for i in range(CLASSES))


def test_timm_s_mean_pooling_is_ours_and_its_extra_norm_is_refused(tmp_path):
    plain = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": DIM, "depth": DEPTH,
             "num_heads": HEADS, "mlp_ratio": HIDDEN / DIM, "global_pool": "avg",
             "class_token": False, "fc_norm": False}  # fmt: skip
    theirs = timm_vit(**plain)
    save_for_hub(theirs, tmp_path / "plain", True, **plain)
    assert_same_logits(load_pretrained(tmp_path / "plain"), theirs, SIDE)
    other = plain | {"fc_norm": True}
    save_for_hub(timm_vit(**other), tmp_path / "other", True, **other)
    with pytest.raises(ValueError, match=r"fc_norm\.weight: the model has nothing"):
        load_pretrained(tmp_path / "other")


def test_variants_that_ours_cannot_be_are_refused(tmp_path):
    huggingface_vit(hidden_act="relu").save_pretrained(tmp_path / "relu")
    with pytest.raises(ValueError, match=r"relu is a variant.*hidden_act='relu' \(ours: 'gelu'\)"):
        load_pretrained(tmp_path / "relu")
    huggingface_resnet(layer_type="bottleneck", hidden_sizes=[8, 12, 16]).save_pretrained(
        tmp_path / "deep"
    )
    with pytest.raises(ValueError, match=r"layer_type='bottleneck'.*embedding_size=7"):
        describe(tmp_path / "deep")
    huggingface_cvt(mlp_ratio=[4.0, 2.0]).save_pretrained(tmp_path / "cvt")
    with pytest.raises(ValueError, match="one mlp_ratio for all stages"):
        describe(tmp_path / "cvt")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert/config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="model_type='bert'"):
        describe(tmp_path / "bert")
    (tmp_path / "timm").mkdir()
    text = json.dumps({"architecture": "vit_base_patch16_clip_224", "model_args": {"init": 1}})
    (tmp_path / "timm/config.json").write_text(text)
    with pytest.raises(ValueError, match="vit_base_patch16_clip_224 with init"):
        describe(tmp_path / "timm")


def test_the_hidden_width_survives_as_a_ratio(tmp_path):
    for hidden in range(40, 200):  # 49 * (54 / 49) is 53.99...
        config = {"model_type": "vit", "hidden_size": 49, "intermediate_size": hidden}
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert int(49 * describe(tmp_path).arguments["mlp_ratio"]) == hidden


# --- the course's own --------------------------------------------------------------------------

ABOUT = {
    "classes": ["a", "b", "c"],
    "mean": [0.3, 0.4, 0.5],
    "std": [0.2, 0.1, 0.3],
    "size": 32,
    "recipe": {"epochs": 3, "seed": 0},
    "accuracy": 0.5,
}
OWN = {
    "vit_small32": {"dim": 12, "depth": 2, "num_classes": 3, "stem": "conv"},
    "resnet_small32": {"widths": [3, 5, 7], "num_classes": 3},
    "cvt_small32": {"dims": [4, 8, 12], "num_classes": 3},
}
ABOUT_VIT = ABOUT | {"preset": "vit_small32", "arguments": OWN["vit_small32"]}


def own_model(preset: str):
    from course_utils import cnn, cvt, vit

    kinds = {
        "vit_small32": (VisionTransformer, vit.PRESETS),
        "resnet_small32": (ResNet, cnn.PRESETS),
        "cvt_small32": (ConvolutionalVisionTransformer, cvt.PRESETS),
    }
    kind, presets = kinds[preset]
    model = kind(**presets[preset] | {k: tuple(v) if isinstance(v, list) else v
                                      for k, v in OWN[preset].items()})  # fmt: skip
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked.fill_(2**40 + 1)  # no float16 holds that
    return model


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The course's checkpoints as they will lie in the package, with random weights."""
    from course_utils.weights import own, pretrained

    there = own.OwnCheckpoints(tmp_path / "checkpoints")
    monkeypatch.setattr(pretrained, "CHECKPOINTS", there)
    return there


@pytest.mark.parametrize("preset", OWN)
def test_a_checkpoint_comes_back_as_it_went_but_for_float16(preset, own_folder):
    model = own_model(preset)
    path = own_folder.path("mine")
    save_checkpoint(model, path, ABOUT | {"preset": preset, "arguments": OWN[preset]})
    assert list(own_folder) == ["mine"]
    about = own_folder["mine"]
    assert about == describe("mine") == describe(path)
    assert (about.preset, about.classes, about.accuracy) == (preset, ("a", "b", "c"), 0.5)
    assert about.recipe == ABOUT["recipe"]
    for name in ("mine", path):
        loaded = load_pretrained(name)
        assert not loaded.training
        for key, tensor in model.state_dict().items():
            there = loaded.state_dict()[key]
            assert there.dtype == tensor.dtype, key
            rounded = tensor.half().float() if tensor.is_floating_point() else tensor
            assert torch.equal(there, rounded), key
    size = sum(t.numel() * 2 for t in model.state_dict().values())
    assert path.stat().st_size < size + 40_000


def test_a_preset_as_it_is_needs_no_arguments(tmp_path):
    from course_utils.cnn import PRESETS

    classes = [str(i) for i in range(10)]
    model = ResNet(**PRESETS["resnet_small32"])
    about = ABOUT | {"preset": "resnet_small32", "classes": classes}
    save_checkpoint(model, tmp_path / "mine.safetensors", about)
    images = torch.randn(2, 3, 32, 32)
    half = ResNet(**PRESETS["resnet_small32"]).eval()
    half.load_state_dict({n: t.half() if t.is_floating_point() else t
                          for n, t in model.state_dict().items()})  # fmt: skip
    torch.testing.assert_close(load_pretrained(tmp_path / "mine.safetensors")(images), half(images))


def test_a_description_that_does_not_fit_is_refused(tmp_path):
    model, path = own_model("vit_small32"), tmp_path / "mine.safetensors"
    good = ABOUT_VIT
    save_checkpoint(model, path, good)
    path.unlink()
    for change, text in [
        ({"arguments": {}}, r"must describe the model.*blocks\.0\.attn\.proj\.bias"),
        ({"preset": "resnet18", "arguments": {}}, r"makes a ResNet that differs from this Vis"),
        ({"preset": "vit_giant"}, r"no preset 'vit_giant'; there are: vit_tiny_patch16_224"),
        ({"classes": ["a"]}, r"the model has 3, about\['classes'\] 1"),
        ({"note": 1}, r"missing: none, unknown: note"),
    ]:
        with pytest.raises(ValueError, match=text):
            save_checkpoint(model, path, good | change)
    with pytest.raises(ValueError, match="missing: mean"):
        save_checkpoint(model, path, {k: v for k, v in good.items() if k != "mean"})
    with pytest.raises(ValueError, match="change the suffix"):
        save_checkpoint(model, tmp_path / "mine.pt", good)
    nn.init.constant_(model.head.bias, 70000.0)
    with pytest.raises(ValueError, match=r"head\.bias has 7e\+04"):
        save_checkpoint(model, path, good)
    assert not path.exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
def test_a_checkpoint_can_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        save_checkpoint(
            own_model("vit_small32"),
            tmp_path / "mine.safetensors",
            ABOUT_VIT,
        )
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "mine.safetensors").stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_checkpoint_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    save_checkpoint(
        own_model("vit_small32"),
        path,
        ABOUT_VIT,
    )
    before = path.read_bytes()
    changed = own_model("vit_small32")
    with torch.no_grad():
        changed.norm.bias.add_(1)

    def full(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr(progress.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(changed, path, ABOUT_VIT)
    assert path.read_bytes() == before


def test_names_that_are_not_there_say_what_is(own_folder, tmp_path):
    with pytest.raises(WeightsMissing, match="no checkpoint 'mine': the course has none in this"):
        load_pretrained("mine")
    with pytest.raises(KeyError, match="none in this installation"):
        own_folder["mine"]
    assert dict(own_folder) == {}
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="does not say which model it belongs to"):
        load_pretrained(tmp_path / "other.safetensors")


def test_published_weights_if_they_can_be_had_else_the_course_s_own(own_folder, hub_cache):
    with pytest.raises(WeightsMissing, match="mine"):
        published_or_own("somebody/vit-tiny", "mine")
    about = ABOUT_VIT
    save_checkpoint(own_model("vit_small32"), own_folder.path("mine"), about)
    model, checkpoint, line = published_or_own("somebody/vit-tiny", "mine")
    assert (checkpoint.name, model.head.out_features) == ("mine", 3)
    assert line == (
        "no somebody/vit-tiny here and no network: the course's own mine "
        "(3 classes, 32 x 32 pixels) instead"
    )
    theirs = huggingface_vit()
    put_into_hub_cache(theirs, "somebody/vit-tiny", hub_cache)
    model, checkpoint, line = published_or_own("somebody/vit-tiny", "mine")
    assert line == "published weights: somebody/vit-tiny (5 classes, 14 x 14 pixels)"
    assert_same_logits(model, theirs, SIDE)


def test_every_shipped_checkpoint_loads_and_knows_its_classes():
    for name, about in CHECKPOINTS.items():
        model = load_pretrained(name)
        image = torch.rand(3, *about.transform.size)
        assert model(about.transform(image)[None]).shape == (1, len(about.classes))
        assert 0 < about.accuracy <= 1
        assert re.fullmatch(r"(vit|resnet|cvt)_\w+", name)


# --- images as the model saw them --------------------------------------------------------------


def photograph(height: int, width: int):
    from PIL import Image

    pixels = torch.randint(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy()).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("sides", [(60, 90), (91, 53), (300, 300)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_transform_equals_timm_s(interpolation, sides, tmp_path):
    from timm.data import create_transform, resolve_data_config

    about = {"input_size": [3, SIDE, SIDE], "crop_pct": 0.9, "mean": [0.3, 0.4, 0.5]}
    about |= {"std": [0.2, 0.1, 0.3], "interpolation": interpolation}
    arguments = {"img_size": SIDE, "patch_size": PATCH}
    for architecture in ("vit_tiny_patch16_224", "resnet18"):
        config = {"architecture": architecture, "pretrained_cfg": about, "num_classes": 3}
        config["model_args"] = arguments if "vit" in architecture else {}
        (tmp_path / "config.json").write_text(json.dumps(config))
        expected = create_transform(**resolve_data_config(pretrained_cfg=about), is_training=False)
        image = photograph(*sides)
        torch.testing.assert_close(describe(tmp_path).transform(image), expected(image))


@pytest.mark.parametrize("sides", [(60, 90), (91, 53), (40, 40)])
@pytest.mark.parametrize("kind", ["ViTImageProcessor", "ConvNextImageProcessor"])
def test_a_transform_equals_hugging_face_s(kind, sides, tmp_path):
    import transformers

    make = {"ViTImageProcessor": huggingface_vit, "ConvNextImageProcessor": huggingface_resnet}[
        kind
    ]
    make().save_pretrained(tmp_path)
    size = {"height": 28, "width": 28} if kind.startswith("ViT") else {"shortest_edge": 28}
    processor = getattr(transformers, kind)(size=size, image_mean=[0.3, 0.4, 0.5], resample=3)
    processor.save_pretrained(tmp_path)
    image = photograph(*sides)
    expected = processor(image, return_tensors="pt")["pixel_values"][0]
    got = describe(tmp_path).transform(image)
    assert got.shape == (3, 28, 28)
    # Their processor may resize with PyTorch: bytes, rounded in another way than PIL's.
    assert (got - expected).abs().max() < 3 / 255 / 0.2
    assert (got - expected).abs().mean() < 0.5 / 255 / 0.2


PLAIN = Transform(size=(6, 10), mean=(0.3, 0.4, 0.5), std=(0.2, 0.1, 0.3))


def test_a_transform_takes_bytes_floats_batches_and_pil_images_alike():
    from PIL import Image

    pixels = torch.randint(0, 256, (3, 6, 10), dtype=torch.uint8)
    expected = pixels / 255
    expected = torch.stack([(expected[i] - PLAIN.mean[i]) / PLAIN.std[i] for i in range(3)])
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    for same in (pixels, pixels / 255, image, pixels.double() / 255):
        torch.testing.assert_close(PLAIN(same), expected)
    torch.testing.assert_close(PLAIN(torch.stack([pixels, pixels])), torch.stack([expected] * 2))


def test_a_transform_resizes_tensors_nearly_as_pil_does():
    image = photograph(60, 90)
    pixels = torch.tensor(np.array(image)).permute(2, 0, 1)
    for transform in (PLAIN, dataclasses.replace(PLAIN, shorter_side=12)):
        scaled = (transform(image) - transform(pixels)) * torch.tensor(PLAIN.std)[:, None, None]
        assert scaled.abs().max() < 2 / 255
        assert transform(pixels).shape == (3, 6, 10)


def test_a_transform_makes_any_mode_color_and_turns_what_the_camera_turned():
    from PIL import Image

    image = photograph(6, 10)
    gray = image.convert("L")
    three = PLAIN(gray) * torch.tensor(PLAIN.std)[:, None, None]
    torch.testing.assert_close(three[0] + PLAIN.mean[0], three[2] + PLAIN.mean[2])
    one = Transform(size=(6, 10), mean=(0.5,), std=(0.5,))(image)
    torch.testing.assert_close(one, Transform(size=(6, 10), mean=(0.5,), std=(0.5,))(gray))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = image.copy()
    turned.info["exif"] = exif.tobytes()
    torch.testing.assert_close(PLAIN(turned), PLAIN(image).flip(-1, -2))


def test_a_transform_refuses_what_is_no_image():
    with pytest.raises(ValueError, match=r"3 channels.*got \(1, 6, 10\)"):
        PLAIN(torch.zeros(1, 6, 10))
    with pytest.raises(ValueError, match=r"floats from 0 to 255: divide by 255"):
        PLAIN(torch.tensor([0.0, 255.0]).expand(3, 6, 2))
    with pytest.raises(TypeError, match=r"bytes \(uint8\).*got torch.int64"):
        PLAIN(torch.zeros(3, 6, 10, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"got ndarray: open a file with PIL\.Image\.open"):
        PLAIN(torch.zeros(3, 6, 10).numpy())
