"""Feature vectors: the right tensor of each library's model, of any source, in order, and not twice."""

import dataclasses
import json
import signal
import subprocess
import sys
import textwrap
import threading
from collections import UserList
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from course_utils.cnn import ResNet
from course_utils.cvt import ConvolutionalVisionTransformer
from course_utils.features import FeatureModel, cache, extract_features, feature_model, reading
from course_utils.images import ImageUnreadable
from course_utils.vit import VisionTransformer
from course_utils.weights import Pretrained, Transform, WeightsMissing, describe, load_pretrained

SIDE, CLASSES = 28, 5
READY = Transform(size=(SIDE, SIDE), mean=(0.3, 0.4, 0.5), std=(0.2, 0.1, 0.3))
VIT = {"image_size": SIDE, "patch_size": 7, "dim": 33, "depth": 2, "heads": 3, "mlp_ratio": 2.0}
CVT = {
    "dims": (6, 14), "depths": (1, 2), "heads": (3, 2), "patch_sizes": (7, 3), "strides": (4, 2),
    "paddings": (2, 1),
}  # fmt: skip
RESNET = {"depths": (1, 2, 1), "widths": (7, 11, 13)}


def randomized(module):
    """Every tensor random, so that nothing agrees by its start; float64, in eval mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                random = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.2
                tensor.copy_(random.abs() + 0.5 if name.endswith("running_var") else random)
    return module.double().eval()


def pixels(items=5, height=SIDE, width=SIDE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (items, height, width, 3), dtype=np.uint8)


def ready(arrays, transform=READY):
    """What the model must get: computed here, one image at a time."""
    return torch.stack([transform(Image.fromarray(a)) for a in arrays]).double()


@pytest.fixture
def folder(tmp_path):
    """Five pictures as PNG; natural order differs from the alphabet's."""
    path = tmp_path / "pictures"
    path.mkdir()
    for name, array in zip(("1", "2", "3", "10", "20"), pixels(), strict=True):
        Image.fromarray(array).save(path / f"{name}.png")
    return path


def small_vit():
    torch.manual_seed(0)
    return VisionTransformer(**VIT, num_classes=CLASSES).eval()


def expected_of(model, images):
    """By the definition, for the course's ViT: the class token after the last LayerNorm."""
    with torch.no_grad():
        return model.forward_features(images.to(next(model.parameters())))[:, 0]


# --- which tensor ------------------------------------------------------------------------------


def timm_model(name, **options):
    import timm

    return randomized(timm.create_model(name, num_classes=CLASSES, **options))


def torchvision_model(name, **options):
    from torchvision import models

    return randomized(getattr(models, name)(num_classes=CLASSES, **options))


def torchvision_vit():
    from torchvision.models import VisionTransformer as Theirs

    sizes = {"num_layers": 2, "num_heads": 3, "hidden_dim": 33, "mlp_dim": 47}
    return randomized(Theirs(image_size=SIDE, patch_size=7, num_classes=CLASSES, **sizes))


def with_class_token(tokens, class_token):
    return torch.cat([class_token.expand(len(tokens), -1, -1), tokens], dim=1)


SMALL = {
    "image_size": SIDE, "patch_size": 7, "hidden_size": 33, "num_hidden_layers": 2,
    "num_attention_heads": 3, "intermediate_size": 47, "num_labels": CLASSES,
}  # fmt: skip
STAGES = {
    "embed_dim": [6, 14], "depth": [1, 2], "num_heads": [3, 2], "patch_sizes": [7, 3],
    "patch_stride": [4, 2], "patch_padding": [2, 1], "mlp_ratio": [4.0, 4.0],
    "attention_drop_rate": [0.0, 0.0], "drop_rate": [0.0, 0.0], "drop_path_rate": [0.0, 0.0],
    "qkv_bias": [True, True], "cls_token": [False, True],
    "qkv_projection_method": ["dw_bn", "dw_bn"], "kernel_qkv": [3, 3], "padding_kv": [1, 1],
    "stride_kv": [2, 2], "padding_q": [1, 1], "stride_q": [1, 1], "num_labels": CLASSES,
}  # fmt: skip
BASIC = {
    "layer_type": "basic", "depths": [1, 2, 1], "embedding_size": 7, "hidden_sizes": [7, 11, 13],
    "num_labels": CLASSES,
}  # fmt: skip


def huggingface(kind, config, **options):
    import transformers

    return randomized(getattr(transformers, kind)(getattr(transformers, config)(**options)))


def mean_of_map(maps):
    return maps.mean(dim=(-2, -1))


# Name -> the model, and its feature vector by definition: no library's own pooling but the tensors
# of its trunk, pooled here.
MODELS = {
    "course vit": (
        lambda: randomized(VisionTransformer(**VIT, num_classes=CLASSES)),
        lambda m, x: m.forward_features(x)[:, 0],
    ),
    "course vit, mean": (
        lambda: randomized(VisionTransformer(**VIT, num_classes=0, pool="mean")),
        lambda m, x: m.forward_features(x).mean(dim=1),
    ),
    "course resnet": (
        lambda: randomized(ResNet(**RESNET, num_classes=CLASSES)),
        lambda m, x: mean_of_map(m.forward_features(x)),
    ),
    "course cvt": (
        lambda: randomized(ConvolutionalVisionTransformer(**CVT, num_classes=CLASSES)),
        lambda m, x: m.forward_features(x)[:, 0],
    ),
    "torchvision resnet18": (
        lambda: torchvision_model("resnet18"),
        lambda m, x: mean_of_map(nn.Sequential(*list(m.children())[:-2])(x)),
    ),
    "torchvision mobilenet": (
        lambda: torchvision_model("mobilenet_v3_small"),
        lambda m, x: m.classifier[:-1](m.avgpool(m.features(x)).flatten(1)),
    ),
    "torchvision vit": (
        lambda: torchvision_vit(),
        lambda m, x: m.encoder(with_class_token(m._process_input(x), m.class_token))[:, 0],
    ),
    "timm resnet18": (
        lambda: timm_model("resnet18"),
        lambda m, x: mean_of_map(m.forward_features(x)),
    ),
    "timm vit": (
        lambda: timm_model(
            "vit_tiny_patch16_224", img_size=SIDE, patch_size=7, embed_dim=33, depth=2, num_heads=3
        ),
        lambda m, x: m.forward_features(x)[:, 0],
    ),
    "huggingface vit classifier": (
        lambda: huggingface("ViTForImageClassification", "ViTConfig", **SMALL),
        lambda m, x: m.vit(x).last_hidden_state[:, 0],
    ),
    "huggingface vit": (  # not the pooler's output, which no classifier of images uses
        lambda: huggingface("ViTModel", "ViTConfig", **SMALL),
        lambda m, x: m(x).last_hidden_state[:, 0],
    ),
    "huggingface cvt": (
        lambda: huggingface("CvtForImageClassification", "CvtConfig", **STAGES),
        lambda m, x: m.layernorm(m.cvt(x).cls_token_value)[:, 0],
    ),
    "huggingface cvt without classifier": (
        lambda: huggingface("CvtModel", "CvtConfig", **STAGES),
        lambda m, x: m(x).cls_token_value[:, 0],
    ),
    "huggingface resnet": (
        lambda: huggingface("ResNetForImageClassification", "ResNetConfig", **BASIC),
        lambda m, x: mean_of_map(m.resnet(x).last_hidden_state),
    ),
    "huggingface resnet without classifier": (
        lambda: huggingface("ResNetModel", "ResNetConfig", **BASIC),
        lambda m, x: mean_of_map(m(x).last_hidden_state),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_vector_is_what_the_classifier_would_get_and_not_the_logits(name):
    make, by_definition = MODELS[name]
    model = make()
    with torch.no_grad():
        expected = by_definition(model, ready(pixels()))
    got = extract_features(pixels(), model, transform=READY, batch_size=2)
    assert got.vectors.shape[1] != CLASSES
    torch.testing.assert_close(got.vectors, expected)


def test_the_published_sizes_have_the_published_widths(on_meta):
    """ResNet-18's vector has 512 numbers, and not the 1000 of its logits; ViT-B's 768; CvT-13's 384."""
    import timm
    from torchvision.models import resnet18
    from transformers import CvtConfig, CvtForImageClassification

    from course_utils.features.vectors import vector_function

    with on_meta():
        models = (resnet18(), timm.create_model("resnet18"), ResNet(), VisionTransformer(),
                  CvtForImageClassification(CvtConfig()))  # fmt: skip
        image = torch.empty(1, 3, 224, 224)
        widths = [vector_function(model.eval())(image).shape[1] for model in models]
    assert widths == [512, 512, 512, 768, 384]


def test_a_function_of_your_own_says_which_tensor():
    trunk = randomized(nn.Sequential(nn.Conv2d(3, 7, 3), nn.Flatten(2)))
    with pytest.raises(ValueError, match=r"in this Sequential there is none .*FeatureModel\("):
        feature_model(trunk, READY)
    model = FeatureModel(trunk, READY, lambda x: trunk(x).amax(dim=2), "my own")
    with torch.no_grad():
        expected = trunk(ready(pixels())).max(dim=2).values
    torch.testing.assert_close(extract_features(pixels(), model).vectors, expected)
    flat = FeatureModel(trunk, READY, trunk, "flat")
    with pytest.raises(ValueError, match=r"\(batch, dim\); flat makes \(5, 7, 676\) of"):
        extract_features(pixels(), flat)


def test_models_that_make_no_vector_of_one_image_are_refused():
    from transformers import ViTMAEConfig, ViTMAEModel

    with pytest.raises(ValueError, match=r"ViTMAEModel does not make one vector .* hides patches"):
        feature_model(ViTMAEModel(ViTMAEConfig(num_hidden_layers=1)), READY)


def test_the_model_is_left_as_it_was():
    model = small_vit()
    model.train()
    model.blocks[0].eval()
    modes = [m.training for m in model.modules()]
    strides = [p.stride() for p in model.parameters()]
    extract_features(pixels(), model, transform=READY)
    with pytest.raises(ImageUnreadable):
        extract_features([*pixels(), "gone.png"], model, transform=READY)
    assert [m.training for m in model.modules()] == modes
    assert [p.stride() for p in model.parameters()] == strides
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_linear_layers_run_as_convolutions_and_these_with_channels_last():
    layouts = []
    with torch.profiler.profile() as profile:
        extract_features(pixels(), small_vit(), transform=READY)
    products = [event for event in profile.events() if event.name == "aten::addmm"]
    assert len(products) == 1  # the head, which gets the vector

    def note(layer, given, out):
        layouts.append(out.is_contiguous(memory_format=torch.channels_last))

    cnn = ResNet(depths=(1,), widths=(8,), stem="small").eval()
    cnn.layer1.register_forward_hook(note)
    extract_features(pixels(), cnn, transform=READY)
    assert layouts == [True]


def test_vectors_can_be_trained_on_and_carry_no_graph():
    got = extract_features(pixels(), small_vit(), transform=READY).vectors
    layer = nn.Linear(33, 2)
    layer(got).sum().backward()
    torch.testing.assert_close(layer.weight.grad[0], got.sum(dim=0))
    assert not got.requires_grad


# --- sources -----------------------------------------------------------------------------------


class Rows(UserList):
    """A data set as libraries have them: items by number, and nothing else of a list."""


def all_sources(folder):
    arrays, paths = pixels(), [folder / f"{n}.png" for n in (1, 2, 3, 10, 20)]
    images = [Image.fromarray(a) for a in arrays]
    tensor = torch.from_numpy(arrays).permute(0, 3, 1, 2)
    from torch.utils.data import TensorDataset

    from course_utils.data import LabeledImages

    labels = torch.arange(5)
    return {
        "folder": folder,
        "folder as text": str(folder),
        "paths": paths,
        "texts": [str(path) for path in paths],
        "pil": images,
        "arrays": list(arrays),
        "array": arrays,
        "floats": arrays / 255,
        "words": arrays.astype(np.uint16) * 257,
        "tensor": tensor,
        "tensors": list(tensor.float() / 255),
        "mixed": [paths[0], images[1], arrays[2], tensor[3], str(paths[4])],
        "pairs": Rows([(image, 7) for image in images]),
        "dictionaries": Rows([{"label": 7, "img": image} for image in images]),
        "tensor data set": TensorDataset(tensor, labels),
        "labeled images": LabeledImages(tensor, labels, ("a", "b", "c", "d", "e")),
    }


def test_the_same_pictures_from_everywhere_give_the_same_vectors(folder):
    model = small_vit()
    expected = expected_of(model, ready(pixels()))
    for name, source in all_sources(folder).items():
        got = extract_features(source, model, transform=READY, batch_size=2)
        torch.testing.assert_close(got.vectors, expected, msg=lambda text, name=name: name + text)
        assert got.rows == (0, 1, 2, 3, 4)
        assert got.errors == ()
        if name in ("folder", "folder as text", "paths", "texts"):
            assert [path.name for path in got.paths] == [f"{n}.png" for n in (1, 2, 3, 10, 20)]
    got = extract_features(folder / "10.png", model, transform=READY)
    torch.testing.assert_close(got.vectors, expected[3:4])


def test_gray_pictures_are_gray_in_all_channels():
    gray = pixels()[..., 0]
    expected = expected_of(small_vit(), ready(np.repeat(gray[..., None], 3, axis=3)))
    for source in (gray, list(gray), torch.from_numpy(gray)[:, None], gray[..., None]):
        got = extract_features(source, small_vit(), transform=READY)
        torch.testing.assert_close(got.vectors, expected)


def test_a_transform_of_your_own_gets_tensors_as_they_are():
    model, seen = small_vit(), []

    def as_it_is(image):
        seen.append(image)
        return image

    normal = torch.randn(3, 3, SIDE, SIDE)
    got = extract_features(normal, model, transform=as_it_is)
    torch.testing.assert_close(got.vectors, expected_of(model, normal))
    with pytest.raises(ValueError, match=r"floats from -.* transform=lambda image: image"):
        extract_features(normal, model, transform=READY)
    turned = Image.fromarray(pixels()[0])
    turned.getexif()[0x0112] = 3
    got = extract_features(
        [turned], model, transform=lambda image: seen.append(image) or READY(image)
    )
    assert seen[-1].mode == "RGB"
    torch.testing.assert_close(got.vectors, expected_of(model, ready([pixels()[0][::-1, ::-1]])))


def test_a_source_that_is_none_is_told(tmp_path):
    model = small_vit()
    wrong = {
        r"list of a generator": (image for image in pixels()),
        r"loader\.dataset": torch.utils.data.DataLoader(pixels()),
        r"list\(source\.values\(\)\)": {"a": pixels()},
    }
    for text, source in wrong.items():
        with pytest.raises(TypeError, match=text):
            extract_features(source, model, transform=READY)
    for source in ([], tmp_path, np.empty((0, 7, 7, 3))):
        with pytest.raises(ValueError, match="there is no image in"):
            extract_features(source, model, transform=READY)
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        extract_features(tmp_path / "nowhere", model, transform=READY)
    with pytest.raises(ValueError, match=r"\(items, channels, height, width\).*got \(3, 7, 7\)"):
        extract_features(torch.zeros(3, 7, 7), model, transform=READY)
    with pytest.raises(ValueError, match=r"\(items, height, width, channels\).*got \(2, 3, 7, 7\)"):
        extract_features(np.zeros((2, 3, 7, 7)), model, transform=READY)
    with pytest.raises(TypeError, match=r"has label, x, none of which is called image, img"):
        extract_features(Rows([{"label": 1, "x": 2}]), model, transform=READY)


def test_arguments_out_of_range_are_told(without_shape_types):
    with pytest.raises(ValueError, match=r"got batch_size=0, workers=None, on_error='raise'"):
        extract_features(pixels(), small_vit(), transform=READY, batch_size=0)
    with pytest.raises(ValueError, match=r"on_error='ignore'"):
        extract_features(pixels(), small_vit(), transform=READY, on_error="ignore")
    with pytest.raises(ValueError, match="got 'half'"):
        extract_features(pixels(), small_vit(), transform=READY, precision_name="half")
    with pytest.raises(ValueError, match=r"one size; .*\(3, 7, 28\), \(3, 28, 28\).*batch_size=1"):
        extract_features(
            [torch.zeros(3, 28, 28), torch.zeros(3, 7, 28)], small_vit(), transform=lambda x: x
        )
    with pytest.raises(ValueError, match=r"image 0 of the source it made \(28, 28\)"):
        extract_features(pixels(), small_vit(), transform=lambda x: torch.zeros(28, 28))


# --- broken images -----------------------------------------------------------------------------


@pytest.fixture
def spoilt(folder):
    """The five pictures with four broken files among them."""
    (folder / "0.png").touch()
    (folder / "5.jpg").write_bytes(b"<html>")
    (folder / "11.png").write_bytes((folder / "1.png").read_bytes()[:900])
    (folder / "30.png").symlink_to(folder / "gone.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_broken_files_are_named_and_everything_else_is_kept_in_order(spoilt):
    model = small_vit()
    with pytest.raises(ImageUnreadable, match=r'0\.png cannot be read .*is empty.*on_error="skip"'):
        extract_features(spoilt, model, transform=READY)
    for batch_size in (1, 2, 32):
        got = extract_features(
            spoilt, model, transform=READY, batch_size=batch_size, on_error="skip"
        )
        torch.testing.assert_close(got.vectors, expected_of(model, ready(pixels())))
        assert [path.name for path in got.paths] == [f"{n}.png" for n in (1, 2, 3, 10, 20)]
        assert got.rows == (1, 2, 3, 5, 7)
        assert [error.path.name for error in got.errors] == ["0.png", "5.jpg", "11.png", "30.png"]
        reasons = ("the file is empty", "not an image", "truncated", "a link to")
        assert all(w in e.reason for w, e in zip(reasons, got.errors, strict=True))
        assert got.ignored == (spoilt / "notes.txt",)


def test_broken_images_in_memory_are_told_by_their_row(folder):
    source = [pixels()[0], np.zeros((2, 3, 7, 7)), np.full((7, 7), 300.0), folder / "2.png", None]
    with pytest.raises(ImageUnreadable, match=r"image 1 of the source .*got \(2, 3, 7, 7\)"):
        extract_features(source, small_vit(), transform=READY)
    got = extract_features(source, small_vit(), transform=READY, on_error="skip")
    assert got.rows == (0, 3)
    assert got.paths == (0, folder / "2.png")
    assert [path for path, _ in got.errors] == [1, 2, 4]
    with pytest.raises(
        ValueError, match=r"none of the 2 images can be read; the first, a\.png: there"
    ):
        extract_features(["a.png", "b.png"], small_vit(), transform=READY, on_error="skip")


def test_a_mistake_in_a_transform_is_no_broken_image():
    def wrong(image):
        raise KeyError("my own mistake")

    with pytest.raises(KeyError, match="my own mistake") as caught:
        extract_features(pixels(), small_vit(), transform=wrong, on_error="skip")
    assert "while preparing image 0 of the source" in caught.value.__notes__[0]


# --- reading ahead, memory, precision -----------------------------------------------------------


def test_order_holds_when_the_first_images_are_the_slowest():
    order, first = [], threading.Event()

    def slow_at_first(row):
        if row == 0:
            first.wait(timeout=30)
        order.append(row)
        if row == 2:
            first.set()
        return reading.Prepared(row, row)

    rows = [item.row for item in reading.in_order(slow_at_first, size=7, workers=3, ahead=4)]
    assert rows == list(range(7))
    assert order[-1] != 0
    assert order.index(2) < order.index(0)


def test_no_more_than_a_few_batches_are_in_memory():
    alive, most, lock = 0, 0, threading.Lock()
    batch_size, workers = 3, 2

    class Counted(torch.Tensor):
        pass

    import weakref

    def counted(image):
        nonlocal alive, most
        pixels = READY(image).as_subclass(Counted)
        with lock:
            alive += 1
            most = max(most, alive)
        weakref.finalize(pixels, gone)
        return pixels

    def gone():
        nonlocal alive
        with lock:
            alive -= 1

    extract_features(
        list(pixels(60)), small_vit(), transform=lambda a: counted(Image.fromarray(a)),
        batch_size=batch_size, workers=workers,
    )  # fmt: skip
    assert batch_size < most <= 4 * batch_size + workers


def test_an_interruption_ends_the_threads():
    before = threading.active_count()

    def stop(images):
        raise KeyboardInterrupt

    model = FeatureModel(nn.Identity(), READY, stop, "stops")
    with pytest.raises(KeyboardInterrupt):
        extract_features(pixels(50), model, batch_size=2)
    assert threading.active_count() == before


def test_bfloat16_points_the_same_way():
    torch.manual_seed(0)
    sizes = {"image_size": SIDE, "patch_size": 7, "dim": 96, "depth": 6, "heads": 3}
    model = VisionTransformer(**sizes)
    exact = extract_features(pixels(11), model, transform=READY).vectors
    short = extract_features(pixels(11), model, transform=READY, precision_name="bfloat16").vectors
    assert short.dtype == torch.float32
    assert not torch.equal(short, exact)
    assert torch.cosine_similarity(short, exact).min() > 0.999


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_is_used_where_there_is_one_and_the_model_comes_back():
    devices, model = [], small_vit()
    model.head.register_forward_hook(lambda m, i, o: devices.append(o.device.type))
    got = extract_features(pixels(), model, transform=READY)
    assert devices == ["cuda"]
    assert next(model.parameters()).device.type == got.vectors.device.type == "cpu"
    # TF32 and other kernels: float32 on a GPU agrees to three digits or so.
    torch.testing.assert_close(
        got.vectors, expected_of(model, ready(pixels())), rtol=1e-2, atol=1e-2
    )


# --- the cache ---------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """How many images are decoded, and by which name."""
    names = []
    decode = reading.decode
    monkeypatch.setattr(
        reading, "decode", lambda file, path: names.append(Path(path).name) or decode(file, path)
    )
    return names


def test_no_picture_is_done_twice_whatever_it_is_called(folder, tmp_path, counted):
    model, store = small_vit(), tmp_path / "store"
    first = extract_features(folder, model, transform=READY, cache=store)
    assert len(counted) == 5
    (folder / "1.png").rename(folder / "99.png")
    Image.fromarray(pixels(1, seed=1)[0]).save(folder / "4.png")
    (folder / "b").mkdir()
    Image.fromarray(pixels(1, seed=2)[0]).save(folder / "3.png")  # another picture, an old name
    counted.clear()
    again = extract_features(folder, small_vit(), transform=READY, cache=store)
    assert sorted(counted) == ["3.png", "4.png"]
    assert [path.name for path in again.paths] == [
        "2.png",
        "3.png",
        "4.png",
        "10.png",
        "20.png",
        "99.png",
    ]
    assert torch.equal(again.vectors[[5, 0, 3, 4]], first.vectors[[0, 1, 3, 4]])
    new = ready([pixels(1, seed=2)[0], pixels(1, seed=1)[0]])
    torch.testing.assert_close(again.vectors[1:3], expected_of(model, new))
    assert again.model == first.model


def test_another_model_transform_or_precision_is_not_mixed_up(folder, tmp_path, counted):
    torch.manual_seed(1)
    other_weights = VisionTransformer(**VIT, num_classes=CLASSES)
    other_heads = VisionTransformer(**VIT | {"heads": 11}, num_classes=CLASSES)
    other_heads.load_state_dict(small_vit().state_dict())  # the same weights, another function
    wider = dataclasses.replace(READY, std=(0.3, 0.2, 0.1))
    ways = [
        (small_vit(), READY, "float32"),
        (other_weights, READY, "float32"),
        (other_heads, READY, "float32"),
        (small_vit(), wider, "float32"),
        (small_vit(), READY, "bfloat16"),
    ]
    for model, transform, precision in ways:
        counted.clear()
        options = {"transform": transform, "precision_name": precision}
        kept = extract_features(folder, model, cache=tmp_path / "store", **options)
        assert len(counted) == 5
        alone = extract_features(folder, model, cache=None, **options)
        assert torch.equal(kept.vectors, alone.vectors)
    torch.manual_seed(1)
    counted.clear()
    same = VisionTransformer(**VIT, num_classes=CLASSES).train()
    extract_features(folder, same, transform=READY, cache=tmp_path / "store")
    assert counted == []


def test_where_it_is_kept_by_default(folder, tmp_path, monkeypatch, counted):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "mine"))
    for expected in (5, 0):
        counted.clear()
        extract_features(folder, small_vit(), transform=READY)
        assert len(counted) == expected
    assert list((tmp_path / "mine").rglob("*.safetensors"))
    monkeypatch.delenv("COURSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_folder() == tmp_path / "xdg" / "course_utils" / "features"
    extract_features(pixels(), small_vit(), transform=READY)
    extract_features(folder, small_vit(), transform=lambda image: READY(image))
    assert not (tmp_path / "xdg").exists()  # neither images in memory nor an unknown transform
    with pytest.raises(ValueError, match=r"a function of your own does not tell .*cache=None"):
        extract_features(folder, small_vit(), transform=lambda i: READY(i), cache=tmp_path)


def test_images_in_memory_are_kept_where_a_folder_is_named(tmp_path):
    first = extract_features(pixels(), small_vit(), transform=READY, cache=tmp_path)
    calls = []
    model = small_vit()
    model.head.register_forward_pre_hook(lambda *_: calls.append(1))
    again = extract_features(list(pixels()[::-1]), model, transform=READY, cache=tmp_path)
    assert calls == []
    assert torch.equal(again.vectors, first.vectors.flip(0))


def test_what_was_killed_goes_on(folder, tmp_path):
    """SIGKILL after the third batch; the next run decodes what is left, and the result is the same."""
    code = f"""
        import os, signal, torch
        from course_utils.features import cache, extract_features
        from course_utils.vit import VisionTransformer
        from course_utils.weights import Transform
        cache.SECONDS = 0
        torch.manual_seed(0)
        model, calls = VisionTransformer(**{VIT}, num_classes={CLASSES}), []
        def count(*_):
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
        model.head.register_forward_pre_hook(count)
        extract_features({str(folder)!r}, model, transform={READY}, batch_size=1,
                         cache={str(tmp_path / "store")!r})
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert run.returncode == -signal.SIGKILL
    calls, model = [], small_vit()
    model.head.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    got = extract_features(folder, model, transform=READY, cache=tmp_path / "store")
    assert sum(calls) == 2
    torch.testing.assert_close(got.vectors, expected_of(model, ready(pixels())))


def test_what_was_done_before_an_error_is_kept(spoilt, tmp_path, counted):
    (spoilt / "0.png").unlink()
    options = {"transform": READY, "batch_size": 1, "cache": tmp_path / "store"}
    with pytest.raises(ImageUnreadable, match=r"5\.jpg"):
        extract_features(spoilt, small_vit(), **options)
    counted.clear()
    extract_features(spoilt, small_vit(), on_error="skip", **options)
    assert set(counted) == {"5.jpg", "10.png", "11.png", "20.png"}


def test_many_small_files_are_put_together(folder, tmp_path, monkeypatch, counted):
    monkeypatch.setattr(cache, "SECONDS", 0)
    monkeypatch.setattr(cache, "MANY_FILES", 3)
    first = extract_features(folder, small_vit(), transform=READY, batch_size=1, cache=tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 5
    for _ in range(2):
        counted.clear()
        again = extract_features(folder, small_vit(), transform=READY, cache=tmp_path)
        assert counted == []
        assert len(list(tmp_path.rglob("*.safetensors"))) == 1
        assert torch.equal(first.vectors, again.vectors)


def test_a_damaged_cache_and_a_full_disk_cost_time_and_nothing_else(folder, tmp_path, tiny_disk):
    expected = expected_of(small_vit(), ready(pixels()))
    extract_features(folder, small_vit(), transform=READY, cache=tmp_path / "store")
    (file,) = (tmp_path / "store").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    with pytest.warns(UserWarning, match=r"safetensors is damaged and not used .*: delete it"):
        got = extract_features(folder, small_vit(), transform=READY, cache=tmp_path / "store")
    torch.testing.assert_close(got.vectors, expected)
    (tiny_disk / "filling").write_bytes(b"x" * 255 * 1024)
    with pytest.warns(UserWarning, match=r"cannot be kept in .*: No space left"):
        got = extract_features(folder, small_vit(), transform=READY, cache=tiny_disk)
    torch.testing.assert_close(got.vectors, expected)


# --- models by name ----------------------------------------------------------------------------


def wide(shape=(60, 90)):
    """A smooth color picture, larger than the model's images."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    channels = (rows * 4 % 256, columns * 2, (rows + columns) % 256)
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def saved(module, path, **processor):
    """A folder in the hub's layout."""
    from transformers import ViTImageProcessor

    module.save_pretrained(path)
    if processor:
        ViTImageProcessor(**processor).save_pretrained(path)
    return path


def test_a_huggingface_folder_is_the_course_s_model_where_it_can_be(tmp_path):
    theirs = huggingface("ViTForImageClassification", "ViTConfig", **SMALL).float()
    settings = {"size": {"height": SIDE, "width": SIDE}, "image_mean": [0.1, 0.2, 0.3]}
    path = saved(theirs, tmp_path / "vit", **settings)
    assert isinstance(feature_model(path).module, VisionTransformer)
    got = extract_features([wide()], path)
    by_module = extract_features([wide()], type(theirs).from_pretrained(path))
    # Theirs resizes with PyTorch, ours with PIL: bytes rounded in another way.
    assert torch.cosine_similarity(got.vectors, by_module.vectors) > 0.9999
    mine = extract_features([wide()], Pretrained(load_pretrained(path), describe(path), ""))
    assert torch.equal(mine.vectors, got.vectors)
    assert mine.model == got.model


def test_a_huggingface_folder_of_another_kind_goes_through_its_library(tmp_path):
    from transformers import (
        ConvNextConfig,
        ConvNextForImageClassification,
        Dinov2Config,
        Dinov2Model,
    )

    sizes = {"hidden_sizes": [7, 11], "depths": [1, 1], "num_stages": 2, "num_labels": CLASSES}
    convnext = randomized(ConvNextForImageClassification(ConvNextConfig(**sizes))).float()
    dino = randomized(Dinov2Model(Dinov2Config(**SMALL))).float()
    processor = {"size": {"height": SIDE, "width": SIDE}}
    for module, by_definition in (
        (convnext, lambda m, x: m.convnext(x).pooler_output),
        (dino, lambda m, x: m(x).last_hidden_state[:, 0]),
    ):
        path = saved(module, tmp_path / type(module).__name__, **processor)
        loaded = feature_model(path)
        assert type(loaded.module) is type(module)
        expected = by_definition(module, loaded.transform(wide())[None])
        got = extract_features([wide()], path, cache=tmp_path / "store")
        torch.testing.assert_close(got.vectors, expected.detach())
    (path / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match=r"no preprocessor_config\.json.*give transform="):
        extract_features([wide()], path)


def test_a_timm_folder_and_its_own_preprocessing(tmp_path):
    import timm
    from safetensors.torch import save_file
    from timm.data import create_transform, resolve_data_config

    about = {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "crop_pct": 0.9, "num_classes": 5}
    for name in ("test_convnext", "resnet18"):
        path = tmp_path / name
        path.mkdir()
        module = randomized(timm.create_model(name, num_classes=CLASSES)).float()
        save_file(module.state_dict(), path / "model.safetensors")
        config = {"architecture": name, "num_classes": 5, "pretrained_cfg": about}
        (path / "config.json").write_text(json.dumps(config))
        theirs = create_transform(**resolve_data_config({}, pretrained_cfg=about))
        image = theirs(wide())[None]
        with torch.no_grad():
            expected = module.forward_head(module.forward_features(image), pre_logits=True)
        torch.testing.assert_close(extract_features([wide()], path).vectors, expected, **FLOAT32)
    assert isinstance(feature_model(path).module, ResNet)
    other = tmp_path / "test_convnext"
    (other / "config.json").write_text(json.dumps({**config, "architecture": "test_vit"}))
    with pytest.raises(ValueError, match=r"(?s)test_vit.*config\.json.*Missing key.*copy"):
        feature_model(other)


# Channels-last sums in another order; float32 has some seven digits.
FLOAT32 = {"rtol": 1e-4, "atol": 1e-4}
TIMM = ("vit_tiny_patch16_224", "resnet50", "swin_tiny_patch4_window7_224", "convnext_tiny",
        "deit3_small_patch16_224", "efficientnet_b0")  # fmt: skip


@pytest.mark.parametrize("name", TIMM)
def test_timms_modules_come_with_timms_preprocessing(name):
    from timm.data import create_transform, resolve_data_config
    from timm.models import get_pretrained_cfg

    from course_utils.features.libraries import own_transform

    class Known(nn.Module):  # what own_transform asks of a module of timm, without its weights
        pretrained_cfg = get_pretrained_cfg(name).to_dict()
        forward_features = forward_head = None

    theirs = create_transform(**resolve_data_config({}, pretrained_cfg=Known.pretrained_cfg))
    ours = own_transform(Known())
    assert isinstance(ours, Transform)
    for shape in ((300, 400), (500, 333), (20, 33)):
        torch.testing.assert_close(ours(wide(shape)), theirs(wide(shape)))


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_b_16", "convnext_tiny", "swin_t", "regnet_y_400mf"]
)
def test_torchvisions_names_come_with_torchvisions_preprocessing(name):
    from torchvision.models import get_model_weights

    from course_utils.features.libraries import torchvision_transform

    theirs = get_model_weights(name).DEFAULT.transforms()
    ours = torchvision_transform(theirs)
    assert isinstance(ours, Transform)
    for shape in ((300, 400), (500, 333), (20, 33)):
        torch.testing.assert_close(ours(wide(shape)), theirs(wide(shape)))


def test_resnet18_is_torchvisions_with_512_numbers(tmp_path, monkeypatch):
    """The file that torchvision would download, made here, in its cache."""
    from torchvision.models import ResNet18_Weights, resnet18

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    module = resnet18().eval()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(module.state_dict(), folder / Path(ResNet18_Weights.DEFAULT.url).name)
    got = extract_features([wide()], "resnet18")
    assert got.vectors.shape == (1, 512)
    image = ResNet18_Weights.DEFAULT.transforms()(wide())[None]
    with torch.no_grad():
        expected = nn.Sequential(*list(module.children())[:-1])(image).flatten(1)
    torch.testing.assert_close(got.vectors, expected, **FLOAT32)


def test_a_name_whose_weights_cannot_be_had_says_what_can(
    tmp_path, monkeypatch, without_shape_types
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        WeightsMissing, match=r"torchvision's resnet18 is neither .*the course's own"
    ):
        feature_model("resnet18")
    for name in ("google/no-such-model", "vit_tiny_patch16_224"):
        with pytest.raises(WeightsMissing, match=r"neither on this machine nor .*connect to"):
            feature_model(name)
    with pytest.raises(WeightsMissing, match=r"no model 'resnet19'.*\"resnet18\".*google/vit"):
        feature_model("resnet19")
    with pytest.raises(TypeError, match=r"a model is a name, .*got int"):
        feature_model(18)
    for module in (small_vit(), torchvision_model("resnet18")):
        with pytest.raises(ValueError, match=r"does not say how its images .*: give transform="):
            feature_model(module)


def test_a_picture_of_twenty_thousand_by_one_pixels_needs_no_more_memory_than_others():
    transform = Transform(size=(32, 28), mean=(0.5,) * 3, std=(0.5,) * 3, shorter_side=32)
    for shape in ((1, 20_011), (20_011, 1), (2, 999)):
        image = Image.fromarray(pixels(1, *shape)[0])
        ours = transform(image)
        assert ours.shape == (3, 32, 28)
        if max(shape) < 1000:  # small enough to do it the wasteful way
            from torchvision.transforms import v2

            whole = v2.Compose(
                [v2.Resize(32, v2.InterpolationMode.BICUBIC), v2.CenterCrop((32, 28))]
            )
            expected = torch.from_numpy(np.array(whole(image))).permute(2, 0, 1) / 255
            torch.testing.assert_close(ours * 0.5 + 0.5, expected, rtol=0, atol=1.01 / 255)
