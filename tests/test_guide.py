"""The instructor guide: complete, up to date, and every number in it one that the course gives."""

import json
import re

import guide
import nbtools
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from stamp import MEASURED

from course_utils.lesson import LESSONS

TEXT = guide.GUIDE.read_text(encoding="utf-8")
COSTS = json.loads(MEASURED.read_text(encoding="utf-8"))["lessons"]
SECTION = re.compile(r"^## (\d\d) (.*?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {number: (title, body) for number, title, body in SECTION.findall(TEXT)}
# "lesson 4", "sections 1 to 4 and 11", "Exercise 3.1", "5 to 10": places, not results.
PLACES = re.compile(
    r"(?:lessons?|sections?|exercises?|one of) \d+(?:\.\d)?(?:(?:, | to | and | or |-)\d+(?:\.\d)?)*"
    r"|^\d+\. ",
    re.IGNORECASE | re.MULTILINE,
)
NUMBER = re.compile(r"(?<![\w.^{-])\d+(?:,\d{3})*(?:\.\d+)?")
lesson_cases = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.number)


def body_of(lesson):
    return SECTIONS[lesson.number][1]


def written_by_hand(text):
    return guide.BLOCK.sub("", text)


def table_rows(text, columns):
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [row for row in rows if len(row) == columns and "---" not in row[0]][1:]


def block(kind):
    return re.search(rf"<!-- {kind}\b.*?-->\n(.*?)<!-- /{kind} -->", TEXT, re.DOTALL)[1]


def numbers_of(lesson):
    """All numbers of a lesson's texts and printed outputs."""
    notebook = nbtools.read(nbtools.ROOT / "notebooks" / lesson.file)
    texts = [cell.source for cell in notebook.cells]
    for cell in nbtools.code_cells(notebook):
        for output in cell.outputs:
            texts += [output.text] if "text" in output else []
            texts += [str(output.data.get("text/plain", ""))] if "data" in output else []
    return set(NUMBER.findall(" ".join(texts).replace("±", " ")))


def test_every_block_is_what_the_course_gives_today():
    assert guide.filled(TEXT) == TEXT, "docs/instructor_guide.md is old: run `make guide`"


def test_the_table_has_each_lessons_minutes_seconds_and_memory():
    rows = table_rows(block("table"), 5)
    assert [row[0] for row in rows] == [f"{x.number} {x.title}" for x in LESSONS]
    for row, lesson in zip(rows, LESSONS, strict=True):
        measured = COSTS[lesson.file]
        assert row[1] == str(lesson.minutes)
        assert row[3:] == [f"{measured['seconds']:.0f} s", f"{measured['gigabytes']:.1f} GB"]


def test_the_totals_are_those_of_the_table():
    rows = table_rows(block("table"), 5)
    found = re.findall(r"[\d,.]*\d", block("totals"))
    minutes = sum(int(row[1]) for row in rows)
    seconds = sum(cost["seconds"] for cost in COSTS.values())
    assert found[:2] == ["14", f"{minutes:,}"]
    assert float(found[2]) == pytest.approx(minutes / 60, abs=0.05)
    assert int(found[3]) == sum(int(row[2]) for row in rows)
    assert float(found[4]) == pytest.approx(seconds, abs=0.5)
    assert found[5] == f"{max(cost['gigabytes'] for cost in COSTS.values()):.1f}"


def test_the_week_and_the_term_hold_every_lesson_once_and_no_day_is_longer_than_six_hours():
    week = re.findall(r"<!-- plan (Monday[^>]*) -->", TEXT)[0]
    for plan in (week, re.findall(r"<!-- term 90; ([^>]*) -->", TEXT)[0]):
        numbers = [n for part in plan.split(";") for n in part.split("=")[1].split()]
        assert numbers == [lesson.number for lesson in LESSONS]
    days = [int(row[2]) for row in table_rows(guide.plan(week), 3)[:-1]]
    assert sum(days) == sum(lesson.minutes for lesson in LESSONS)
    assert max(days) <= 360


def test_the_term_splits_each_weeks_minutes():
    for week, names, here, home in table_rows(block("term"), 4):
        inside = [x.minutes for x in LESSONS if f"{int(x.number)} {x.title}" in names]
        assert int(here.split()[0]) + int(home.split()[0]) == sum(inside), week
        assert int(here.split()[0]) <= 90


def test_there_is_a_section_for_each_lesson_under_its_title_and_in_order():
    assert list(SECTIONS) == [lesson.number for lesson in LESSONS]
    assert [title for title, _ in SECTIONS.values()] == [lesson.title for lesson in LESSONS]


@lesson_cases
def test_a_section_has_cost_goals_trips_questions_and_what_to_skip(lesson):
    body = body_of(lesson)
    assert f"<!-- cost {lesson.number} -->" in body
    assert "**Goals.**" in body
    assert "**When time is short.**" in body
    assert re.findall(r"^### (.*)$", body, re.M) == ["What students trip over", "Questions"]
    questions = re.findall(r"^\d\. \*\*[^*]+\?\*\* \S.*$|^\d\. \*\*\(The lesson's own", body, re.M)
    assert len(questions) >= 2
    assert len(re.findall(r"^\d\. \*\*", body, re.M)) >= 3


@lesson_cases
def test_the_quotes_are_of_this_lesson_and_of_several_exercises(lesson):
    quotes = re.findall(r'^- Exercise (\d+)\.(\d), \*[^*]+\*: "(.+)"$', body_of(lesson), re.M)
    assert len(quotes) >= 3 or lesson.number == "01"
    assert {int(number) for number, _, _ in quotes} == {int(lesson.number)}
    assert len({exercise for _, exercise, _ in quotes}) >= 3


@lesson_cases
def test_every_number_of_a_section_is_one_of_the_lesson(lesson):
    text = PLACES.sub("", written_by_hand(body_of(lesson)))
    strange = set(NUMBER.findall(text)) - numbers_of(lesson)
    assert not strange


@lesson_cases
def test_a_section_can_be_put_into_a_notebook_anywhere(lesson):
    assert "](" not in body_of(lesson)  # a link from this folder would lead nowhere from there


def test_a_block_of_no_known_kind_is_refused():
    with pytest.raises(ValueError, match=r"a block is one of cost, trips, .*; got 'costs'"):
        guide.filled("<!-- costs 03 -->\n<!-- /costs -->")


def test_an_answer_that_the_bank_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match=r"exercise 3\.1 has no 'forgot'; .* forgets_the_division"):
        guide.trips("3.1 forgot")


def test_a_quote_ends_with_a_sentence():
    long = "One is here. " + "Two " * 60 + "ends. Three."
    assert guide.short(long) == "One is here."
    assert guide.short("One. Two? Three") == "One. Two? Three"
    assert guide.escaped("a * b, `c * d`") == r"a \* b, `c * d`"


def exercise_cells(number: str, name: str) -> list[NotebookNode]:
    texts = {
        "stub": f"def {name}(x):\n    raise NotImplementedError",
        "check": f'check("{number}", {name})',
        "solution": f'def {name}_solution(x):\n    return x\n\n\n{name} = pick("{number}", {name})',
    }
    about = [{"course": {"exercise": number, "role": role}} for role in texts]
    return [
        new_code_cell(text, metadata=metadata)
        for text, metadata in zip(texts.values(), about, strict=True)
    ]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ("print('first(2)')  # second", "No later cell needs an answer."),
        ("second(2)", "Later cells need the answer to 9.2."),
        ("y = [third, first(2)]", "Later cells need the answers to 9.1 and 9.3."),
        ("first(second(third))", "Later cells need the answers to 9.1, 9.2 and 9.3."),
    ],
)
def test_answers_that_later_cells_need_are_named(later: str, said: str) -> None:
    names = {"9.1": "first", "9.2": "second", "9.3": "third"}
    cells = [cell for number, name in names.items() for cell in exercise_cells(number, name)]
    assert guide.needs(new_notebook(cells=[*cells, new_code_cell(later)])) == said
