"""Builds the course site into `build/site`: `make site`, or `python tools/build_site.py FOLDER`.

Lays out a folder of sources that mirrors the course (notebooks/, docs/, reference/), so that links
between its files hold, and has Sphinx make pages of them. From the stored outputs; nothing is run.
"""

import shutil
import sys
from pathlib import Path

from nbtools import NOTEBOOKS, ROOT, read, write
from sphinx.cmd.build import build_main
from stamp import stored_repository
from website import interactive, lessons, reference, start
from website.documents import DOCUMENTS, document

NO_ADDRESS = "OWNER/REPO"  # before the course is published

DOCS = ROOT / "docs"


def build(site: Path, work: Path) -> int:
    """Build into `site`, with `work` for what lies between; both are made anew. 0 if all is well."""
    for folder in (site, work):
        shutil.rmtree(folder, ignore_errors=True)
    sources, extra = work / "sources", work / "extra"
    lay_out(sources, extra)
    options = ["-q", "-W", "--keep-going", "-d", str(work / "doctrees")]
    status = build_main([*options, "-c", str(DOCS), "-b", "html", str(sources), str(site)])
    shutil.copytree(extra, site, dirs_exist_ok=True)
    shutil.rmtree(site / "_sources", ignore_errors=True)  # empty: each lesson lies there as a whole
    (site / ".buildinfo").unlink(missing_ok=True)
    return status


def lay_out(sources: Path, extra: Path) -> None:
    """What Sphinx reads into `sources`, what is copied beside the pages into `extra`."""
    for path in DOCUMENTS:
        page = sources / path.relative_to(ROOT)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(document(path.read_text(encoding="utf-8"), path.parent), encoding="utf-8")
    lay_out_lessons(sources / "notebooks", extra)
    reference.write_pages(sources / "reference", lessons.built_names(NOTEBOOKS))
    readme = document((ROOT / "README.md").read_text(encoding="utf-8"), ROOT)
    (sources / "index.md").write_text(start.start_page(readme, DOCUMENTS), encoding="utf-8")


def lay_out_lessons(folder: Path, extra: Path) -> None:
    """Every lesson as a page, its pictures and the notebook itself, for downloading."""
    folder.mkdir(parents=True)
    places = interactive.pieces(DOCS / "interactive")
    for path in NOTEBOOKS:
        page = lessons.page(read(path), path.name, extra / "notebooks" / "figures")
        for number, heading, piece in places:
            if path.name.startswith(number):
                interactive.insert(page, heading, piece)
        write(page, folder / path.name)
        shutil.copy(path, extra / "notebooks" / path.name)
    scripts = extra / "_static" / "interactive"
    scripts.mkdir(parents=True)
    for script in sorted((DOCS / "interactive").glob("*.js")):
        shutil.copy(script, scripts)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    code = build(target, target.parent / f"{target.name}-work")
    if code == 0:
        print(f"the site is there: open {target / 'index.html'}")
        if stored_repository() == NO_ADDRESS:
            print(f"its links to Colab and GitHub say {NO_ADDRESS}: make badges REPO=owner/name")
    sys.exit(code)
