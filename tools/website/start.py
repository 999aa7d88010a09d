"""The start page: what the course is, its lessons by part with measured time and memory."""

import re
from itertools import groupby
from pathlib import Path

from nbtools import ROOT
from stamp import measured

from course_utils.lesson import LESSONS, Lesson

INTRODUCTION = re.compile(r"\A(# .*?)^## Start$(.*?)^## The lessons$", re.DOTALL | re.MULTILINE)

BEGIN = """\
{.actions}
[Begin with lesson 0](notebooks/00_start_here.ipynb)
[Glossary](docs/glossary.md)
[Reference](reference/index.md)
[For teachers](docs/instructor_guide.md)"""


def start_page(readme: str, documents: list[Path]) -> str:
    """Markdown: the README's own words, a table for each part, and the tree of all pages."""
    found = INTRODUCTION.match(readme)
    assert found, "the README begins with the title, then has ## Start and ## The lessons"
    what, how = found[1].strip(), found[2].strip()
    ready = [lesson for lesson in LESSONS if lesson.ready]
    parts = {part: list(group) for part, group in groupby(ready, lambda lesson: lesson.part)}
    tables = [f"### {part}\n\n{table(lessons)}" for part, lessons in parts.items()]
    trees = [tree(part, [f"notebooks/{page_of(x)}" for x in parts[part]]) for part in parts]
    more = [path.relative_to(ROOT).with_suffix("").as_posix() for path in documents]
    trees.append(tree("More", [*more, "reference/index"]))
    measured_on = (
        "Measured on two cores, without a graphics card and without network. Each page shows the "
        "lesson as it ran; to work through it, download the notebook or open it in Colab."
    )
    lessons_section = "\n\n".join(["## The lessons", measured_on, *tables])
    return "\n\n".join([what, BEGIN, lessons_section, f"## Start\n\n{how}", *trees]) + "\n"


def page_of(lesson: Lesson) -> str:
    return lesson.file.removesuffix(".ipynb")


def table(lessons: list[Lesson]) -> str:
    costs = measured()
    rows = ["| lesson | run time | memory | to work through |", "|---|---|---|---|"]
    for lesson in lessons:
        cost = costs[lesson.file]
        rows.append(
            f"| [{lesson.number} {lesson.title}](notebooks/{lesson.file}) | {cost['seconds']:.0f} s "
            f"| {cost['gigabytes']:.1f} GB | {lesson.minutes} min |"
        )
    return "\n".join(rows)


def tree(caption: str, pages: list[str]) -> str:
    """The part of the navigation under one heading; links in the text show it on the page itself."""
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"])
