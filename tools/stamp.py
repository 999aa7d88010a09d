"""Stamp into every lesson what is generated: badge, measured line, set-up cell, neighbor links.

The address comes from `--repository owner/name` (written to pyproject.toml), or from the git remote
where that is on GitHub, or from `[tool.course]` in pyproject.toml. Also fills the README's table.
"""

import argparse
import json
import re
import subprocess
import tomllib
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from nbtools import NOTEBOOKS, ROOT, normalize, read, tags, write

from course_utils.lesson import LESSONS, Lesson

PYPROJECT, README = ROOT / "pyproject.toml", ROOT / "README.md"
MEASURED = ROOT / "course_utils/results/lessons.json"
SETUP = """\
# Set-up, the same in every lesson. On Colab it installs the course; elsewhere it only gets it ready.
import sys

if "google.colab" in sys.modules:
    from importlib.metadata import version

    %pip install -q "torch=={version('torch')}" "course-utils @ git+https://github.com/REPOSITORY"

from course_utils.lesson import start

start()"""
BADGE = "[![Open in Colab](assets/open-in-colab.svg)]"
COLAB = "https://colab.research.google.com/github"
TABLE = re.compile(r"(<!-- lessons -->\n).*?(<!-- /lessons -->)", re.DOTALL)


def stored_repository() -> str:
    return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["course"]["repository"]


def choose_repository(given: str) -> str:
    """`given`, else the GitHub remote, else what is stored; `given` and the remote are stored."""
    repository = given or github_remote() or stored_repository()
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise SystemExit(f"REPO is owner/name, as in GitHub's addresses; got {repository!r}")
    text = PYPROJECT.read_text(encoding="utf-8")
    new = re.sub(r'^repository = ".*"$', f'repository = "{repository}"', text, flags=re.M)
    PYPROJECT.write_text(new, encoding="utf-8")
    return repository


def github_remote() -> str:
    command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        address = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:  # no git on this machine
        return ""
    found = re.search(r"github\.com[:/]([\w.-]+/[\w.-]+?)(\.git)?$", address.strip())
    return found[1] if found else ""


def measured() -> dict[str, dict[str, float]]:
    """File name -> {"seconds", "gigabytes"} of the last measured run."""
    if not MEASURED.exists():
        return {}
    return json.loads(MEASURED.read_text(encoding="utf-8"))["lessons"]


def cost_line(lesson: Lesson, cost: dict[str, float] | None) -> str:
    work = f"about {lesson.minutes} minutes to work through"
    if cost is None:
        return f"*Not measured yet · {work}*"
    return (
        f"*Runs in {cost['seconds']:.0f} s with {cost['gigabytes']:.1f} GB of memory on 2 CPU cores, "
        f"no GPU, no network · {work}*"
    )


def heading(lesson: Lesson, repository: str) -> str:
    """The stamped lines below a lesson's title."""
    address = f"{COLAB}/{repository}/blob/main/notebooks/{lesson.file}"
    return f"{BADGE}({address})\n\n{cost_line(lesson, measured().get(lesson.file))}"


def neighbors(lesson: Lesson) -> str:
    """The last cell: the lessons before and after."""
    ready = [other for other in LESSONS if other.ready]
    at = ready.index(lesson)
    links = [
        f"{word}: [{other.number} {other.title}]({other.file})"
        for word, other in (
            ("Before", ready[at - 1] if at else None),
            ("Next", ready[at + 1] if at + 1 < len(ready) else None),
        )
        if other
    ]
    return "---\n" + " · ".join(links)


def stamp(notebook: NotebookNode, lesson: Lesson, repository: str) -> None:
    """Bring the generated parts of one notebook up to date, in place."""
    first = notebook.cells[0]
    title, _, rest = first.source.partition("\n")
    rest = re.sub(r"\[!\[Open in Colab\].*?\n\n\*[^\n]*\*\n?", "", rest, flags=re.DOTALL).strip(
        "\n"
    )
    first.source = f"{title}\n\n{heading(lesson, repository)}\n\n{rest}".rstrip("\n")
    setup = [cell for cell in notebook.cells if "setup" in tags(cell)]
    if not setup:
        setup = [new_code_cell(metadata={"tags": ["setup"]})]
        notebook.cells.insert(1, setup[0])
    setup[0].source = SETUP.replace("REPOSITORY", repository)
    if notebook.cells[-1].source.startswith("---\n"):
        notebook.cells.pop()
    notebook.cells.append(new_markdown_cell(neighbors(lesson)))


def readme_table(repository: str) -> str:
    """The README's table of lessons, measured."""
    costs = measured()
    rows = ["| lesson | run time | memory | to work through | |", "|---|---|---|---|---|"]
    for lesson in (lesson for lesson in LESSONS if lesson.ready):
        cost = costs.get(lesson.file)
        numbers = f"{cost['seconds']:.0f} s | {cost['gigabytes']:.1f} GB" if cost else " | "
        address = f"{COLAB}/{repository}/blob/main/notebooks/{lesson.file}"
        rows.append(
            f"| [{lesson.number} {lesson.title}](notebooks/{lesson.file}) | {numbers} | "
            f"{lesson.minutes} min | [Open in Colab]({address}) |"
        )
    return "\n".join(rows) + "\n"


def stamp_all(repository: str) -> None:
    """Every lesson and the README."""
    by_file = {lesson.file: lesson for lesson in LESSONS}
    for path in NOTEBOOKS:
        stamp_file(path, by_file[path.name], repository)
    text = README.read_text(encoding="utf-8")
    README.write_text(
        TABLE.sub(lambda found: found[1] + readme_table(repository) + found[2], text),
        encoding="utf-8",
    )


def stamp_file(path: Path, lesson: Lesson, repository: str) -> None:
    notebook = read(path)
    stamp(notebook, lesson, repository)
    write(normalize(notebook), path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", default="", help="owner/name on GitHub")
    stamp_all(choose_repository(parser.parse_args().repository))
