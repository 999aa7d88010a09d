"""Anybody's own images: one folder, in it a folder for each class."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from course_utils.data.splits import LabeledImages, Split, check_split
from course_utils.images import ENDINGS, ImageUnreadable, natural_order, open_image

FEWEST = 3


def image_folder(
    path: str | Path,
    split: Split = "train",
    *,
    size: int = 224,
    seed: int = 0,
    on_error: Literal["raise", "skip"] = "raise",
) -> LabeledImages:
    """The images below `path`, in which every folder is a class, as bytes of (items, 3, size, size).

    Each is turned upright (EXIF), made RGB, scaled until its shorter side is `size`, and cropped in the
    middle. Classes are in natural order (2 before 10). Of every class a tenth, but at least one image,
    goes to validation, as many to the test, the rest to train (seeded). A file that cannot be read is
    an error or, with `on_error="skip"`, is left out with a warning; it keeps its place in the draw,
    so that no other image changes its split.

    Raises `FileNotFoundError` for a folder that is not there, `ValueError` for one without folders,
    for a class with fewer than three images, for a file that is no image and for an unknown split.
    """
    check_split(split)
    if size < 1 or on_error not in ("raise", "skip"):
        raise ValueError(
            f"size must be >= 1 and on_error raise or skip; got size={size}, on_error={on_error!r}"
        )
    folders = _class_folders(Path(path))
    images, labels = [], []
    for label, folder in enumerate(folders):
        for file in _part_of(_image_files(folder), split, seed):
            pixels = _read(file, size, on_error)
            if pixels is not None:
                images.append(pixels)
                labels.append(label)
    if not images:
        raise ValueError(f"no image of the {split} split in {path} can be read")
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    return LabeledImages(stacked, torch.tensor(labels), tuple(folder.name for folder in folders))


def _class_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise FileNotFoundError(
            f"there is no folder {path}: give the folder that holds one folder of images per class"
        )
    entries = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__"))]
    folders = sorted((entry for entry in entries if entry.is_dir()), key=natural_order)
    if not folders:
        raise ValueError(
            f"{path} has no folders in it: put the images of each class into a folder of its own, "
            f"such as {path.name}/cat and {path.name}/dog"
        )
    return folders


def _image_files(folder: Path) -> list[Path]:
    """All images at any depth below `folder`, in natural order; at least one for every split."""
    files = [
        file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS and file.is_file()
    ]
    files = [file for file in files if not file.name.startswith(".")]
    if len(files) < FEWEST:
        raise ValueError(
            f"class {folder.name} has {len(files)} images ({', '.join(ENDINGS)}): three splits need "
            f"{FEWEST} or more: add images, or take the folder {folder} away"
        )
    return sorted(files, key=natural_order)


def _part_of(files: list[Path], split: Split, seed: int) -> list[Path]:
    held_out = max(1, round(len(files) / 10))
    order = np.random.default_rng(seed).permutation(len(files))
    rows = {
        "test": order[:held_out],
        "validation": order[held_out : 2 * held_out],
        "train": order[2 * held_out :],
    }[split]
    return [files[row] for row in np.sort(rows)]


def _read(file: Path, size: int, on_error: str) -> np.ndarray | None:
    """Pixels (size, size, 3) of one file; None for one to be left out."""
    import warnings

    from PIL import Image, ImageOps

    try:
        image = open_image(file)
    except ImageUnreadable as error:
        if on_error == "skip":
            warnings.warn(f"{file} is left out: {error.reason}", stacklevel=3)
            return None
        raise ValueError(
            f'{error}: repair it or take it away, or leave such files out with on_error="skip"'
        ) from error
    # Scales and crops the middle at once.
    return np.array(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))
