"""A Sphinx extension: what Sphinx and the theme leave undone for keyboards and screen readers.

Each repair must find its place in some page: when a new version needs it no longer, the build says so.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

NAVIGATION = '<aside class="sidebar-drawer"', '<aside class="sidebar-drawer" aria-label="Course"'
CONTENTS = '<aside class="toc-drawer', '<aside aria-label="On this page" class="toc-drawer'
# A heading has a level.
CAPTION = '<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'
# The summary's own words name it; a label that says something else hides them.
SUMMARY = ' aria-label="Toggle hidden content"', ""
# The upper left corner of a table heads nothing.
CORNER = '<th class="head"><p></p></th>', "<td></td>"
REPAIRS = [NAVIGATION, CONTENTS, CAPTION, SUMMARY, CORNER]

SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
SEARCH = '<div id="search-results">', '<h1>Search</h1>\n<div id="search-results">'


def repair(app: Sphinx, error: Exception | None) -> None:
    """Correct every page that was written."""
    if error or app.builder.name != "html":
        return
    pages = {path: path.read_text(encoding="utf-8") for path in Path(app.outdir).rglob("*.html")}
    for old, new in REPAIRS:
        assert any(old in page for page in pages.values()), f"{old} is nowhere: drop its repair"
        pages = {path: page.replace(old, new) for path, page in pages.items()}
    for path, page in pages.items():
        page = SIGNATURE.sub(lambda found: without_list(found[0]), page)
        if path.name == "search.html":
            page = page.replace(*SEARCH)
        path.write_text(page, encoding="utf-8")


def without_list(signature: str) -> str:
    """Sphinx sets parameters as definitions of no term, which is no list: lines are enough."""
    opened = re.sub(r"<d[ld]>", '<span class="line">', signature)
    return re.sub(r"</d[ld]>", "</span>", opened)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", repair)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
