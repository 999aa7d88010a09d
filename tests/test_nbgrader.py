"""A lesson as an nbgrader assignment, from the release to the feedback of many submissions."""

import copy
import csv
import html
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import release
from nbtools import ROOT, as_attempt, exercises, read

LESSON = "03_attention"
OVERWRITES = """
import course_utils.checks
import course_utils.checks.classroom
import course_utils.checks.engine
course_utils.checks.engine.verdict = lambda *_: "passed"
course_utils.checks.classroom.points = lambda *_: 1.0
course_utils.checks.check = lambda *_: print("[PASS] Exercise 3.1")
"""
BENDS_TORCH = """
import torch
torch.allclose = lambda *_, **__: True
torch.isclose = lambda a, *_, **__: torch.ones_like(a, dtype=torch.bool)
"""


def answers() -> dict[str, str]:
    """Exercise -> the right answer, as one types it."""
    lesson = read(ROOT / "notebooks" / f"{LESSON}.ipynb")
    return {
        number: as_attempt(lesson.cells[cells["solution"]].source)
        for number, cells in exercises(lesson).items()
    }


def submission(
    released: Any, typed: dict[str, str], first: str = "", tests: str | None = None
) -> Any:
    """The released notebook with answers typed in, a cell before all, other test cells."""
    notebook = copy.deepcopy(released)
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            cell.source = typed.get(cell.metadata.course.exercise, cell.source)
        if about.get("grade") and tests is not None:
            cell.source = tests
    if first:
        notebook.cells.insert(2, nbformat.v4.new_code_cell(first))
    return notebook


def without(notebook: Any, *grade_ids: str) -> Any:
    """The notebook after somebody has deleted cells."""
    left = copy.deepcopy(notebook)
    left.cells = [
        cell
        for cell in left.cells
        if cell.metadata.get("nbgrader", {}).get("grade_id") not in grade_ids
    ]
    return left


def typed_into(lesson: Any, typed: dict[str, str]) -> Any:
    """Answers typed into a version of the lesson of which nbgrader knows nothing."""
    notebook = copy.deepcopy(lesson)
    for number, cells in exercises(notebook).items():
        notebook.cells[cells["stub"]].source = typed[number]
    return notebook


def submissions(released: Any) -> dict[str, Any]:
    right = answers()
    lesson = read(ROOT / "notebooks" / f"{LESSON}.ipynb")
    wrong = right["3.1"].replace("dim=-1", "dim=0")
    assert wrong != right["3.1"]
    dies = "def merge_heads(x):\n    import os\n    os._exit(1)"
    endless = "def kept_weights_bytes(*_):\n    while True:\n        pass"
    return {
        "right": submission(released, right),
        "wrong": submission(released, {**right, "3.1": wrong}),
        "empty": submission(released, {}),
        "crashing": submission(released, {**right, "3.2": "1 / 0", "3.3": dies}),
        "endless": submission(released, {**right, "3.4": endless}),
        "overwriting": submission(released, {}, OVERWRITES, tests="1.0"),
        "without a test": without(submission(released, right), "points-3-2"),
        "without both": without(submission(released, right), "exercise-3-2", "points-3-2"),
        "student version": typed_into(release.student(lesson), {**right, "3.2": "pass"}),
        "published version": typed_into(lesson, {**right, "3.2": "1 / 0"}),
        "bending": submission(released, {**right, "3.1": wrong}, BENDS_TORCH),
    }


def nbgrader(course: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COURSE_QUIET": "1"}
    # nbgrader calls a program that lies beside Python
    environment["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The course folder after release, submission, grading and feedback."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("a class")
    patch.setattr(release, "RELEASE", folder)
    release.write_all()
    course = folder / "nbgrader"
    give_three_points(course / "source" / LESSON / f"{LESSON}.ipynb", "points-3-1")
    nbgrader(course, "generate_assignment", LESSON, "--create")
    released = read(course / "release" / LESSON / f"{LESSON}.ipynb")
    for student, notebook in submissions(released).items():
        path = course / "submitted" / student / LESSON / f"{LESSON}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    nbgrader(course, "autograde", LESSON, "--create")
    nbgrader(course, "generate_feedback", LESSON)
    nbgrader(course, "export")
    yield course
    patch.undo()


def give_three_points(path: Path, grade_id: str) -> None:
    """As a teacher does who finds one exercise harder."""
    notebook = read(path)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id:
            cell.metadata.nbgrader.points = 3
    nbformat.write(notebook, path)


def feedback(course: Path, student: str) -> str:
    """The words of a student's feedback page."""
    page = course / "feedback" / student / LESSON / f"{LESSON}.html"
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_points_of_all_submissions(course: Path) -> None:
    with open(course / "grades.csv", newline="") as file:
        grades = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert grades == {
        "right": 6,  # exercise 3.1 has three points
        "wrong": 3,
        "empty": 0,
        "crashing": 4,
        "endless": 5,
        "without a test": 6,
        "without both": 5,
        "student version": 5,
        "published version": 5,
        "overwriting": 0,
        "bending": 0,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "says"),
    [
        ("right", "[PASS] Exercise 3.1: scores divided by the square root of the head dim"),
        ("wrong", "[FAIL] Exercise 3.1: The softmax ran over the queries (dim=0): now each column"),
        ("empty", "[ .. ] Exercise 3.1: not attempted yet."),
        ("crashing", "ZeroDivisionError"),
        ("crashing", "left out: this cell, or the test of it, ended Python itself"),
        ("endless", "[FAIL] Exercise 3.4: Your code did not end within 30 seconds"),
        ("overwriting", "[ .. ] Exercise 3.1: not attempted yet."),
        ("bending", "[FAIL] Exercise 3.1: the check accepts an answer that is wrong on purpose."),
    ],
)
def test_feedback_says_what_the_check_says(course: Path, student: str, says: str) -> None:
    assert says in feedback(course, student)


@pytest.mark.slow
def test_feedback_wraps_and_names_the_exercises(course: Path) -> None:
    page = course / "feedback" / "wrong" / LESSON / f"{LESSON}.html"
    style = re.search(r"<style>pre \{ white.*?</style>", page.read_text(encoding="utf-8"))[0]
    assert "white-space: pre-wrap" in style
    assert re.findall(r'"#(points-3-\d)"\]::after \{ content: " of exercise (3\.\d)"', style) == [
        (f"points-3-{number}", f"3.{number}") for number in range(1, 5)
    ]


@pytest.mark.slow
def test_nobody_finds_a_solution_in_what_is_released(course: Path) -> None:
    released = (course / "release" / LESSON / f"{LESSON}.ipynb").read_text(encoding="utf-8")
    for answer in answers().values():
        body = answer.splitlines()[-1].strip()
        assert body not in released
    assert "BEGIN SOLUTION" not in released
