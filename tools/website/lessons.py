"""A notebook as a page: figures with their words, folded solutions, links to the reference."""

import base64
import copy
import re
import struct
from html import escape
from pathlib import Path

import nbtools
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from website.mentions import linked

BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")


def page(notebook: NotebookNode, file: str, figures: Path) -> NotebookNode:
    """The lesson as the site shows it; its pictures are written into the folder `figures`."""
    shown = copy.deepcopy(notebook)
    pictures = Pictures(figures, file.partition("_")[0])
    cells: list[NotebookNode] = []
    for cell in shown.cells:
        if cell.cell_type == "code":
            cells += code_cells(cell, pictures)
        elif not cell.source.startswith("---\n"):  # the theme has its own links to the neighbors
            cell.source = BADGE.sub(lambda badge: actions(badge[1], file), cell.source)
            cell.source = linked(cell.source, "", here=file)
            cells.append(cell)
    shown.cells = cells
    return shown


def actions(colab: str, file: str) -> str:
    """What one can do with the lesson, instead of the badge."""
    return (
        f'<p class="actions"><a href="{escape(colab)}">Open in Colab</a> '
        f'<a href="{file}" download>Download notebook</a></p>\n'
        '<p class="still">This page shows the lesson as it ran. To change cells, run them and have your '
        "answers checked, open it in Colab or in your own JupyterLab.</p>"
    )


def code_cells(cell: NotebookNode, pictures: "Pictures") -> list[NotebookNode]:
    """A code cell ready for the page; before it, if it builds a name, the link to the reference."""
    cell.outputs = [for_the_web(output, pictures) for output in cell.outputs]
    if nbtools.role(cell) == "check":
        cell.outputs = []  # "not attempted yet": true of every reader of a page
    if nbtools.role(cell) == "solution":
        number = cell.metadata.course.exercise
        cell.metadata["mystnb"] = {
            "code_prompt_show": f"Show solution {number}",
            "code_prompt_hide": f"Hide solution {number}",
        }
    labels = [new_markdown_cell(built_here(name)) for name in builds(cell)]
    return [*labels, cell]


def builds(cell: NotebookNode) -> list[str]:
    """The names of the package that a cell builds, as in "attention.causal_mask"."""
    tags = (tag.partition("builds:") for tag in nbtools.tags(cell))
    return [name for _, found, name in tags if found]


def built_names(notebooks: list[Path]) -> dict[str, str]:
    """Name of the package -> the number of the lesson that builds it."""
    return {
        name: path.name[:2]
        for path in notebooks
        for cell in nbtools.code_cells(nbtools.read(path))
        for name in builds(cell)
    }


def label(name: str) -> str:
    """Where a lesson builds `name`, as the reference links to it."""
    return f"builds-{name.lower().replace('.', '-').replace('_', '-')}"


def built_here(name: str) -> str:
    return (
        f"({label(name)})=\n{{.builds}}\n"
        f"This cell builds {{py:obj}}`{name} <course_utils.{name}>` of the package."
    )


def for_the_web(output: NotebookNode, pictures: "Pictures") -> NotebookNode:
    """An output in the form that a page without a running notebook shows best."""
    if "data" not in output:
        return output
    data = output.data
    if "image/png" in data:
        alt = output.metadata["image/png"]["alt"]
        return html_output(pictures.add(data["image/png"], alt), output)
    if "text/latex" in data and "text/html" in data:  # show_source: colored by the site instead
        output.data = NotebookNode({"text/markdown": f"```python\n{data['text/plain']}\n```"})
    data.pop("application/vnd.jupyter.widget-view+json", None)  # leaves what it says in words
    return output


def html_output(html: str, output: NotebookNode) -> NotebookNode:
    output.data, output.metadata = NotebookNode({"text/html": html}), NotebookNode()
    return output


class Pictures:
    """Writes the pictures of one lesson, numbered in their order."""

    def __init__(self, folder: Path, lesson: str) -> None:
        self.folder, self.lesson, self.count = folder, lesson, 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, encoded: str, alt: str) -> str:
        """The picture as HTML, with its size, so that the page does not jump while it loads."""
        png = base64.b64decode(encoded)
        self.count += 1
        name = f"{self.lesson}-{self.count:02}.png"
        (self.folder / name).write_bytes(png)
        width, height = struct.unpack(">II", png[16:24])  # where every PNG file has its size
        return (
            f'<img class="figure" src="{self.folder.name}/{name}" alt="{escape(alt)}" '
            f'width="{width}" height="{height}" loading="lazy">'
        )
