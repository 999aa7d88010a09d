"""Documents of the repository as pages: a link to a file without a page goes to the published file."""

import re
from pathlib import Path

from nbtools import ROOT
from stamp import stored_repository

from website.mentions import linked, way_to_lessons

DOCS = ROOT / "docs"
DOCUMENTS = sorted([*DOCS.glob("*.md"), *DOCS.glob("*/README.md")])
LINK = re.compile(r"(?<!!)(\[[^\]]*\])\(([^)\s]+)\)")


def document(text: str, folder: Path) -> str:
    """The Markdown of a file in `folder`, its links to code and the like as addresses on GitHub."""
    text = LINK.sub(lambda link: f"{link[1]}({address(link[2], folder)})", text)
    return linked(text, way_to_lessons(folder))


def address(link: str, folder: Path) -> str:
    """`link` itself, unless it means a file of the repository that the site has no page for."""
    path, _, anchor = link.partition("#")
    file = (folder / path).resolve()
    here = not path or ":" in path or not file.exists() or not file.is_relative_to(ROOT)
    if here or has_page(file):
        return link
    kind = "tree" if file.is_dir() else "blob"
    place = file.relative_to(ROOT).as_posix()
    return f"https://github.com/{stored_repository()}/{kind}/main/{place}{'#' if anchor else ''}{anchor}"


def has_page(file: Path) -> bool:
    lesson = file.parent == ROOT / "notebooks" and file.suffix == ".ipynb"
    return lesson or file in DOCUMENTS
