"""Training on Lightning: what each process sees, the module against PyTorch, files without code."""

import math
import os

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import weights
from course_utils.augmentation import Augment
from course_utils.data import digits, shapes
from course_utils.scale.checkpoints import SafeFiles, export_weights
from course_utils.scale.datamodule import ImageData
from course_utils.scale.loader import EvaluationBatches, TrainingBatches
from course_utils.scale.module import ImageClassifier, build_model
from course_utils.training import parameter_groups

ROWS = torch.arange(29)


def numbered(**options):
    """Images that are their own numbers."""
    return TrainingBatches(ROWS[:, None].float(), ROWS, **options)


# --- Which images each process gets ---


def test_two_processes_of_three_see_what_one_of_six_does():
    one = numbered(batch_size=6, seed=5)
    two = [numbered(batch_size=3, seed=5, rank=rank, world_size=2) for rank in (0, 1)]
    for _ in range(2):
        for whole, *parts in zip(one, *two, strict=True):
            joined = torch.cat([part.labels for part in parts])
            assert sorted(joined.tolist()) == sorted(whole.labels.tolist())
            assert len({part.draw for part in parts}) == 2  # each takes chances of its own
            for part in parts:
                assert torch.equal(part.images[:, 0], part.labels.float())


def test_an_epoch_sees_no_image_twice_and_the_next_has_another_order():
    loader = numbered(batch_size=4)
    assert len(loader) == 7
    epochs = [[batch.labels.tolist() for batch in loader] for _ in range(3)]
    for epoch in epochs:
        flat = [label for labels in epoch for label in labels]
        assert len(set(flat)) == len(flat) == 28
    assert epochs[0] != epochs[1] != epochs[2]
    again, other = numbered(batch_size=4), numbered(batch_size=4, seed=1)
    assert [batch.labels.tolist() for batch in again] == epochs[0]
    assert [batch.labels.tolist() for batch in other] != epochs[0]


@pytest.mark.parametrize("seen", [0, 1, 3, 7, 8, 14, 20])
def test_a_loader_goes_on_where_another_was(seen):
    def stream(loader):
        while True:
            iter(loader)  # one that nobody uses changes nothing
            yield from loader

    straight, first, second = (numbered(batch_size=4, seed=2) for _ in range(3))
    expected = [b for b, _ in zip(stream(straight), range(seen + 9), strict=False)]
    batches = stream(first)
    for _ in range(seen):
        next(batches)
    second.load_state_dict(first.state_dict())
    for want, got in zip(expected[seen:], stream(second), strict=False):
        assert torch.equal(want.labels, got.labels)
        assert want.draw == got.draw


@pytest.mark.parametrize(("world", "batch"), [(1, 5), (2, 5), (3, 1), (4, 4), (29, 2)])
def test_evaluation_sees_each_image_once_in_as_many_batches_everywhere(world, batch):
    loaders = [
        EvaluationBatches(ROWS, ROWS, batch_size=batch, rank=rank, world_size=world)
        for rank in range(world)
    ]
    assert len({len(loader) for loader in loaders}) == 1
    batches = [b for loader in loaders for b in loader]
    assert sorted(torch.cat([b.labels for b in batches]).tolist()) == ROWS.tolist()
    assert all(1 <= len(b.labels) <= batch + 1 for b in batches)
    assert all(b.draw is None for b in batches)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match=r"10 x 3 = 30 images; there are 29 .* smaller batch_size"):
        numbered(batch_size=10, world_size=3)
    with pytest.raises(ValueError, match=r"each of 30 processes needs an image.* there are 29"):
        EvaluationBatches(ROWS, ROWS, batch_size=1, world_size=30)


# --- The data ---


def test_batches_are_transformed_and_augmented_by_their_own_seed():
    augment = Augment(crop=2, flip=True, mix=1.0)
    data = ImageData(
        name="shapes",
        items=40,
        size=8,
        batch_size=7,
        mean=[0.3, 0.4, 0.5],
        std=[0.2],
        augment=augment,
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(batch.draw)
    plain = batch.images.float() / 255
    expected = augment(
        (plain - torch.tensor([0.3, 0.4, 0.5])[:, None, None]) / 0.2, batch.labels, 12
    )
    torch.manual_seed(0)  # whatever was drawn before
    torch.testing.assert_close(data.on_after_batch_transfer(batch, 0), expected)
    held = next(iter(data.val_dataloader()))
    images, labels = data.on_after_batch_transfer(held, 0)
    assert torch.equal(labels, held.labels)
    drawn = shapes("validation", items=10, size=8).images
    torch.testing.assert_close(
        images, (drawn / 255 - torch.tensor([0.3, 0.4, 0.5])[:, None, None]) / 0.2
    )


def test_images_are_resized_as_the_exported_model_will_resize_them():
    data = ImageData(name="digits", size=12)
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    images, _ = data.on_after_batch_transfer(batch, 0)
    raw = digits("test").images
    wanted = F.interpolate(raw[:256], (12, 12), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(images, (wanted[: len(images)] - 0.5) / 0.5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "mnist"}, "one of cifar10, shapes, digits, folder; got 'mnist'"),
        ({"name": "folder"}, "path goes with name=folder, .* got name='folder', path=None"),
        ({"path": "here"}, "path goes with name=folder, and only with it"),
        ({"name": "digits", "items": 7}, "digits gives all: omit it"),
    ],
)
def test_data_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ImageData(**wrong)


def test_a_mean_for_each_channel_or_one():
    data = ImageData(name="digits", mean=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="1 number, or 1, one for each channel of digits; got 3"):
        data.setup("test")


# --- The module ---

TINY = {"image_size": 8, "dim": 12, "depth": 1, "heads": 2}


def tiny(**changes):
    torch.manual_seed(0)
    return ImageClassifier(**{"model": "vit_small32", "arguments": TINY, "classes": 12, **changes})


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_a_step_is_pytorchs(optimizer, monkeypatch):
    """Loss with smoothing, decay for matrices only, the schedule: against plain PyTorch."""
    module = tiny(optimizer=optimizer, label_smoothing=0.2, weight_decay=0.3, warmup=0.5).double()
    other = tiny().model.double()
    from types import SimpleNamespace

    module._trainer = SimpleNamespace(
        estimated_stepping_batches=10, max_epochs=None, datamodule=None
    )
    monkeypatch.setattr(ImageClassifier, "log", lambda *a, **k: None)
    parts = module.configure_optimizers()
    ours, scheduler = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[optimizer]
    theirs = kind(parameter_groups(other, 0.3), lr=1e-3)
    images, labels = torch.randn(7, 3, 8, 8).double(), torch.arange(7)
    for step in range(10):
        share = (step + 1) / 5 if step < 5 else (1 + math.cos(math.pi * (step - 5) / 5)) / 2
        for group in theirs.param_groups:
            group["lr"] = 1e-3 * share
        loss = module.training_step((images, labels), 0)
        expected = nn.CrossEntropyLoss(label_smoothing=0.2)(other(images), labels)
        torch.testing.assert_close(loss, expected)
        for value, optimizer_ in ((loss, ours), (expected, theirs)):
            optimizer_.zero_grad()
            value.backward()
            optimizer_.step()
        scheduler.step()
    torch.testing.assert_close(dict(module.model.state_dict()), dict(other.state_dict()))


def test_sharded_names_decay_as_whole_ones_do():
    """FSDP turns parameters into vectors and puts a word into their names."""
    module = tiny(weight_decay=0.3)
    sizes = [sum(p.numel() for p in g["params"]) for g in module.decay_groups(0.3)]
    module.model = nn.Sequential()
    whole = tiny(weight_decay=0.3).model
    flat = nn.Module()
    for name, parameter in whole.named_parameters():
        flat.register_parameter(name.replace(".", "/"), nn.Parameter(parameter.detach().flatten()))
    module.named_parameters = lambda: (
        (f"_fsdp_wrapped_module.model.{n.replace('/', '.')}", p) for n, p in flat.named_parameters()
    )
    assert [sum(p.numel() for p in g["params"]) for g in module.decay_groups(0.3)] == sizes


def test_timms_model_by_name():
    import timm

    model = build_model("vit_tiny_patch16_224", library="timm", classes=10)
    assert type(model) is timm.models.VisionTransformer
    assert model.head.out_features == 10


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "vit_giant"}, "there is no preset 'vit_giant'"),
        ({"model": "vit_giant_9", "library": "timm"}, "has no model 'vit_giant_9'; it has .*vit"),
        ({"library": "keras"}, "course or timm; got 'keras'"),
        ({"optimizer": "sgd"}, "adamw or adam; got 'sgd'"),
        ({"warmup": 5}, r"shares, 0 \.\.\. 1; got 5, 0\.0"),
    ],
)
def test_modules_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        tiny(**wrong)


# --- Files ---


class Payload:
    """Pickled code: creates a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_not_run_even_if_asked_for(tmp_path):
    files, path = SafeFiles(), tmp_path / "bad.ckpt"
    torch.save({"state_dict": Payload(tmp_path / "run")}, path)
    with pytest.raises(ValueError, match=r"bad\.ckpt is damaged or holds Python objects"):
        files.load_checkpoint(path, weights_only=False)
    assert not (tmp_path / "run").exists()


def test_damaged_and_missing_checkpoints_are_named(tmp_path):
    files, path = SafeFiles(), tmp_path / "folder" / "one.ckpt"
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*one\.ckpt: leave ckpt_path out"):
        files.load_checkpoint(path)
    files.save_checkpoint({"state_dict": {"a": torch.arange(3)}}, path)
    assert torch.equal(files.load_checkpoint(path)["state_dict"]["a"], torch.arange(3))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"one\.ckpt is damaged .* begin anew without ckpt_path"):
        files.load_checkpoint(path)


def test_a_course_model_goes_out_and_comes_back(tmp_path):
    module = tiny()
    data = ImageData(name="shapes", items=12, size=8)
    data.setup("validate")
    export_weights(module.state_dict(), module.hparams, data, tmp_path / "vit.safetensors")
    checkpoint = weights.describe(tmp_path / "vit.safetensors")
    assert checkpoint.classes == data.classes
    assert checkpoint.transform == data.transform
    back = weights.load_pretrained(tmp_path / "vit.safetensors")
    for name, value in module.model.state_dict().items():
        assert torch.equal(back.state_dict()[name], value.half().float())


def test_timms_model_goes_out_and_comes_back_as_the_courses(tmp_path):
    arguments = {"img_size": 32, "depth": 1}
    module = tiny(library="timm", model="vit_tiny_patch16_224", arguments=arguments)
    module.model.eval()
    data = ImageData(name="shapes", items=12, size=32)
    data.setup("validate")
    export_weights(module.state_dict(), module.hparams, data, tmp_path / "vit")
    checkpoint, back = weights.describe(tmp_path / "vit"), weights.load_pretrained(tmp_path / "vit")
    assert type(back).__module__ == "course_utils.vit"
    assert checkpoint.classes == data.classes
    raw = data.splits["validation"].images
    torch.testing.assert_close(checkpoint.transform(raw), data.transform(raw))
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(back(images), module.model(images))
