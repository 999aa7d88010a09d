"""A Sphinx extension: what Sphinx and the theme leave undone for keyboards and screen readers.

Each repair must find its place in some page: when a new version needs it no longer, the build says so.
"""

import re
from html import escape, unescape
from pathlib import Path

from sphinx.application import Sphinx
from stamp import stored_repository


def about() -> str:
    """The way back to the course, and what one may do with it."""
    course = f"https://github.com/{stored_repository()}"
    return (
        f'<a href="{course}">The course on GitHub</a> · <a href="{course}/issues">Report an error</a> · '
        f'code: <a href="{course}/blob/main/LICENSE">MIT</a>, text and figures: '
        f'<a href="{course}/blob/main/notebooks/LICENSE.md">CC BY 4.0</a>'
    )


# The page that one is on.
CURRENT = 'current-page"><a ', 'current-page"><a aria-current="page" '
NEIGHBORS = (
    '<div class="related-pages">',
    '<div class="related-pages" role="navigation" aria-label="Before and after">',
)
VIEWPORT = '<meta name="viewport" content="width=device-width, initial-scale=1" />', ""  # twice
# A heading has a level.
CAPTION = '<p class="caption" role="heading">', '<p class="caption" role="heading" aria-level="2">'
# The summary's own words name it; a label that says something else hides them.
SUMMARY = ' aria-label="Toggle hidden content"', ""
# The upper left corner of a table heads nothing.
CORNER = '<th class="head"><p></p></th>', "<td></td>"
FOOTER = '<div class="left-details">', f'<div class="left-details">\n<p>{about()}</p>'
REPAIRS = [CURRENT, NEIGHBORS, VIEWPORT, CAPTION, SUMMARY, CORNER, FOOTER]

# Class of a drawer -> what it holds: two ways to go elsewhere.
DRAWERS = {"sidebar-drawer": "Course", "toc-drawer": "On this page"}
FIRST_WORDS = re.compile(r"<p>(?!<)(.*?)</p>", re.DOTALL)
DESCRIPTION = 160  # characters, of which search engines show about as many

SIGNATURE = re.compile(r'<dt class="sig .*?</dt>', re.DOTALL)
SEARCH = (
    '<div id="search-results">',
    """<h1>Search</h1>
<form role="search" action="search.html"><label for="words">Words</label>
<input type="search" id="words" name="q"> <button>Search</button></form>
<div id="search-results">""",
)


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
        page = described(with_landmarks(page))
        if path.name == "search.html":
            page = page.replace(*SEARCH)
        path.write_text(page, encoding="utf-8")


def with_landmarks(page: str) -> str:
    """The drawers are for going elsewhere: landmarks of navigation, with names."""
    for kind, name in DRAWERS.items():
        drawer = re.compile(rf'<aside class="({kind}[^"]*)">(.*?)</aside>', re.DOTALL)
        page = drawer.sub(rf'<nav class="\1" aria-label="{name}">\2</nav>', page)
    return page


def described(page: str) -> str:
    """With the first words of its text as the description that search engines show."""
    _, _, article = page.partition('<article role="main"')
    found = next((text for text in map(plain, FIRST_WORDS.findall(article)) if len(text) > 40), "")
    words = found if len(found) <= DESCRIPTION else found[:DESCRIPTION].rpartition(" ")[0] + " ..."
    meta = f'<meta name="description" content="{escape(words)}">' if words else ""
    return page.replace("</head>", f"{meta}\n</head>", 1)


def plain(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", "", html).split()))


def without_list(signature: str) -> str:
    """Sphinx sets parameters as definitions of no term, which is no list: lines are enough."""
    opened = re.sub(r"<d[ld]>", '<span class="line">', signature)
    return re.sub(r"</d[ld]>", "</span>", opened)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", repair)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
