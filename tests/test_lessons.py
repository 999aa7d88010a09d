"""The lessons as published: frame, budgets, descriptions, links, and what must not be in them."""

import ast
import json
import re
from collections import Counter

import nbformat
import pytest
import stamp
from nbtools import NOTEBOOKS, ROOT, code_cells, dumps, exercises, normalize, read, role, tags

from course_utils.lesson import LESSONS

each_lesson = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
BY_FILE = {lesson.file: lesson for lesson in LESSONS}
MEASURED = json.loads(stamp.MEASURED.read_text(encoding="utf-8"))
START = "00_start_here.ipynb"  # the tour: it has no theory to recap

# Names that no longer exist, or never did what tutorials use them for.
DEAD = re.compile(
    r"ViTFeatureExtractor|AutoFeatureExtractor|pretrained=True|gpus=\[|stochastic_weight_avg"
    r"|load_metric|\bAccuracy\(\)|set_matplotlib_formats\(|IPython\.core\.display import display"
    r"|batch_encode_plus|torchtext|np\.(float|int|bool)\b|torch\.autograd\.Variable|use_auth_token"
    r"|from torch\.cuda\.amp|functools\.partial\(F\.sigmoid"
)
MACHINE_PATH = re.compile(r"/(?:root|tmp|work|home|Users|var|private)/\w|[A-Z]:\\\\\w|ipykernel_\d")
BELITTLING = re.compile(r"\b(simply|obviously|just|trivial(?:ly)?|clearly|of course)\b", re.I)


def words(notebook) -> int:
    return sum(len(c.source.split()) for c in notebook.cells if c.cell_type == "markdown")


def code_lines(cell) -> int:
    return len([line for line in cell.source.splitlines() if line.strip()])


def taught_cells(notebook) -> list:
    """Code cells but the stamped set-up."""
    return [cell for cell in code_cells(notebook) if "setup" not in tags(cell)]


def outputs(notebook) -> list:
    return [out for cell in code_cells(notebook) for out in cell.outputs]


def prose(notebook) -> str:
    """The text of the lesson without code spans, code blocks, formulas and addresses."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", " ", text, flags=re.S)


def test_every_ready_lesson_exists_and_is_listed():
    ready = [lesson.file for lesson in LESSONS if lesson.ready]
    assert ready == [path.name for path in NOTEBOOKS]


@each_lesson
def test_frame(path):
    cells = read(path).cells
    lesson = BY_FILE[path.name]
    assert re.match(rf"# {int(lesson.number)}\. \S", cells[0].source)
    assert [i for i, cell in enumerate(cells) if "setup" in tags(cell)] == [1]
    headings = re.findall(r"^## (.*)$", prose(read(path)), flags=re.M)
    assert len(headings) >= 4
    if path.name != START:
        order = [
            next((i for i, heading in enumerate(headings) if heading.startswith(start)), None)
            for start in ("Common mistakes", "Recap", "In older tutorials", "References")
        ]
        assert None not in order, f"a section of the frame is missing: {headings}"
        assert order == sorted(order)


@each_lesson
def test_stamped_parts_are_up_to_date(path):
    notebook = read(path)
    stamp.stamp(notebook, BY_FILE[path.name], stamp.stored_repository())
    assert dumps(normalize(notebook)) == path.read_text(encoding="utf-8"), "run `make badges`"


def test_readme_table_agrees_with_what_was_measured():
    readme = stamp.README.read_text(encoding="utf-8")
    assert stamp.readme_table(stamp.stored_repository()) in readme, "run `make badges`"
    for name, cost in MEASURED["lessons"].items():
        row = next(
            line
            for line in readme.splitlines()
            if line.startswith("|") and f"notebooks/{name})" in line
        )
        assert f"| {cost['seconds']:.0f} s | {cost['gigabytes']:.1f} GB |" in row


@each_lesson
def test_budgets(path):
    cost = MEASURED["lessons"][path.name]
    assert cost["seconds"] <= 60
    assert cost["gigabytes"] <= 1.5
    assert path.stat().st_size <= 1_000_000
    sizes = sorted(code_lines(cell) for cell in taught_cells(read(path)))
    assert sizes[len(sizes) // 2] <= 8, "median"
    assert sizes[len(sizes) * 9 // 10] <= 20, "ninetieth percentile"
    assert sizes[-1] <= 40, "longest"


@each_lesson
def test_enough_words_for_the_code(path):
    notebook = read(path)
    lines = sum(code_lines(cell) for cell in taught_cells(notebook))
    assert words(notebook) / lines >= 4.5
    assert words(notebook) / lines <= (20 if path.name == START else 12)


@each_lesson
def test_outputs_are_there_and_none_is_an_error(path):
    notebook = read(path)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    for cell in code_cells(notebook):
        failed = any(out.output_type == "error" for out in cell.outputs)
        assert failed == ("raises-exception" in tags(cell))


@each_lesson
def test_every_picture_is_described(path):
    pictures = 0
    for out in outputs(read(path)):
        for kind in out.get("data", {}):
            if kind.startswith("image/"):
                pictures += 1
                assert len(out.metadata[kind]["alt"]) >= 40
    assert pictures


@each_lesson
def test_no_dead_names_no_semicolons_no_bare_progress_bars(path):
    for cell in code_cells(read(path)):
        assert not DEAD.search(cell.source)
        assert not cell.source.rstrip().endswith(";"), "shows differently under nbval"
        assert "tqdm" not in cell.source, "use lesson.progress_bar"


@each_lesson
def test_nothing_of_this_machine_in_the_file(path):
    found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
    assert not found, found


@each_lesson
def test_metadata_is_clean_and_valid(path):
    raw = json.loads(path.read_text(encoding="utf-8"))
    nbformat.validate(raw, relax_add_props=False)
    assert set(raw["metadata"]) == {"kernelspec", "language_info"}
    assert raw["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in raw["cells"]]
    assert len(ids) == len(set(ids))


@each_lesson
def test_widgets_are_not_compared_and_follow_a_still_figure(path):
    cells = read(path).cells
    for index, cell in enumerate(cells):
        if cell.cell_type == "code" and re.search(r"\binteract(ive)?\(", cell.source):
            assert "nbval-ignore-output" in tags(cell)
            before = [out for c in cells[index - 3 : index] for out in c.get("outputs", [])]
            assert any("image/png" in out.get("data", {}) for out in before)


@each_lesson
def test_prose_does_not_belittle(path):
    found = BELITTLING.findall(prose(read(path)))
    assert not found, found


@each_lesson
def test_exercises_are_whole(path):
    notebook = read(path)
    found = exercises(notebook)
    assert 3 <= len(found) <= 5 or path.name == START
    for number, cells in found.items():
        assert number.split(".")[0] == str(int(path.name[:2]))
        assert list(cells) == ["stub", "check", "solution"]
        assert cells["solution"] - cells["stub"] == 2, "the three cells stand together"
        solution = notebook.cells[cells["solution"]]
        assert solution.source.startswith(f"# @title Solution {number} ")
        assert solution.metadata.jupyter.source_hidden
        assert f'pick("{number}", ' in solution.source
        assert "NotImplementedError" in notebook.cells[cells["stub"]].source
        assert f"[ .. ] Exercise {number}" in str(notebook.cells[cells["check"]].outputs)


@each_lesson
def test_links_resolve(path):
    notebook = read(path)
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#", "attachment:")):
            assert (path.parent / target.split("#")[0]).exists(), target


def test_links_of_the_pages_resolve():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http", "#", "mailto:")):
                assert (page.parent / target.split("#")[0]).exists(), f"{page.name}: {target}"


@each_lesson
def test_every_import_is_a_declared_dependency(path):
    allowed = {
        "course_utils", "einops", "ipywidgets", "IPython", "matplotlib", "numpy", "regex", "skimage",
        "sklearn", "tokenizers", "torch", "torchvision", "timm", "transformers", "google", "lightning",
        "threadpoolctl", "torchmetrics",
    }  # fmt: skip
    import sys

    for cell in code_cells(read(path)):
        source = re.sub(r"^(\s*)%.*$", r"\1pass", cell.source, flags=re.M)
        for node in ast.walk(ast.parse(source)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                assert top in allowed or top in sys.stdlib_module_names, name


def test_the_set_up_cell_is_the_same_everywhere():
    cells = {read(path).cells[1].source for path in NOTEBOOKS}
    assert len(cells) == 1


def test_no_exercise_number_is_used_twice():
    numbers = Counter(number for path in NOTEBOOKS for number in exercises(read(path)))
    assert max(numbers.values(), default=0) == 1


def test_roles_are_known():
    for path in NOTEBOOKS:
        for cell in read(path).cells:
            assert role(cell) in ("", "stub", "check", "solution")
