"""Image files as they come: a file of each kind is made here, and read right or refused with reasons."""

import os
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from course_utils.images import ImageUnreadable, find_images, open_image

HEIGHT, WIDTH = 11, 17


def picture(height=HEIGHT, width=WIDTH):
    """Smooth in both directions and another in each channel, so that JPEG keeps it and a turn shows."""
    rows, columns = np.mgrid[:height, :width]
    channels = (rows * 20 % 256, columns * 14 % 256, (rows + columns) * 8 % 256)
    return np.stack(channels, axis=-1).astype(np.uint8)


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def read(path):
    image = open_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def about(path):
    with Image.open(path) as image:
        return SimpleNamespace(mode=image.mode, frames=getattr(image, "n_frames", 1))


# EXIF's number -> what undoes it, on an array of rows and columns (Exif 2.3, tag Orientation).
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("number", TURNS)
@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
def test_a_turned_photograph_is_turned_upright(number, ending, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = number
    options = {"lossless": True} if ending == "webp" else {}
    path = save(tmp_path / f"a.{ending}", picture(), exif=exif, **options)
    np.testing.assert_array_equal(read(path), TURNS[number](picture()))


def test_damaged_exif_leaves_the_picture_as_it_is(tmp_path):
    path = tmp_path / "a.png"
    save(path, picture(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(read(path), picture())


def gray():
    return picture()[:, :, 0]


def test_gray_of_eight_and_sixteen_bits_and_one(tmp_path):
    three = np.repeat(gray()[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read(save(tmp_path / "8.png", gray())), three)
    for ending in ("png", "tiff", "pgm"):
        path = save(tmp_path / f"16.{ending}", gray().astype(np.uint16) * 257)
        np.testing.assert_array_equal(read(path), three)
    # What is between two bytes is rounded, not cut off.
    path = save(tmp_path / "between.png", np.array([[0, 128, 129, 65535]], dtype=np.uint16))
    np.testing.assert_array_equal(read(path)[0, :, 0], [0, 0, 1, 255])
    path = save(tmp_path / "1.png", np.where(gray() > 99, 255, 0).astype(np.uint8), mode="1")
    np.testing.assert_array_equal(read(path), np.where(three > 99, 255, 0))


def test_whole_numbers_and_floats_of_a_tiff_are_scaled_by_their_range(tmp_path):
    three = np.repeat(gray()[:, :, None], 3, axis=2)
    ranges = {"bytes": gray().astype(np.int32), "words": gray().astype(np.int32) * 257}
    ranges |= {"shares": gray().astype(np.float32) / 255, "floats": gray().astype(np.float32)}
    for name, values in ranges.items():
        np.testing.assert_array_equal(read(save(tmp_path / f"{name}.tiff", values)), three)
    path = save(tmp_path / "unknown.tiff", gray().astype(np.float32) - 100)
    with pytest.raises(
        ImageUnreadable, match=r"unknown\.tiff .*from -100 to 100: nothing says which"
    ):
        open_image(path)


def test_print_colors_are_close_to_what_the_screen_shows(tmp_path):
    path = save(tmp_path / "cmyk.jpg", picture(64, 96), mode="CMYK", quality=100)
    assert about(path).mode == "CMYK"
    smooth = np.abs(read(path).astype(int) - picture(64, 96))
    assert np.median(smooth) <= 3  # JPEG keeps no pixel exactly


def test_what_is_transparent_shows_the_page_and_not_what_hides_below(tmp_path):
    red, half = np.array([255, 0, 0]), np.array([255, 128, 128])
    pixels = np.zeros((3, 5, 4), dtype=np.uint8)
    pixels[..., 0] = 255  # red everywhere
    pixels[0, :, 3], pixels[1, :, 3] = 255, 127  # seen, half seen, and red but not seen
    expected = np.stack([np.tile(color, (5, 1)) for color in (red, half, [255, 255, 255])])
    got = read(save(tmp_path / "rgba.png", pixels))
    np.testing.assert_array_equal(got, expected)
    gray_alpha = save(tmp_path / "la.png", pixels[..., [1, 3]])
    np.testing.assert_array_equal(read(gray_alpha)[:, :, 0], expected[:, :, 1])

    index = np.array([[0, 1, 2]], dtype=np.uint8)
    palette = Image.fromarray(index).convert("P")
    palette.putdata([0, 1, 2])
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    shown = np.array([[[10, 20, 30], [255, 255, 255], [70, 80, 90]]])
    palette.save(tmp_path / "one.gif", transparency=1)
    palette.save(tmp_path / "one.png", transparency=1)
    palette.save(tmp_path / "table.png", transparency=bytes([255, 0, 255]))
    for name in ("one.gif", "one.png", "table.png"):
        assert about(tmp_path / name).mode == "P"
        np.testing.assert_array_equal(read(tmp_path / name), shown)
    Image.fromarray(picture()).save(
        tmp_path / "rgb.png", transparency=tuple(picture()[2, 3].tolist())
    )
    masked = picture()
    masked[2, 3] = 255
    np.testing.assert_array_equal(read(tmp_path / "rgb.png"), masked)


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tiff"])
def test_of_an_animation_the_first_frame_counts(ending, tmp_path):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("blue", "red", "lime")]
    options = {"lossless": True} if ending == "webp" else {}
    path = tmp_path / f"a.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert about(path).frames == 3
    np.testing.assert_array_equal(read(path), np.asarray(frames[0]))


@pytest.mark.parametrize("sides", [(1, 1), (1, 20_011), (20_011, 1)])
def test_very_small_and_very_long(sides, tmp_path):
    np.testing.assert_array_equal(read(save(tmp_path / "a.png", picture(*sides))), picture(*sides))


def header_of_png(width, height):
    """A whole, valid header that promises width x height pixels; no pixels follow."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def broken_files(folder):
    """Name -> what the reason must say; one file of each kind is made in `folder`."""
    noise = np.random.default_rng(0).integers(0, 256, (61, 67, 3), dtype=np.uint8)
    for ending in ("jpg", "png", "gif", "webp"):
        whole = save(folder / f"whole.{ending}", noise)
        content = whole.read_bytes()
        whole.unlink()
        (folder / f"half.{ending}").write_bytes(content[: len(content) // 2])
        (folder / f"start.{ending}").write_bytes(content[:9])
    (folder / "text.jpg").write_bytes(b"<html>404 not found</html>")
    (folder / "empty.png").touch()
    (folder / "bomb.png").write_bytes(header_of_png(60_000, 60_000))
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "dangling.jpg").symlink_to(folder / "gone.jpg")
    (folder / "folder.png").mkdir()
    (folder / "loop.png").symlink_to(folder / "loop.png")
    os.mkfifo(folder / "pipe.png")
    cut = {f"half.{ending}": "truncated" for ending in ("jpg", "png", "gif")}
    start = {f"start.{ending}": "truncated" for ending in ("jpg", "png", "gif", "webp")}
    return (
        cut
        | start
        | {
            "half.webp": "truncated|damaged",
            "text.jpg": r"not an image, .* it begins with b'<html>404 no'",
            "empty.png": "the file is empty",
            "bomb.png": r"3600000000 pixels.*MAX_IMAGE_PIXELS",
            "phone.heic": "HEIC.*pillow-heif",
            "dangling.jpg": r"a link to .*gone\.jpg, which is not there",
            "missing.jpg": "there is no such file",
            "folder.png": "it is a folder",
            "loop.png": "[Ll]evels of symbolic links|[Ss]ymlink loop",
            "pipe.png": "no regular file",
        }
    )


def test_a_broken_file_is_named_with_its_reason(tmp_path):
    for name, reason in broken_files(tmp_path).items():
        with pytest.raises(ImageUnreadable, match=rf"{name} cannot be read .*({reason})") as caught:
            open_image(tmp_path / name)
        assert caught.value.path == tmp_path / name


def test_every_way_to_cut_a_file_off_is_noticed(tmp_path):
    """Wherever a download stopped, what came is no picture; a PNG's last 20 bytes hold no pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (13, 19, 3), dtype=np.uint8)
    for ending in ("jpg", "png"):
        whole = save(tmp_path / f"whole.{ending}", noise).read_bytes()
        for length in range(0, len(whole) - 20, 7):
            cut = tmp_path / f"cut.{ending}"
            cut.write_bytes(whole[:length])
            with pytest.raises(ImageUnreadable, match=r"cut\..* cannot be read"):
                open_image(cut)


@pytest.fixture
def secret(tmp_path):
    """A file that this user may not read; root may read everything, so root becomes nobody."""
    path = save(tmp_path / "secret.png", picture())
    path.chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield path
    os.seteuid(was)


def test_a_file_without_permission_is_named(secret):
    with pytest.raises(ImageUnreadable, match=r"secret\.png .*no permission to read it"):
        open_image(secret)


def test_a_folder_s_images_come_in_natural_order_and_the_rest_is_told(tmp_path):
    names = ["2.png", "10.png", "b/1.jpg", "B/02.JPEG", "b/x.heic"]
    others = ["notes.txt", ".hidden.png", "b/.DS_Store"]
    for name in names + others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.png").touch()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "b", target_is_directory=True)
    found = find_images(tmp_path)
    relative = [str(path.relative_to(tmp_path)) for path in found.images]
    assert relative == ["2.png", "10.png", "B/02.JPEG", "b/1.jpg", "b/x.heic", "dangling.png"]
    ignored = {str(path.relative_to(tmp_path)) for path in found.ignored}
    assert ignored == {*others, ".git", "elsewhere"}
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        find_images(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="denied"):
        find_images(tmp_path)
