"""The still pictures of the interactive pieces: their numbers are the package's."""

import re

import pytest
import torch
from bs4 import BeautifulSoup
from nbtools import ROOT, lessons, read
from website import interactive

from course_utils.experiments import course_tokenizer
from course_utils.positions import sinusoidal_positions

FOLDER = ROOT / "docs" / "interactive"
NAMES = ("attention", "positions", "tokenizer")


def page(name: str) -> BeautifulSoup:
    return BeautifulSoup((FOLDER / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def test_each_of_the_first_three_lessons_has_its_piece() -> None:
    found = {path.stem: number for number, _, path in interactive.pieces(FOLDER)}
    assert found == {"tokenizer": "01", "positions": "02", "attention": "03"}
    for number, heading, path in interactive.pieces(FOLDER):
        notebook = read(lessons(number)[0])
        before = len(notebook.cells)
        interactive.insert(notebook, heading, path)
        assert len(notebook.cells) == before + 1
        (place,) = [k for k, cell in enumerate(notebook.cells) if "``{raw} html" in cell.source]
        section = [c.source for c in notebook.cells[:place] if c.source.startswith("## ")][-1]
        assert section.startswith(f"## {heading}\n")
        assert notebook.cells[place + 1].source.startswith("## ")


@pytest.mark.parametrize("name", NAMES)
def test_what_only_a_script_can_move_is_hidden_without_one(name: str) -> None:
    for control in page(name).select("input, textarea, output"):
        assert control.find_parent(attrs={"data-live": True}).has_attr("hidden")
    for control in page(name).select("input, textarea"):
        assert page(name).find("label", attrs={"for": control["id"]})


def test_the_still_tokens_are_the_tokenizers() -> None:
    tokenizer, still = course_tokenizer(1024), page("tokenizer")
    text = still.textarea.get_text()
    assert [int(item.small.text) for item in still.select("li")] == tokenizer.encode(text)
    shown = [item.code.text.replace("␣", " ").encode() for item in still.select("li")]
    assert shown == tokenizer.pieces(text)
    counts = len(text), len(text.encode()), len(tokenizer.encode(text))
    said = still.find(id="tokenizer-words").text
    assert [int(number) for number in re.findall(r"\d+", said)] == list(counts)


def test_the_still_curve_is_of_the_lessons_codes() -> None:
    still = page("positions")
    codes = sinusoidal_positions(64, 32).double()
    products = codes @ codes[32]
    points = [point.split(",") for point in still.polyline["points"].split()]
    for place, (x, y) in enumerate(points):
        assert float(x) == pytest.approx(640 * place / 63, abs=0.06)
        assert float(y) == pytest.approx(170 - 10 * products[place].item(), abs=0.06)
    told = re.findall(r"with place (\d+) (\d+\.\d+)", still.find(id="positions-words").text)
    assert [int(place) for place, _ in told] == [32, 33, 36, 48]
    for place, product in told:
        assert float(product) == pytest.approx(products[int(place)].item(), abs=0.0051)


def test_the_still_weights_are_the_softmax_of_the_scores() -> None:
    still = page("attention")
    rows = [[cell.text for cell in row.find_all("td")] for row in still.select("tbody tr")]
    scores, prices, shown = (torch.tensor([float(row[i]) for row in rows]) for i in (0, 1, 2))
    weights = scores.softmax(dim=0)
    torch.testing.assert_close(shown, weights, atol=5e-4, rtol=0)
    widths = [float(re.findall(r"[\d.]+", bar["style"])[0]) for bar in still.select(".bars span")]
    assert widths == pytest.approx((100 * weights).tolist(), abs=0.051)
    assert f"is {weights @ prices:.2f}." in still.find(id="attention-words").text
