"""CIFAR-10 and Fashion-MNIST from a copy in the hub's own file layout, and without one."""

import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils.data import SPLITS, DataMissing, available, cifar10, fashion_mnist

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = Path(os.environ.get("COURSE_DATA") or SHARED)
NAMES = {"cifar10": ("alpha", "beta", "gamma"), "fashion_mnist": ("hat", "shoe", "sock")}
LOAD = {"cifar10": cifar10, "fashion_mnist": fashion_mnist}
EACH = 20  # of every class, in the file for training; 7 in the other


def pictures(name, per_class, seed):
    """Random pixels (every picture another) and labels in no order."""
    rng = np.random.default_rng(seed)
    shape = (32, 32, 3) if name == "cifar10" else (28, 28)
    labels = rng.permutation(np.repeat(np.arange(3), per_class))
    return rng.integers(0, 256, (len(labels), *shape), dtype=np.uint8), labels


def write(folder, name, file_split, per_class, seed):
    """A file as the hub has it, written by `datasets` itself."""
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as Pillow

    def png(pixels):
        Pillow.fromarray(pixels).save(buffer := io.BytesIO(), "png")
        return {"bytes": buffer.getvalue(), "path": None}

    column, config = ("img", "plain_text") if name == "cifar10" else ("image", "fashion_mnist")
    images, labels = pictures(name, per_class, seed)
    features = Features({column: Image(), "label": ClassLabel(names=[*NAMES[name]])})
    rows = {column: [png(image) for image in images], "label": labels.tolist()}
    path = folder / name / config / f"{file_split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_dict(rows, features=features).to_parquet(path)
    return path


@pytest.fixture
def copy(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    for name in NAMES:
        write(tmp_path, name, "train", EACH, seed=1)
        write(tmp_path, name, "test", 7, seed=2)
    return tmp_path


@pytest.fixture
def no_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nothing"))


def as_rows(images, labels):
    return sorted(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_pixel_and_label_of_the_files_comes_out_once(name, copy):
    parts = {split: LOAD[name](split) for split in SPLITS}
    assert all(part.classes == NAMES[name] for part in parts.values())
    for splits, per_class, seed in ((("train", "validation"), EACH, 1), (("test",), 7, 2)):
        images, labels = pictures(name, per_class, seed)
        images = images.transpose(0, 3, 1, 2) if images.ndim == 4 else images[:, None]
        ours = torch.cat([parts[split].images for split in splits])
        our_labels = torch.cat([parts[split].labels for split in splits])
        assert ours.dtype == torch.uint8
        assert as_rows(ours.numpy(), our_labels) == as_rows(np.ascontiguousarray(images), labels)


def test_a_tenth_is_for_validation_and_every_class_keeps_its_share(copy):
    counts = {split: cifar10(split).labels.bincount().tolist() for split in SPLITS}
    assert counts == {"train": [18] * 3, "validation": [2] * 3, "test": [7] * 3}


def test_the_first_items_are_balanced_and_among_the_more(copy):
    everything = cifar10()
    for items in (1, 2, 3, 10, 25, 54):
        part = cifar10(items=items)
        assert torch.equal(part.images, everything.images[:items])
        counts = part.labels.bincount(minlength=3)
        assert counts.max() - counts.min() <= 1


def test_another_seed_draws_other_items_and_never_any_for_validation(copy):
    def keys(data):
        return {image.numpy().tobytes() for image in data.images}

    first, second = (keys(cifar10(items=20, seed=seed)) for seed in (0, 1))
    assert first != second
    assert keys(cifar10(seed=1)) == keys(cifar10())
    assert not (first | second) & keys(cifar10("validation"))


def test_items_beyond_the_split_are_refused(copy):
    for items in (0, 55):
        with pytest.raises(ValueError, match=rf"train split has 54 .* 1 \.\.\. 54.*got {items}"):
            cifar10(items=items)


def test_an_unknown_split_names_the_three(copy, without_shape_types):
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        cifar10("dev")


def test_available_says_whether_there_is_a_copy(copy, monkeypatch):
    assert available("cifar10")
    monkeypatch.setenv("COURSE_DATA", str(copy / "nothing"))
    assert not available("cifar10")
    with pytest.raises(ValueError, match="no data set 'mnist' here; there are: cifar10, fashion"):
        available("mnist")


@pytest.mark.parametrize("name", NAMES)
def test_without_copy_and_network_one_line_says_what_to_do_and_soon(name, no_copy):
    import datasets  # noqa: F401  its import is not what is timed

    start = time.perf_counter()
    with pytest.raises(DataMissing) as caught:
        LOAD[name]("test")
    assert time.perf_counter() - start < 5
    text = str(caught.value)
    for part in (f"{name} is not on this machine", "connect", f"COURSE_DATA to a folder with {name}/",
                 "test-*.parquet", "shapes()"):  # fmt: skip
        assert part in text
    assert "\n" not in text
    assert isinstance(caught.value, FileNotFoundError)


def test_a_damaged_file_is_named(copy):
    path = copy / "cifar10" / "plain_text" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"train-00000.*cannot be read as a Parquet file.*again"):
        cifar10()


def test_a_file_of_another_data_set_is_named(copy):
    folder = copy / "cifar10" / "plain_text"
    other = next((copy / "fashion_mnist" / "fashion_mnist").glob("test-*"))
    (folder / "test-00000-of-00001.parquet").write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=r"not a file of cifar10.*img .*it has image, label"):
        cifar10("test")


@pytest.mark.parametrize("picture", [b"no picture", None])
def test_a_damaged_picture_is_told(copy, picture):
    import pyarrow
    from pyarrow import parquet

    path = copy / "cifar10" / "plain_text" / "test-00000-of-00001.parquet"
    table = parquet.read_table(path)
    rows = table.column("img").to_pylist()
    rows[5]["bytes"] = picture
    column = pyarrow.array(rows, type=table.schema.field("img").type)
    parquet.write_table(table.set_column(0, table.schema.field("img"), column), path)
    with pytest.raises(ValueError, match=r"an image of .*test-0.* is damaged or not 32 x 32"):
        cifar10("test")


@pytest.mark.skipif(
    not (REAL / "cifar10").is_dir(), reason="there is no copy of CIFAR-10 in COURSE_DATA"
)
def test_the_real_cifar10_is_cifar10(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(REAL))
    counts = {split: cifar10(split).labels.bincount().tolist() for split in ("validation", "test")}
    assert counts == {"validation": [500] * 10, "test": [1000] * 10}
    train = cifar10(items=5000)
    assert train.images.shape == (5000, 3, 32, 32)
    assert train.labels.bincount().tolist() == [500] * 10
    assert train.classes[0] == "airplane"
    assert train.classes[9] == "truck"
    # The means that everybody normalizes with, of all 50,000; 5,000 differ by less than 1 percent.
    means = train.images.float().mean(dim=(0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]), atol=0.01, rtol=0)


def test_importing_the_data_is_light():
    import subprocess
    import sys

    heavy = ("PIL", "datasets", "pyarrow", "sklearn", "skimage", "torchvision", "pandas")
    code = f"import course_utils.data, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
