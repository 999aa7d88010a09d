"""A lesson as a script one can edit, and back: `draft.py out 03`, then `draft.py in 03`.

The script is in jupytext's percent format, cell metadata included. Outputs and whatever else the
script cannot hold stay in the notebook; a notebook that does not exist yet is made.
"""

import sys

import jupytext
from nbformat import NotebookNode
from nbtools import ROOT, normalize, read, write

from course_utils.lesson import LESSONS

FORMAT = {"extension": ".py", "format_name": "percent"}


def main(direction: str, number: str) -> None:
    by_number = {lesson.number: lesson for lesson in LESSONS}
    if direction not in ("out", "in") or number not in by_number:
        raise SystemExit(
            f"usage: draft.py out|in LESSON, with LESSON one of {', '.join(by_number)}"
        )
    notebook_path = ROOT / "notebooks" / by_number[number].file
    draft_path = ROOT / "drafts" / notebook_path.with_suffix(".py").name
    if direction == "out":
        draft_path.parent.mkdir(exist_ok=True)
        text = jupytext.writes(read(notebook_path), fmt=FORMAT)
        draft_path.write_text(text, encoding="utf-8")
        print(f"edit {draft_path.relative_to(ROOT)}, then: make undraft LESSON={number}")
        return
    notebook = normalize(jupytext.reads(draft_path.read_text(encoding="utf-8"), fmt=FORMAT))
    if notebook_path.exists():
        keep_outputs(notebook, read(notebook_path))
    write(notebook, notebook_path)
    print(f"wrote {notebook_path.relative_to(ROOT)}; now: make notebooks LESSON={number}")


def keep_outputs(new: NotebookNode, old: NotebookNode) -> None:
    """Give each cell whose text is unchanged the outputs that it had."""
    before = {cell.id: cell for cell in normalize(old).cells if cell.cell_type == "code"}
    for cell in new.cells:
        if cell.cell_type == "code" and cell.id in before:
            cell.outputs = before[cell.id].outputs
            cell.execution_count = before[cell.id].execution_count


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: draft.py out|in LESSON")
    main(*sys.argv[1:])
