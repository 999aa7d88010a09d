"""The offline data: real, split three ways without overlap, the same every time."""

import importlib.metadata
import unicodedata

import numpy as np
import pytest
import torch

from course_utils.data import (
    PHOTOS,
    SPLITS,
    course_text,
    digits,
    languages,
    parallel_sentences,
    photo,
    photos,
)


def test_course_text_is_the_docstrings_of_scikit_learn():
    import inspect

    from sklearn.linear_model import LogisticRegression

    everything = {text for split in SPLITS for text in course_text(split)}
    assert inspect.getdoc(LogisticRegression).strip() in {text.strip() for text in everything}
    assert 2.5e6 < sum(map(len, everything)) < 5e6


def test_course_text_is_split_80_10_10_without_overlap_and_without_repeats():
    parts = [course_text(split) for split in SPLITS]
    total = sum(map(len, parts))
    assert [round(len(part) / total, 2) for part in parts] == [0.8, 0.1, 0.1]
    assert len(set().union(*parts)) == total
    assert all(text.strip() for part in parts for text in part)


@pytest.mark.skipif(
    importlib.metadata.version("scikit-learn") != "1.9.1",
    reason="the numbers belong to scikit-learn 1.9.1, the version in constraints.txt",
)
def test_course_text_of_the_pinned_version_is_what_the_stored_outputs_came_from():
    sizes = {split: sum(map(len, course_text(split))) for split in SPLITS}
    assert sizes == {"train": 2639872, "validation": 335357, "test": 283449}


def test_digits_are_scikit_learns_each_used_once():
    from sklearn.datasets import load_digits

    raw = load_digits()
    parts = [digits(split) for split in SPLITS]
    ours = torch.cat([part.images.flatten(1) for part in parts]).numpy() * 16
    labels = torch.cat([part.labels for part in parts]).numpy()

    def rows(images, labels):
        return sorted(map(tuple, np.column_stack([images, labels]).astype(int).tolist()))

    assert rows(ours, labels) == rows(raw.data, raw.target)
    assert parts[0].images.max() == 1
    assert parts[0].images.shape[1:] == (1, 8, 8)


def test_each_digit_keeps_its_share_in_every_split():
    counts = [torch.bincount(digits(split).labels, minlength=10) for split in SPLITS]
    total = sum(counts)
    for count, share in zip(counts, (0.6, 0.2, 0.2), strict=True):
        assert ((count / total - share).abs() < 0.01).all()


@pytest.mark.parametrize("load", [course_text, digits])
def test_an_unknown_split_names_the_three(load, without_shape_types):
    with pytest.raises(ValueError, match="train, validation, test; got 'dev'"):
        load("dev")


def test_photos_are_what_their_libraries_give():
    from skimage import data as skimage_data
    from sklearn.datasets import load_sample_image

    theirs = {"cat": skimage_data.chelsea(), "temple": load_sample_image("china.jpg")}
    ours = photos()
    assert ours.keys() == PHOTOS.keys()
    for name, pixels in theirs.items():
        expected = torch.tensor(pixels.copy()).permute(2, 0, 1) / 255
        torch.testing.assert_close(ours[name], expected)
    for image in ours.values():
        assert image.shape[0] == 3
        assert image.min() >= 0
        assert 0.5 < image.max() <= 1


def test_an_unknown_photo_names_those_there_are():
    with pytest.raises(ValueError, match=r"no photograph 'dog'; there are: astronaut, cat"):
        photo("dog")


def test_a_file_of_ones_own_is_a_photo_and_stands_upright(tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    upright = Image.Exif()
    upright[0x0112] = 6  # the camera was held on its side: turn clockwise by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "mine.png", exif=upright)
    expected = torch.from_numpy(np.rot90(pixels, -1).copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(photo(tmp_path / "mine.png"), expected)
    torch.testing.assert_close(photo(str(tmp_path / "mine.png")), expected)


SCRIPTS = {
    "en": ("LATIN",),
    "hi": ("DEVANAGARI", "ZERO WIDTH"),
    "zh": ("CJK",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ar": ("ARABIC",),
}


def test_parallel_sentences_exist_in_all_five_languages_in_their_own_script():
    assert set(languages()) == set(SCRIPTS)
    for sentence in parallel_sentences():
        assert set(sentence) == set(SCRIPTS)
        for code, text in sentence.items():
            assert text == unicodedata.normalize("NFC", text)
            for letter in filter(str.isalpha, text):
                assert unicodedata.name(letter).startswith(SCRIPTS[code]), (code, letter)
    assert {code for code, about in languages().items() if about["direction"] == "rtl"} == {"ar"}
