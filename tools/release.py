"""`make release`: the lessons for a class, in build/release/.

    student/     no solutions and no outputs; what needs an open answer says so
    instructor/  solutions open, and before each lesson what a teacher needs
    nbgrader/    a course for nbgrader: sources, from which it makes the assignments

One source: the lessons in notebooks/. The same lessons give the same files. A course in which nbgrader
has worked stays as it is; then the new sources come beside it, into nbgrader.new/.
"""

import ast
import copy
import re
import shutil
import textwrap
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbtools import ROOT, code_cells, exercises, lessons, read, stable_id, write

RELEASE = ROOT / "build" / "release"
ASSETS = ROOT / "notebooks" / "assets"
CONFIG = ROOT / "docs" / "classroom" / "nbgrader_config.py"

# What a lesson says about its solutions, and what it says where there are none.
IN_A_CLASS = {
    "| right; remembered in `work/.course/progress.json`, and nowhere else (on Colab, until the session "
    "ends) |": "| right |",
    "answer an exercise, read what its check says, and open its solution": (
        "answer an exercise, and read what its check says"
    ),
    "An exercise is three cells: one to write in, one that checks, and a solution that is folded "
    "away.": "An exercise is three cells: one to write in, one that checks, and one that hands your "
    "answer on.",
    "As published, all squares are empty: there is no learner yet.": "",
    "If you leave an exercise open, the lesson goes on with the solution: the last line of the folded "
    "cell, `pick(...)`, keeps your function if it passes and takes the solution if not. Now mend your "
    "function, and run the check again. Click on the folded cell to see one way; yours may be as "
    "good.": "`pick(...)` keeps your function if it passes. If it does not, a later cell that needs it "
    "stops, *Run All* with it, and says so: click on the next cell and choose *Run \u2192 Run "
    "Selected Cell and All Below*. Now mend your function, and run the check again.",
}


def main() -> None:
    course = write_all()
    print(f"student, instructor and nbgrader versions are in {RELEASE.relative_to(ROOT)}/")
    if course.name != "nbgrader":
        print(IN_USE.format(course=course.relative_to(ROOT)))


IN_USE = """\
nbgrader/ has a grade book and stays as it is. The new sources are in {course}/: to bring
a lesson up to date, copy its folder from there into source/ of your course and run
nbgrader generate_assignment LESSON --force"""


def write_all() -> Path:
    """All versions of all lessons into RELEASE; the folder of the course for nbgrader."""
    in_use = (RELEASE / "nbgrader" / "gradebook.db").exists()
    course = RELEASE / ("nbgrader.new" if in_use else "nbgrader")
    for made in (RELEASE / "student", RELEASE / "instructor", course):
        shutil.rmtree(made, ignore_errors=True)
    for lesson in lessons():
        notebook = read(lesson)
        save(student(notebook), RELEASE / "student" / lesson.name)
        save(instructor(notebook, lesson.stem), RELEASE / "instructor" / lesson.name)
        if exercises(notebook):
            source = course / "source" / lesson.stem
            save(nbgrader_source(notebook), source / lesson.name)
            shutil.copytree(ASSETS, source / "assets")
    for version in ("student", "instructor"):
        shutil.copytree(ASSETS, RELEASE / version / "assets")
    shutil.copy(CONFIG, course)
    return course


def save(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(notebook, path)


def student(lesson: NotebookNode) -> NotebookNode:
    """Stubs as they are, no text of a solution, and no outputs: they answer what is to be predicted."""
    notebook = copy.deepcopy(lesson)
    for number, cells in exercises(notebook).items():
        hand_on(notebook.cells[cells["solution"]], number)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = without_badge(in_a_class(cell.source))
    return with_ids(notebook)


def hand_on(cell: NotebookNode, number: str) -> None:
    """In place of a solution: the answer goes on if it passes."""
    name = answer_name(cell)
    cell.source = f'{name} = pick("{number}", {name})  # hands your function on, if it passes'
    cell.metadata = nbformat.from_dict({"course": {"exercise": number, "role": "hand-on"}})


def instructor(lesson: NotebookNode, stem: str) -> NotebookNode:
    """Solutions open, and a cell for the teacher before everything else."""
    notebook = copy.deepcopy(lesson)
    for cells in exercises(notebook).values():
        cell = notebook.cells[cells["solution"]]
        cell.source = re.sub(r"\A# @title (Solution \S+).*", r"# \1", cell.source)
        cell.metadata = nbformat.from_dict({"course": cell.metadata.course, "tags": ["solution"]})
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(notes_for(stem)))
    return with_ids(notebook)


def notes_for(stem: str) -> str:
    """What the instructor guide says about a lesson."""
    guide = (ROOT / "docs" / "instructor_guide.md").read_text(encoding="utf-8")
    number = stem.partition("_")[0]
    found = re.search(rf"^## {number} .*?(?=^## |\Z)", guide, re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"docs/instructor_guide.md has no section '## {number} ...': write one")
    folded = "<details>\n<summary>For the teacher (click to open)</summary>"
    return f"{folded}\n\n{found[0].strip()}\n\n</details>"


def nbgrader_source(lesson: NotebookNode) -> NotebookNode:
    """The student version with what nbgrader needs: solutions between its markers, points."""
    notebook = student(lesson)
    for number, cells in exercises(lesson).items():
        solution = lesson.cells[cells["solution"]]
        stub, check = (notebook.cells[cells[role]] for role in ("stub", "check"))
        key = number.replace(".", "-")
        stub.source = with_solution(stub.source, solution.source)
        stub.metadata["nbgrader"] = graded(f"exercise-{key}", solution=True)
        check.source = POINTS.format(number=number, name=answer_name(solution))
        check.metadata["nbgrader"] = graded(f"points-{key}", grade=True, locked=True, points=1)
    return with_ids(notebook)


# The modules are loaded anew: whatever a notebook did to them is gone.
POINTS = """\
# Points, if the answer passes. When this notebook is graded, this cell is replaced by its original.
import sys

for loaded in [name for name in sys.modules if name.startswith("course_utils.checks")]:
    del sys.modules[loaded]
from course_utils.checks import pick
from course_utils.checks.classroom import points

points("{number}", {name})"""


def with_solution(stub: str, solution: str) -> str:
    """The stub, with the body of the solution between nbgrader's markers where it raises."""
    head, _, rest = stub.rpartition("    raise NotImplementedError")
    body = textwrap.indent(solution_body(solution), "    ")
    return f"{head}    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION{rest}"


def solution_body(solution: str) -> str:
    """What stands in the solution's function, without its indentation."""
    function = ast.parse(solution).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = solution.splitlines()[function.lineno : function.end_lineno]
    text = textwrap.dedent("\n".join(lines))
    return text.replace(function.name, function.name.removesuffix("_solution"))


def answer_name(solution: NotebookNode) -> str:
    """The name that a learner's function has."""
    function = ast.parse(solution.source).body[0]
    assert isinstance(function, ast.FunctionDef)
    return function.name.removesuffix("_solution")


def graded(grade_id: str, **changes: object) -> dict[str, object]:
    """nbgrader's metadata of one cell."""
    kinds = {"grade": False, "solution": False, "locked": False, "task": False}
    return {"schema_version": 3, "grade_id": grade_id, **kinds, **changes}


def in_a_class(text: str) -> str:
    for published, here in IN_A_CLASS.items():
        text = text.replace(published, here)
    return text


def without_badge(text: str) -> str:
    """The badge opens the published lesson, with its solutions."""
    return re.sub(r"^\[!\[Open in Colab\].*\n\n?", "", text, flags=re.MULTILINE)


def with_ids(notebook: NotebookNode) -> NotebookNode:
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.id = stable_id(cell, seen)
    return notebook


if __name__ == "__main__":
    main()
