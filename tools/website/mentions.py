"""A lesson that a text mentions becomes a link to it: "lesson 3", "lessons 3 and 4"."""

import re
from pathlib import Path

from nbtools import NOTEBOOKS, ROOT

# Code, formulas, links, tags, comments, directives and headings stay as they are.
FIXED = re.compile(
    r"(^(`{3,}).*?^\2`*$|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$"
    r"|!?\[[^\]]*\]\([^)]*\)|<!--.*?-->|<[^>]*>|^#+ .*?$)",
    re.DOTALL | re.MULTILINE,
)
MENTION = re.compile(
    r"\b([Ll]esson\s+)(\d{1,2})\b|\b([Ll]essons)((?:(?:,|\s+and|\s+to|\s+or)?\s+\d{1,2}\b)+)"
)
FILES = {int(path.name[:2]): path.name for path in NOTEBOOKS}


def linked(text: str, folder: str, here: str = "") -> str:
    """`text` with links to the lessons in `folder`; `here` is the lesson that the text is of."""

    def link(words: str, number: str) -> str:
        file = FILES.get(int(number), here)
        return words + number if file == here else f"[{words}{number}]({folder}{file})"

    def links(found: re.Match[str]) -> str:
        if found[1]:
            return link(found[1], found[2])
        return found[3] + re.sub(r"\d+", lambda number: link("", number[0]), found[4])

    parts = FIXED.split(text)
    # Two groups: what is fixed stands at 1, 4, 7 ..., its fence (or None) at 2, 5, 8 ...
    parts[::3] = [MENTION.sub(links, part) for part in parts[::3]]
    return "".join(part for place, part in enumerate(parts) if place % 3 < 2)


def way_to_lessons(folder: Path) -> str:
    """The folder of the lessons as seen from a folder of the course."""
    return "../" * len(folder.relative_to(ROOT).parts) + "notebooks/"
