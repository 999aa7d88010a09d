"""The interactive pieces in a real browser: their numbers are the package's; they work by keyboard."""

import re

import pytest
import torch
from playwright.sync_api import Page, expect

from course_utils.data import course_text
from course_utils.experiments import course_tokenizer
from course_utils.positions import sinusoidal_positions

pytestmark = pytest.mark.browser
TEXTS = [
    "",
    "The unbelievable tokenizer",
    "it's  two   spaces\n\n\tand a tab ",
    "naïve café, 漢字かな, हिन्दी, العربية, 👩‍👩‍👧 e\u0301 \ufeff x\x85y\x1cz\u3000w",
    "3.14159 ×10⁹ … ½ don't I'LL we'Ve",
    "a\u200bb\u2028c\xa0d",
]


@pytest.fixture
def lesson(open_browser, site):
    def go(number: str, **options) -> Page:
        page = open_browser(**options)
        (path,) = site.rglob(f"{number}_*.html")
        page.goto(path.as_uri())
        return page

    return go


def test_the_page_encodes_as_the_package_does(lesson) -> None:
    page, tokenizer = lesson("01"), course_tokenizer(1024)
    for text in [*TEXTS, *course_text("validation")[:20]]:
        assert page.evaluate("text => course.encode(text)", text) == tokenizer.encode(text), text


def test_typing_shows_tokens_and_counts(lesson) -> None:
    page = lesson("01")
    page.get_by_role("textbox", name="Your text").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("the théâtre")
    ids = course_tokenizer(1024).encode("the théâtre")
    expect(page.locator("#tokenizer-tokens small")).to_have_text([str(id) for id in ids])
    expect(page.locator("#tokenizer-words")).to_have_text(
        f"11 characters, 13 bytes, {len(ids)} tokens."
    )


def test_position_codes_are_the_packages(lesson) -> None:
    page = lesson("02")
    codes = [page.evaluate("place => course.positionCode(place, 32)", place) for place in range(64)]
    torch.testing.assert_close(torch.tensor(codes), sinusoidal_positions(64, 32))


def test_the_place_moves_by_keyboard(lesson) -> None:
    page = lesson("02")
    page.get_by_role("slider", name="Place").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#positions-value")).to_have_text("33")
    expect(page.locator("#positions-words")).to_contain_text("place 33: with place 33 16.00")


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 3.0, 10.0])
def test_weights_are_those_of_the_softmax(lesson, temperature) -> None:
    page, scores = lesson("03"), [2.0, -1.5, 0.25, 40.0]
    weights = page.evaluate("([s, t]) => course.softmax(s, t)", [scores, temperature])
    expected = (torch.tensor(scores, dtype=torch.float64) / temperature).softmax(dim=0)
    torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64), expected)


def test_the_temperature_moves_by_keyboard(lesson) -> None:
    page = lesson("03")
    page.get_by_role("slider", name="Temperature").focus()
    page.keyboard.press("End")
    weights = (torch.tensor([2.0, 1.0, 0.0]) / 10).softmax(dim=0)
    expect(page.locator("[data-weight]")).to_have_text([f"{weight:.3f}" for weight in weights])
    expect(page.locator("#attention-value")).to_have_text("10.00")
    expect(page.locator("#attention-words")).to_contain_text("10.00")


def test_without_scripts_a_still_picture_stays(lesson) -> None:
    for number, words in (("01", "13 tokens"), ("02", "place 32"), ("03", "14.25")):
        page = lesson(number, java_script_enabled=False)
        expect(page.locator("[data-live]")).to_be_hidden()
        assert re.search(words, page.locator(".piece").inner_text())
