"""Small pieces for the browser, put into the lessons that they belong to.

A piece is `docs/interactive/NAME.html`, a fragment that shows a still picture with words where no
script runs, and `docs/interactive/NAME.js`, which makes it live. The fragment's first line says where:

    <!-- lesson 03, under "How sharp?" -->

It is put at the end of the section with that heading. Data come from the package: a file `NAME.py`
beside it with a function `data()` gives what the page holds as JSON in `<script id="NAME-data">`,
because a page that was opened from a disk may not fetch anything.
"""

import json
import re
import runpy
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

PLACE = re.compile(r'<!-- lesson (\d\d), under "(.+)" -->\n')


def pieces(folder: Path) -> list[tuple[str, str, Path]]:
    """(lesson number, heading, file) of every piece. Raises `ValueError` for one without a place."""
    found = []
    for path in sorted(folder.glob("*.html")):
        place = PLACE.match(path.read_text(encoding="utf-8"))
        if not place:
            raise ValueError(
                f"{path.name} must begin with its place in the lessons, as in "
                '<!-- lesson 03, under "How sharp?" -->'
            )
        found.append((place[1], place[2], path))
    return found


def insert(notebook: NotebookNode, heading: str, path: Path) -> None:
    """Put the piece at the end of the section with the heading. Raises `ValueError` if none has it."""
    line = re.compile(rf"^#+ {re.escape(heading)}$", re.MULTILINE)
    at = [
        k
        for k, c in enumerate(notebook.cells)
        if c.cell_type == "markdown" and line.search(c.source)
    ]
    if len(at) != 1:
        raise ValueError(
            f'{path.name} goes under the heading "{heading}", which its lesson must have once; '
            f"it has it {len(at)} times: correct the file's first line"
        )
    notebook.cells.insert(
        end_of_section(notebook, at[0]), new_markdown_cell(raw_html(fragment(path)))
    )


def end_of_section(notebook: NotebookNode, start: int) -> int:
    """The first cell after `start` that begins another section, or the number of cells."""
    for place, cell in enumerate(notebook.cells[start + 1 :], start + 1):
        if cell.cell_type == "markdown" and re.match(r"#{1,2} |---$", cell.source, re.MULTILINE):
            return place
    return len(notebook.cells)


def fragment(path: Path) -> str:
    """The piece with its data and its script, which runs when the page is there."""
    html = PLACE.sub("", path.read_text(encoding="utf-8"), count=1)
    source = path.with_suffix(".py")
    if source.exists():
        data = json.dumps(runpy.run_path(str(source))["data"](), ensure_ascii=False)
        data = data.replace("</", "<\\/")  # else a "</script>" in the data would end it
        html += f'<script type="application/json" id="{path.stem}-data">{data}</script>\n'
    return html + f'<script defer src="../_static/interactive/{path.stem}.js"></script>\n'


def raw_html(html: str) -> str:
    return f"``````{{raw}} html\n{html}``````"
