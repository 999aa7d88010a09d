"""The course site as a set of files: complete, true to the lessons, self-contained, within its budget.

What only a browser can tell is in tests/browser/test_site.py.
"""

import ast
import base64
import hashlib
import importlib
import inspect
import json
import pkgutil
import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_markdown_cell, new_notebook
from nbtools import NOTEBOOKS, ROOT, code_cells, exercises, read, role, tags
from PIL import Image

import course_utils
from course_utils.lesson import LESSONS

each_lesson = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
BUDGET = 1_500_000  # bytes of a page with all that it loads


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="session")
def pages(site):
    """Every page, by its address from the root of the site."""
    return {path.relative_to(site).as_posix(): path for path in sorted(site.rglob("*.html"))}


@pytest.fixture
def lesson_page(site):
    """lesson_page(notebook): its page, parsed."""
    return lambda path: parsed(site / "notebooks" / f"{path.stem}.html")


def local(address: str) -> bool:
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc


def target(page: Path, address: str) -> Path:
    """The file that a relative address means."""
    path = unquote(urlsplit(address).path)
    return (page.parent / path).resolve() if path else page


def loaded(page: Path) -> list[str]:
    """The addresses of all that a browser loads with a page, from its HTML."""
    soup = parsed(page)
    found = [tag["src"] for tag in soup.find_all(src=True)]
    found += [tag["data"] for tag in soup.find_all("object")]
    found += [
        part.split()[0] for tag in soup.find_all(srcset=True) for part in tag["srcset"].split(",")
    ]
    links = soup.find_all("link", href=True)
    return found + [
        tag["href"]
        for tag in links
        if {"stylesheet", "icon", "preload", "prefetch"} & {*tag["rel"]}
    ]


def loaded_by_css(sheet: Path) -> list[str]:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    imports = re.findall(r"@import\s+['\"]([^'\"]+)", text)
    return imports + [url.strip("'\" ") for url in re.findall(r"url\(([^)]*)\)", text)]


# --- what is there ----------------------------------------------------------------------------


def test_there_is_a_page_for_every_lesson_with_its_title(lesson_page):
    for path in NOTEBOOKS:
        title = read(path).cells[0].source.splitlines()[0].removeprefix("# ").replace("`", "")
        heading = lesson_page(path).find("h1")
        assert heading.get_text().removesuffix("¶") == title
    assert [lesson.file for lesson in LESSONS if lesson.ready] == [p.name for p in NOTEBOOKS]


def test_the_navigation_has_the_lessons_by_part_in_order(site):
    tree = parsed(site / "index.html").find(class_="sidebar-tree")
    captions = [caption.get_text() for caption in tree.find_all(class_="caption")]
    assert captions == [*dict.fromkeys(lesson.part for lesson in LESSONS), "More"]
    for caption in tree.find_all(class_="caption"):
        addresses = [link["href"] for link in caption.find_next("ul").find_all("a")]
        expected = [
            f"notebooks/{lesson.file.removesuffix('.ipynb')}.html"
            for lesson in LESSONS
            if lesson.part == caption.get_text()
        ]
        assert addresses == expected or caption.get_text() == "More"


def test_each_lesson_has_links_to_its_neighbors(lesson_page):
    names = [path.stem for path in NOTEBOOKS]
    for before, path, after in zip([None, *names], NOTEBOOKS, [*names[1:], None], strict=False):
        links = {
            word: link["href"]
            for word in ("prev", "next")
            for link in lesson_page(path).find_all("a", class_=f"{word}-page")
        }
        assert before is None or links["prev"] == f"{before}.html"
        assert after is None or links["next"] == f"{after}.html"


def test_every_document_has_a_page_and_is_in_the_navigation(site):
    listed = {
        a["href"] for a in parsed(site / "index.html").find(class_="sidebar-tree").find_all("a")
    }
    documents = sorted((ROOT / "docs").rglob("*.md"))
    assert documents
    for path in documents:
        page = path.relative_to(ROOT).with_suffix(".html")
        assert (site / page).is_file()
        assert page.as_posix() in listed


def test_the_start_page_has_what_was_measured(site):
    measured = json.loads((ROOT / "course_utils/results/lessons.json").read_text())["lessons"]
    rows = {
        row.find("a")["href"]: [cell.get_text() for cell in row.find_all("td")]
        for row in parsed(site / "index.html").select("article tbody tr")
    }
    assert len(rows) == len(LESSONS)
    for lesson in LESSONS:
        title, seconds, memory, minutes = rows[
            f"notebooks/{lesson.file.removesuffix('.ipynb')}.html"
        ]
        assert title == f"{lesson.number} {lesson.title}"
        assert abs(float(seconds.removesuffix(" s")) - measured[lesson.file]["seconds"]) <= 0.5
        assert abs(float(memory.removesuffix(" GB")) - measured[lesson.file]["gigabytes"]) <= 0.051
        assert minutes == f"{lesson.minutes} min"


@each_lesson
def test_colab_and_download(lesson_page, site, path):
    colab, download = lesson_page(path).select("article .actions a")
    assert colab.get_text() == "Open in Colab"
    assert colab["href"] == re.search(r"https://colab[^)]*", read(path).cells[0].source)[0]
    assert download.get_text() == "Download notebook"
    assert download.has_attr("download")
    assert (site / "notebooks" / download["href"]).read_bytes() == path.read_bytes()


# --- true to the lessons ----------------------------------------------------------------------


def formulas(source: str) -> int:
    """How many formulas a cell of Markdown has, counted without a parser of Markdown."""
    text = re.sub(r"```.*?```|`[^`]*`", "", source, flags=re.DOTALL)
    return len(re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, flags=re.DOTALL))


@each_lesson
def test_every_formula_is_mathml_and_none_is_tex(lesson_page, path):
    article = lesson_page(path).find("article")
    prose = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert len(article.find_all("math")) == sum(map(formulas, prose))
    for formula in article.find_all("math"):
        assert "\\" not in formula.get_text()
        assert formula.find(["mi", "mn", "mo", "mtext"])
        assert not formula.find("merror")
    plain = BeautifulSoup(str(article), "html.parser")
    for tag in plain.find_all(["pre", "code", "math"]):
        tag.decompose()
    assert not re.search(r"\$|\\[a-z]+", plain.get_text())


def test_formulas_that_cannot_be_converted_are_named():
    from website.mathml import to_mathml

    assert "<mfrac>" in to_mathml(r"\frac{1}{2}", block=True)
    with pytest.raises(ValueError, match=r"must convert to MathML; '\\\\nosuch\{x\}' does not"):
        to_mathml(r"\nosuch{x}", block=False)


@each_lesson
def test_figures_have_the_words_of_the_notebook(lesson_page, site, path):
    images = [
        (out.metadata["image/png"]["alt"], out.data["image/png"])
        for cell in code_cells(read(path))
        for out in cell.outputs
        if "image/png" in out.get("data", {})
    ]
    shown = lesson_page(path).select("article img")
    assert [image["alt"] for image in shown] == [alt for alt, _ in images]
    for image, (_, encoded) in zip(shown, images, strict=True):
        file = site / "notebooks" / image["src"]
        assert file.read_bytes() == base64.b64decode(encoded)
        with Image.open(file) as picture:
            assert (int(image["width"]), int(image["height"])) == picture.size


@each_lesson
def test_solutions_are_folded_and_the_rest_is_open(lesson_page, path):
    notebook = read(path)
    folded = lesson_page(path).select("article details.hide")
    assert not any(fold.has_attr("open") for fold in folded)
    shown = {}
    for fold in folded:
        summary = fold.find("summary")
        assert not summary.has_attr("aria-label")  # its words are its name
        shown[summary.find(class_="collapsed").get_text()] = fold.find("pre").get_text().strip()
    solutions = {
        f"Show solution {number}": notebook.cells[cells["solution"]].source
        for number, cells in exercises(notebook).items()
    }
    assert shown == solutions
    everything = [pre.get_text().strip() for pre in lesson_page(path).select("div.cell_input pre")]
    assert Counter(everything) == Counter(cell.source.strip() for cell in code_cells(notebook))


@each_lesson
def test_outputs_are_readable_without_a_running_notebook(lesson_page, path):
    article = lesson_page(path).find("article")
    text = article.get_text()
    for cell in code_cells(read(path)):
        for out in cell.outputs:
            data = out.get("data", {})
            words = out.text if "text" in out else data["text/plain"]
            if role(cell) in ("solution", "check") or "text/html" in data or "image/png" in data:
                continue
            assert words.strip() in text
    assert "model_id" not in str(article)
    assert not re.search(r"interactive\(children|Output\(\)|<Figure size", text)
    assert not article.find("style"), "a style in an output changes the whole page, in the dark too"


def test_widgets_leave_words():
    from website.lessons import for_the_web

    cells = [c for path in NOTEBOOKS for c in code_cells(read(path))]
    outputs = [
        out for c in cells for out in c.outputs if list(out.get("data", {})) == ["text/plain"]
    ]
    assert outputs, "the lessons have widgets"
    for out in outputs:
        out.data["application/vnd.jupyter.widget-view+json"] = {"model_id": "1"}
        assert list(for_the_web(out, None).data) == ["text/plain"]


# --- the reference ----------------------------------------------------------------------------


def modules():
    for info in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        if not info.name.endswith("__main__") and ".checks.lesson_" not in info.name:
            yield importlib.import_module(info.name)


def public_names(module) -> set[str]:
    """What Python says is defined in a module, and by an assignment at its top."""
    defined = {
        name
        for name, thing in vars(module).items()
        if (inspect.isroutine(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in defined if not name.startswith("_")}


def reference(site, module: str) -> BeautifulSoup:
    return parsed(site / "reference" / f"{module.split('.')[1]}.html")


def test_the_reference_has_every_public_name(site):
    missing = []
    for module in modules():
        page = reference(site, module.__name__)
        shown = {name.get_text() for name in page.select("dt.sig .descname")}
        missing += [f"{module.__name__}.{name}" for name in public_names(module) - shown]
    assert missing == []


def test_the_reference_is_in_the_order_of_the_package(site):
    listed = re.findall(r"^(\w+)  +", course_utils.__doc__, re.MULTILINE)
    first = {info.name for info in pkgutil.iter_modules(course_utils.__path__)}
    assert set(listed) == first
    links = [a["href"] for a in parsed(site / "reference" / "index.html").select("article td a")]
    assert links == [f"{name}.html" for name in listed]


def test_the_reference_says_what_the_docstrings_say(site):
    from course_utils.attention import MultiHeadAttention, attention

    page = reference(site, "course_utils.attention")
    for thing in (attention, MultiHeadAttention):
        told = page.find(id=f"course_utils.attention.{thing.__name__}").parent.get_text()
        for word in inspect.getdoc(thing).replace("`", "").split():
            assert word.strip("*") in told
        for parameter in inspect.signature(thing).parameters:
            assert parameter in told


def built():
    return [
        (path, tag.removeprefix("builds:"), cell.source)
        for path in NOTEBOOKS
        for cell in code_cells(read(path))
        for tag in tags(cell)
        if tag.startswith("builds:")
    ]


def test_lessons_and_reference_link_to_each_other(site, lesson_page):
    assert built()
    for path, name, source in built():
        entry = reference(site, f"course_utils.{name}").find(id=f"course_utils.{name}").parent
        (back,) = (
            a for a in entry.find_all("a") if a.get_text() == f"Built in lesson {path.name[:2]}"
        )
        file, _, anchor = back["href"].partition("#")
        assert file == f"../notebooks/{path.stem}.html"
        place = lesson_page(path).find(id=anchor)
        assert place.find_next(class_="cell_input").get_text().strip() == source
        forth = [a["href"] for a in place.find_all_next("a", limit=3)]
        module = name.split(".")[0]
        assert f"../reference/{module}.html#course_utils.{name}" in forth


# --- self-contained ---------------------------------------------------------------------------


def test_nothing_is_loaded_from_elsewhere(pages, site):
    sheets = {target(path, a) for path in pages.values() for a in loaded(path) if ".css" in a}
    sheets |= set(site.rglob("*.css"))
    for path in pages.values():
        for address in loaded(path):
            assert local(address), f"{path.name} loads {address}"
            assert not address.startswith("/"), f"{path.name}: {address} works at one place only"
            assert target(path, address).is_file(), f"{path.name}: {address}"
    for sheet in sheets:
        for address in loaded_by_css(sheet):
            assert address.startswith("data:") or target(sheet, address).is_file(), address


def test_no_link_is_broken(pages):
    broken = []
    for name, path in pages.items():
        for link in parsed(path).find_all("a", href=True):
            address = link["href"]
            if not local(address):
                continue
            file, anchor = target(path, address), unquote(urlsplit(address).fragment)
            wrong = address.startswith("/") or not file.is_file()
            if not wrong and anchor and file.suffix == ".html":
                wrong = not parsed(file).find(id=anchor)
            broken += [f"{name}: {address}"] if wrong else []
    assert broken == []


def test_links_that_leave_the_site_are_safe(pages):
    schemes = {
        urlsplit(link["href"]).scheme
        for path in pages.values()
        for link in parsed(path).find_all("a", href=True)
    }
    assert schemes <= {"", "https", "http", "mailto"}


def test_no_id_stands_twice_on_a_page(pages):
    for name, path in pages.items():
        ids = Counter(tag["id"] for tag in parsed(path).find_all(id=True))
        assert [i for i, count in ids.items() if count > 1] == [], name


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("see lesson 3.", "see [lesson 3](at/03_attention.ipynb)."),
        ("of lesson\n12, too", "of [lesson\n12](at/12_looking_inside.ipynb), too"),
        ("lesson 8 says so", "lesson 8 says so"),  # here
        ("lesson 77", "lesson 77"),
        (
            "lessons 3, 8 and 4: 5 of them",
            "lessons [3](at/03_attention.ipynb), 8 and [4](at/04_transformer_encoder.ipynb): 5 of them",
        ),
        ("`lesson 3` and [lesson 3](x)", "`lesson 3` and [lesson 3](x)"),
        ("## lesson 3\n$lesson 3$", "## lesson 3\n$lesson 3$"),
        ("```\nlesson 3\n```\nlesson 3", "```\nlesson 3\n```\n[lesson 3](at/03_attention.ipynb)"),
        ("<!-- lesson 3 --><b title='lesson 3'>", "<!-- lesson 3 --><b title='lesson 3'>"),
    ],
)
def test_mentioned_lessons_become_links(text, becomes):
    from website.mentions import linked

    here = "08_convolutional_vision_transformer.ipynb"
    assert linked(text, "at/", here=here) == becomes


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("../notebooks/03_attention.ipynb", "../notebooks/03_attention.ipynb"),
        ("training_at_scale.md#one-machine", "training_at_scale.md#one-machine"),
        ("#here", "#here"),
        ("https://example.org/a.py", "https://example.org/a.py"),
        ("no_such_file.py", "no_such_file.py"),  # for Sphinx to complain of
        ("conf.py", "https://github.com/OWNER/REPO/blob/main/docs/conf.py"),
        ("../LICENSE#x", "https://github.com/OWNER/REPO/blob/main/LICENSE#x"),
        ("../tests", "https://github.com/OWNER/REPO/tree/main/tests"),
    ],
)
def test_links_of_documents_to_files_without_a_page(monkeypatch, link, becomes):
    from website import documents

    monkeypatch.setattr(documents, "stored_repository", lambda: "OWNER/REPO")
    text = f"see [it]({link}), ![a picture](theme/static/icon.svg)"
    told = documents.document(text, ROOT / "docs")
    assert told == f"see [it]({becomes}), ![a picture](theme/static/icon.svg)"


# --- budget -----------------------------------------------------------------------------------


def test_each_page_is_within_its_budget(pages):
    heavy = {}
    for name, path in pages.items():
        files = {path, *(target(path, address) for address in loaded(path))}
        for sheet in [file for file in files if file.suffix == ".css"]:
            files |= {target(sheet, a) for a in loaded_by_css(sheet) if not a.startswith("data:")}
        size = sum(file.stat().st_size for file in files)
        if size > BUDGET:
            heavy[name] = size
    assert heavy == {}


def test_no_script_holds_up_the_first_paint(pages):
    for name, path in pages.items():
        soup = parsed(path)
        words = soup.find("article")
        for script in soup.find_all("script", src=True):
            late = script.has_attr("defer") or script.has_attr("async")
            assert late or script in words.find_all_next("script"), f"{name}: {script}"


def test_search_needs_no_request(site):
    assert (site / "searchindex.js").read_text().startswith("Search.setIndex(")
    scripts = [
        tag["src"].split("?")[0] for tag in parsed(site / "search.html").select("script[src]")
    ]
    assert "searchindex.js" in scripts
    assert "SHOW_SEARCH_SUMMARY: false" in (site / "_static/documentation_options.js").read_text()


# --- the same bytes every time ----------------------------------------------------------------


def test_two_builds_are_the_same(two_sites):
    one, other = (
        {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in two_sites
    )
    assert one == other


# --- for everyone -----------------------------------------------------------------------------


def test_every_page_has_its_landmarks_and_says_what_it_is(pages):
    for page in map(parsed, pages.values()):
        assert page.find("nav", class_="sidebar-drawer")["aria-label"] == "Course"
        assert len(page.find_all("meta", attrs={"name": "viewport"})) == 1
        footer = page.find("footer")
        assert footer.find("a", string="The course on GitHub")["href"].startswith("https://github")
        assert "MIT" in footer.get_text()


def test_lessons_and_documents_have_a_description_and_the_current_page_is_marked(pages):
    told = {}
    for name, path in pages.items():
        if name.startswith(("notebooks/", "docs/")):
            page = parsed(path)
            told[name] = page.find("meta", attrs={"name": "description"})["content"]
            assert 20 < len(told[name]) <= 165
            (current,) = page.select("nav.sidebar-drawer [aria-current=page]")
            assert current["href"] == "#"
    assert len(set(told.values())) == len(told)


# --- interactive pieces -----------------------------------------------------------------------


@pytest.fixture
def piece(tmp_path):
    (tmp_path / "bars.html").write_text('<!-- lesson 03, under "How sharp?" -->\n<p>still</p>\n')
    (tmp_path / "bars.py").write_text('def data():\n    return {"text": "</script>水"}\n')
    return tmp_path / "bars.html"


def test_a_piece_is_put_under_its_heading_with_its_data(piece):
    from website import interactive

    notebook = new_notebook(
        cells=[new_markdown_cell("# A"), new_markdown_cell("## How sharp?\n\nWords")]
    )
    notebook.cells += [new_markdown_cell("### Exercise"), new_markdown_cell("## Next")]
    ((lesson, heading, path),) = interactive.pieces(piece.parent)
    assert (lesson, heading, path) == ("03", "How sharp?", piece)
    interactive.insert(notebook, heading, path)
    sources = [cell.source for cell in notebook.cells]
    assert len(sources) == 5
    assert sources[2] == "### Exercise"
    assert sources[4] == "## Next"
    html = BeautifulSoup(sources[3], "html.parser")
    assert html.find("p").get_text() == "still"
    assert json.loads(html.find(id="bars-data").string) == {"text": "</script>水"}
    assert html.find("script", src=True)["src"] == "../_static/interactive/bars.js"
    assert html.find("script", src=True).has_attr("defer")


def test_a_piece_without_its_place_is_refused(piece):
    from website import interactive

    with pytest.raises(
        ValueError, match=r'bars.html goes under the heading "How sharp\?".*0 times'
    ):
        interactive.insert(new_notebook(cells=[new_markdown_cell("# A")]), "How sharp?", piece)
    piece.write_text("<p>still</p>")
    with pytest.raises(ValueError, match=r"bars.html must begin with its place"):
        interactive.pieces(piece.parent)
