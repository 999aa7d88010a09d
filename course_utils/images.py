"""Image files as they come: upright, in color, bytes; or an error that names the file and the reason.

What cameras, scanners and the web leave in a folder: pictures stored turned, gray ones of 16 bits,
CMYK from print, palettes with transparency, animations; and broken files.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# What is taken for an image in a folder. Pillow reads the first line everywhere; of the second line
# some only with a plug-in: those are errors that say so, not files that nobody misses.
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
OTHER_ENDINGS = (".avif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".pgm", ".pnm", ".ppm", ".tga")
# How files begin that Pillow refuses to open when they are cut off within their header.
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")

ORIENTATION = 0x0112  # EXIF's tag


class ImageUnreadable(ValueError):
    """A file is no image that can be read; `path` is the file, `reason` says why, in words."""

    def __init__(self, path: Path | str, reason: str, way_out: str = "") -> None:
        ending = f": {way_out}" if way_out else ""
        super().__init__(f"{path} cannot be read as an image ({reason}){ending}")
        self.path, self.reason = path, reason


class FoundImages(NamedTuple):
    """The image files below a folder, and what else was found and passed over."""

    images: list[Path]
    ignored: list[Path]


def find_images(folder: str | Path) -> FoundImages:
    """All image files at any depth below `folder` by their endings, in natural order (2 before 10).

    A link to a file counts as the file, also one that leads nowhere: reading it is an error. What is
    passed over is told: files with other endings, hidden ones, hidden folders and links to folders.

    Raises `FileNotFoundError` for a folder that is not there, `OSError` for one that cannot be listed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: give the path of one with images")
    images: list[Path] = []
    ignored: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=_raise):
        left_out = [f for f in folders if _hidden(f) or os.path.islink(os.path.join(place, f))]
        folders[:] = [f for f in folders if f not in left_out]
        ignored += [Path(place, name) for name in left_out]
        for name in files:
            known = name.lower().endswith(ENDINGS + OTHER_ENDINGS) and not _hidden(name)
            (images if known else ignored).append(Path(place, name))
    return FoundImages(sorted(images, key=natural_order), sorted(ignored, key=natural_order))


def natural_order(path: Path) -> list[tuple[list[tuple[int, int, str]], str]]:
    """A sorting key that puts 2 before 10; the name itself decides between `1` and `01`."""
    return [(_numbers_and_words(part), part) for part in path.parts]


def open_image(path: str | Path) -> "Image":
    """The picture in a file as a PIL image of mode RGB, upright, its first frame if it moves.

    EXIF's turn is applied. Gray of 16 bits is scaled to bytes. Transparent places show white, as on a
    page. Color profiles are not applied, as in the training of the usual models.

    Raises `ImageUnreadable` (a `ValueError`) that names the file and the reason: not there, no
    permission, empty, no image, cut off, damaged, or more pixels than twice Pillow's
    `Image.MAX_IMAGE_PIXELS`, which may be an attack.
    """
    with image_file(path) as file:
        return decode(file, path)


@contextmanager
def image_file(path: str | Path) -> Iterator[BinaryIO]:
    """The file, open for reading bytes. Raises `ImageUnreadable` for one that is not there or empty."""
    path = Path(path)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "no regular file"
            raise ImageUnreadable(path, f"it is {kind}")
        if about.st_size == 0:
            raise ImageUnreadable(path, "the file is empty")
        file = path.open("rb")
    except OSError as error:
        raise ImageUnreadable(path, _why_not_opened(path, error)) from error
    with file:
        yield file


def decode(file: BinaryIO, path: str | Path) -> "Image":
    """As `open_image`, of a file that is open; `path` is for the error."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return to_rgb(upright(image), image.format)
    except ImageUnreadable:
        raise
    except UnidentifiedImageError as error:
        raise ImageUnreadable(path, _why_not_an_image(file)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageUnreadable(
            path,
            f"it would unpack to very many pixels, perhaps a decompression bomb: {error}; if it is "
            "yours, raise PIL.Image.MAX_IMAGE_PIXELS",
        ) from error
    except Exception as error:  # damaged files make every kind of error in Pillow's many readers
        text = str(error) or type(error).__name__
        cut = re.search(
            "truncated|broken|unrecognized data stream|end of file|not enough", text, re.I
        )
        kind = "truncated: the file ends too early" if cut else "damaged"
        raise ImageUnreadable(path, f"{kind}; Pillow says: {text}") from error


def upright(image: "Image") -> "Image":
    """The image turned as EXIF says the camera was held; as it is where that note is damaged."""
    from PIL import ImageOps

    image.load()
    try:
        turned = image.getexif().get(ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # the pixels are sound, and there is no turn to be had
        return image


def to_rgb(image: "Image", file_format: str | None = None) -> "Image":
    """A PIL image of any mode as RGB; see `open_image`. Raises `ValueError` for an unknown range."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_bytes(np.asarray(image), file_format))
    if _may_be_transparent(image):
        colors = image.convert("RGBA")
        page = Image.new("RGBA", colors.size, "white")
        return Image.alpha_composite(page, colors).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _may_be_transparent(image: "Image") -> bool:
    palette = image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")
    return palette or "transparency" in image.info or image.mode.upper() in ("LA", "PA", "RGBA")


def _to_bytes(values: np.ndarray, file_format: str | None) -> np.ndarray:
    """Gray values of 16 or 32 bits, or floats, to 0 ... 255."""
    low, high = float(values.min()), float(values.max())
    whites: tuple[int, ...]
    if values.dtype.kind == "f":
        whites = (1, 255, 65535)
    elif values.dtype.itemsize == 4 and file_format == "TIFF":
        whites = (255, 65535)
    else:
        whites = (65535,)  # old releases of Pillow keep 16 bits in 32
    white = next((white for white in whites if high <= white), None)
    if white is None or not low >= 0:  # also for NaN
        raise ValueError(
            f"gray values of type {values.dtype} from {low:g} to {high:g}: nothing says which is white"
        )
    return np.round(values.astype(np.float64) * (255 / white)).astype(np.uint8)


def _why_not_opened(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path.is_symlink():
            return f"it is a link to {os.readlink(path)}, which is not there"
        return "there is no such file"
    return error.strerror or str(error)


def _why_not_an_image(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(32)
    if start[4:8] == b"ftyp":
        return (
            "HEIC, AVIF or a film, which Pillow cannot read: convert it, or pip install pillow-heif"
        )
    if start.startswith(BEGINNINGS):
        return "truncated or damaged: it begins like an image, and its header is not whole"
    return f"not an image, or of a kind that Pillow does not know: it begins with {start[:12]!r}"


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _numbers_and_words(name: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"(\d+)|(\D+)", name)
    return [(0, int(n), "") if n else (1, 0, text.lower()) for n, text in parts]


def _raise(error: OSError) -> None:
    raise error
