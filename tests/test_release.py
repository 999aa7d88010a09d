"""The versions for a class: no solution in the students', everything in the teacher's."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import release
from nbclient import NotebookClient
from nbtools import NOTEBOOKS, ROOT, as_attempt, exercises, printed, read, role

LESSONS = [path for path in NOTEBOOKS if exercises(read(path))]
by_name = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem[:2])


def strings(value: Any) -> list[str]:
    """Every text in a notebook: sources, outputs, metadata, keys."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    return [text for part in value for text in strings(part)] if isinstance(value, list) else []


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def solution_lines(lesson: Any) -> set[str]:
    """The lines of all solutions that stand nowhere else in the lesson, without their blanks."""
    told, elsewhere = set(), ""
    for cell in lesson.cells:
        if role(cell) == "solution":
            function = ast.parse(cell.source).body[0]
            lines = cell.source.splitlines()[function.lineno : function.end_lineno]
            told |= {squeezed(line) for line in lines}
        else:
            elsewhere += squeezed(cell.source)
    return {line for line in told if len(line) >= 12 and line not in elsewhere}


@by_name
def test_no_text_of_a_solution_is_left_for_students(path: Path) -> None:
    lesson = read(path)
    lines = solution_lines(lesson)
    assert lines
    texts = "\n".join(squeezed(text) for text in strings(release.student(lesson)))
    assert not {line for line in lines if line in texts}
    assert "_solution" not in texts
    assert "Solution" not in texts
    assert "colab.research" not in texts  # there the solutions are


@by_name
def test_students_get_the_stubs_as_they_are_and_no_outputs(path: Path) -> None:
    lesson = read(path)
    student = release.student(lesson)
    assert len(student.cells) == len(lesson.cells)
    for before, after in zip(lesson.cells, student.cells, strict=True):
        if before.cell_type == "code":
            assert (after.outputs, after.execution_count) == ([], None)
            assert after.source == before.source or role(before) == "solution"
    nbformat.validate(student)


@by_name
def test_the_teacher_sees_open_solutions_after_the_notes(path: Path) -> None:
    lesson = read(path)
    instructor = release.instructor(lesson, path.stem)
    notes = instructor.cells[0].source
    assert re.match(rf"<details>\n<summary>.*</summary>\n\n## {path.stem[:2]} ", notes)
    assert notes.endswith("\n\n</details>")
    for before, after in zip(lesson.cells, instructor.cells[1:], strict=True):
        title = "# Solution " if role(before) == "solution" else ""
        assert after.source.startswith(title)
        assert after.source.partition("\n")[2] == before.source.partition("\n")[2]
        assert title or after.source == before.source
        assert "source_hidden" not in after.metadata.get("jupyter", {})
    nbformat.validate(instructor)


@by_name
def test_nbgrader_takes_the_solution_out_and_leaves_the_stub(path: Path) -> None:
    from nbgrader.preprocessors import ClearSolutions

    lesson = read(path)
    source = release.nbgrader_source(lesson)
    clear = ClearSolutions(code_stub={"python": "raise NotImplementedError"})
    cleared, _ = clear.preprocess(nbformat.from_dict(json.loads(json.dumps(source))), {})
    for number, cells in exercises(lesson).items():
        stub, solution = (lesson.cells[cells[name]].source for name in ("stub", "solution"))
        assert cleared.cells[cells["stub"]].source == stub
        body = ast.parse(source.cells[cells["stub"]].source).body[0].body
        attempt = ast.parse(as_attempt(solution)).body[0]
        solved, expected = (
            ast.dump(ast.Module(body[1:], [])),
            ast.dump(ast.Module(attempt.body[bool(ast.get_docstring(attempt)) :], [])),
        )
        assert solved == expected, number
        assert ast.dump(ast.parse(stub).body[0].args) == ast.dump(attempt.args), number


def test_what_lesson_0_says_of_solutions_is_found_and_replaced() -> None:
    lesson = read(ROOT / "notebooks" / "00_start_here.ipynb")
    text = "\n".join(cell.source for cell in lesson.cells)
    for published in release.IN_A_CLASS:
        assert text.count(published) == 1, published


def test_the_same_lessons_give_the_same_files(tmp_path: Path, monkeypatch) -> None:
    found = []
    for name in ("first", "second"):
        monkeypatch.setattr(release, "RELEASE", tmp_path / name)
        release.write_all()
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert {f"student/{path.name}" for path in NOTEBOOKS} <= set(found[0])
    assert {f"instructor/{path.name}" for path in NOTEBOOKS} <= set(found[0])
    assert {f"nbgrader/source/{path.stem}/{path.name}" for path in LESSONS} <= set(found[0])
    assert "nbgrader/nbgrader_config.py" in found[0]


def test_a_course_with_a_grade_book_stays_as_it_is(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    monkeypatch.setattr(release, "RELEASE", tmp_path / "release")
    monkeypatch.setattr(release, "lessons", lambda: LESSONS[:1])
    monkeypatch.setattr(release, "notes_for", lambda stem: "")
    release.main()
    assert "grade book" not in capsys.readouterr().out
    course = tmp_path / "release" / "nbgrader"
    (course / "gradebook.db").write_bytes(b"points")
    changed = course / "source" / LESSONS[0].stem / LESSONS[0].name
    new = changed.read_bytes()
    changed.write_text("mine")
    release.main()
    assert "nbgrader/ has a grade book and stays as it is" in capsys.readouterr().out
    assert (course / "gradebook.db").read_bytes() == b"points"
    assert changed.read_text() == "mine"
    beside = tmp_path / "release" / "nbgrader.new" / changed.relative_to(course)
    assert beside.read_bytes() == new


def run(notebook: Any) -> Any:
    client = NotebookClient(
        notebook,
        timeout=120,
        allow_errors=True,
        resources={"metadata": {"path": str(ROOT / "notebooks")}},
    )
    client.execute()
    return notebook


def errors(notebook: Any) -> list[str]:
    return [
        output.evalue
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    ]


@pytest.mark.slow
def test_a_student_who_solves_everything_meets_no_error_and_one_who_does_not_is_told() -> None:
    path = next(path for path in LESSONS if path.stem.startswith("03"))
    lesson = read(path)
    open_, solved = release.student(lesson), release.student(lesson)
    for cells in exercises(lesson).values():
        solved.cells[cells["stub"]].source = as_attempt(lesson.cells[cells["solution"]].source)
    assert errors(run(solved)) == []
    for cells in exercises(lesson).values():
        assert printed(solved.cells[cells["check"]]).startswith("[PASS]")
    told = errors(run(open_))
    assert told
    assert all(
        re.match(r"this cell needs exercise 3\.\d, which has no right", text) for text in told
    )
