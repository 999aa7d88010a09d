"""Somebody's own images: what comes in, in which split, and what is told when something is wrong."""

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.data import SPLITS, image_folder


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)


def plain(color, height=7, width=7):
    return np.broadcast_to(np.array(color, dtype=np.uint8), (height, width, 3))


@pytest.fixture
def folder(tmp_path):
    """Three classes of 3, 5 and 23 images, each image of its own color."""
    for label, (name, count) in enumerate({"class2": 3, "class10": 5, "Class1": 23}.items()):
        for i in range(count):
            save(tmp_path / "own" / name / f"{i}.png", plain((10 * i, 100 * label, 7)))
    (tmp_path / "own" / "class2" / "notes.txt").write_text("no image")
    (tmp_path / "own" / ".hidden").mkdir()
    return tmp_path / "own"


def test_every_image_is_in_one_split_and_every_class_in_all(folder):
    parts = {split: image_folder(folder, split, size=7) for split in SPLITS}
    assert {part.classes for part in parts.values()} == {("Class1", "class2", "class10")}
    counts = {split: part.labels.bincount().tolist() for split, part in parts.items()}
    assert counts == {"train": [19, 1, 3], "validation": [2, 1, 1], "test": [2, 1, 1]}
    seen = [
        (*image[:, 3, 3].tolist(), int(label))
        for part in parts.values()
        for image, label in zip(part.images, part.labels, strict=True)
    ]
    made = {"class2": (0, 3, 1), "class10": (1, 5, 2), "Class1": (2, 23, 0)}.values()
    expected = [(10 * i, 100 * color, 7, label) for color, n, label in made for i in range(n)]
    assert sorted(seen) == sorted(expected)


def test_the_seed_decides_and_nothing_else(folder):
    once, again, other = (image_folder(folder, size=7, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(once.images, again.images)
    assert not torch.equal(once.images, other.images)


def first(path, **options):
    """The only image that all splits of a class of three equal ones show."""
    return image_folder(path, "train", **options).images[0]


def test_the_middle_is_cropped_and_scaled_as_torchvision_does(tmp_path):
    from torchvision.transforms import v2

    rng = np.random.default_rng(0)
    pixels = np.asarray(
        Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((106, 62))
    )
    for i in range(3):
        save(tmp_path / "own" / "one" / f"{i}.png", pixels)
    ours = first(tmp_path / "own", size=31)
    steps = [v2.Resize(31, v2.InterpolationMode.BICUBIC), v2.CenterCrop(31), v2.PILToTensor()]
    theirs = v2.Compose(steps)(Image.fromarray(pixels))
    inner = (slice(None), slice(3, -3), slice(3, -3))  # we crop first: nothing beyond the edge
    torch.testing.assert_close(ours[inner].int(), theirs[inner].int(), atol=1, rtol=0)


def test_orientation_and_mode_are_made_right(tmp_path):
    """Exif orientation 6: the camera was turned; the stored left edge is the top of the picture."""
    stored = np.zeros((8, 8, 3))
    stored[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(3):
        save(tmp_path / "turned" / "one" / f"{i}.png", stored, exif=exif)
        save(tmp_path / "gray" / "one" / f"{i}.png", stored[:, :, 0])
    upright = first(tmp_path / "turned", size=8)
    assert (upright[:, :4] == 255).all()
    assert (upright[:, 4:] == 0).all()
    assert torch.equal(
        first(tmp_path / "gray", size=8), torch.tensor(stored).permute(2, 0, 1).byte()
    )


def test_a_file_that_is_no_image_is_named_or_left_out(folder):
    file = folder / "class10" / "1.png"
    whole = image_folder(folder, "train", size=7)
    for broken in (b"not an image", file.read_bytes()[:40]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=r'1\.png cannot be read .*on_error="skip"'):
            image_folder(folder, "train", size=7)
        with pytest.warns(UserWarning, match=r"1\.png is left out"):
            part = image_folder(folder, "train", size=7, on_error="skip")
        gone = whole.images[:, :, 0, 0].tolist().index([10, 100, 7])
        kept = [row for row in range(len(whole.labels)) if row != gone]
        assert torch.equal(part.images, whole.images[kept])
        assert torch.equal(part.labels, whole.labels[kept])


def test_what_is_missing_is_told(folder, tmp_path, without_shape_types):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere: give the folder that holds"):
        image_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has no folders in it: .* class2/cat and class2/dog"):
        image_folder(folder / "class2")
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        image_folder(folder, "dev")
    with pytest.raises(ValueError, match=r"size must be >= 1 .*; got size=0, on_error='no'"):
        image_folder(folder, size=0, on_error="no")
    (folder / "class2" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"class class2 has 2 images .* 3 or more: add images"):
        image_folder(folder)
    save(folder / "class2" / "0.png", plain(0))
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="class empty has 0 images"):
        image_folder(folder, size=7)
