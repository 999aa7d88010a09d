"""Reading and writing lessons: one layout, stable cell ids, and what the metadata says."""

import copy
import hashlib
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CELL_METADATA = ("tags", "jupyter", "cellView", "course")


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def dumps(notebook: NotebookNode) -> str:
    """The text of a notebook as JupyterLab lays it out."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    path.write_text(dumps(notebook), encoding="utf-8")


def lessons(number: str = "") -> list[Path]:
    """The notebooks whose file name starts with `number`; all of them for an empty one."""
    found = [path for path in NOTEBOOKS if path.name.startswith(number)]
    if not found:
        known = ", ".join(path.name[:2] for path in NOTEBOOKS)
        raise SystemExit(f"There is no lesson {number!r}; there are: {known}")
    return found


def normalize(notebook: NotebookNode) -> NotebookNode:
    """Only the metadata that means something, folded solutions, ids that follow from the text."""
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        cell.source = cell.source.strip("\n")
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in CELL_METADATA if key in cell.metadata}
        )
        if role(cell) == "solution":
            cell.metadata.update(jupyter={"source_hidden": True}, cellView="form")
            cell.metadata.tags = sorted({*cell.metadata.get("tags", []), "solution", "hide-input"})
        cell.id = stable_id(cell, seen)
    return notebook


def stable_id(cell: NotebookNode, seen: dict[str, int]) -> str:
    """A short digest of type and text, with a counter for repeats: the same on every machine."""
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
    seen[digest] = seen.get(digest, 0) + 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def role(cell: NotebookNode) -> str:
    """ "stub", "check" or "solution" for the cells of an exercise, else an empty string."""
    return cell.metadata.get("course", {}).get("role", "")


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def exercises(notebook: NotebookNode) -> dict[str, dict[str, int]]:
    """Exercise number -> role -> index of its cell."""
    found: dict[str, dict[str, int]] = {}
    for index, cell in enumerate(notebook.cells):
        if role(cell):
            found.setdefault(cell.metadata.course.exercise, {})[role(cell)] = index
    return found


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def as_attempt(solution: str) -> str:
    """The solution cell as a learner would type it into the stub: its own name, no `pick`."""
    import re

    lines = [
        line
        for line in solution.splitlines()
        if not line.startswith("# @title") and " = pick(" not in line
    ]
    return re.sub(r"\b(\w+)_solution\b", r"\1", "\n".join(lines)).strip()


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy in which every stub holds its solution, as if the learner had got all of them right."""
    solved = copy.deepcopy(notebook)
    for cells in exercises(solved).values():
        solved.cells[cells["stub"]].source = as_attempt(solved.cells[cells["solution"]].source)
    return solved


def printed(cell: NotebookNode) -> str:
    """What a code cell wrote to standard output."""
    outputs: list[Any] = [out for out in cell.outputs if out.output_type == "stream"]
    return "".join(out.text for out in outputs if out.name == "stdout")
