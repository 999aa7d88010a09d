"""The authors' tools: stamping, executing, drafting."""

import json

import draft
import execute_notebooks
import nbtools
import pytest
import stamp
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils.lesson import LESSONS

TOKENIZERS = LESSONS[1]


def lesson_notebook():
    return new_notebook(
        cells=[
            new_markdown_cell("# 1. Tokenizers\n\nWhat you will build."),
            new_code_cell("print(1)"),
        ]
    )


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """A course of one lesson in a folder of its own, with nothing stamped yet."""
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / TOKENIZERS.file
    nbtools.write(lesson_notebook(), path)
    (tmp_path / "pyproject.toml").write_text('[tool.course]\nrepository = "OWNER/REPO"\n')
    (tmp_path / "README.md").write_text("before\n<!-- lessons -->\n<!-- /lessons -->\nafter\n")
    cost = {"seconds": 12.4, "gigabytes": 0.71}
    (tmp_path / "lessons.json").write_text(json.dumps({"lessons": {TOKENIZERS.file: cost}}))
    for name, value in {
        "ROOT": tmp_path,
        "NOTEBOOKS": [path],
        "PYPROJECT": tmp_path / "pyproject.toml",
        "README": tmp_path / "README.md",
        "MEASURED": tmp_path / "lessons.json",
    }.items():
        monkeypatch.setattr(stamp, name, value)
    return tmp_path


def test_an_address_is_stamped_everywhere_and_remembered(small_course):
    stamp.stamp_all(stamp.choose_repository("ada/course"))
    text = (small_course / "notebooks" / TOKENIZERS.file).read_text()
    assert "colab.research.google.com/github/ada/course/blob/main/notebooks/01_" in text
    assert "git+https://github.com/ada/course" in text
    assert "OWNER/REPO" not in text
    assert "github/ada/course/blob" in (small_course / "README.md").read_text()
    assert stamp.stored_repository() == "ada/course"


def test_stamping_twice_changes_nothing_and_the_lessons_own_text_stays(small_course):
    path = small_course / "notebooks" / TOKENIZERS.file
    stamp.stamp_all("ada/course")
    once = path.read_text(), (small_course / "README.md").read_text()
    stamp.stamp_all("ada/course")
    assert (path.read_text(), (small_course / "README.md").read_text()) == once
    cells = nbtools.read(path).cells
    assert cells[0].source.startswith("# 1. Tokenizers\n\n[![Open in Colab]")
    assert cells[0].source.endswith("What you will build.")
    assert "*Runs in 12 s with 0.7 GB of memory" in cells[0].source
    assert nbtools.tags(cells[1]) == ["setup"]
    assert cells[-1].source.startswith("---\nBefore: [00 Start here](00_start_here.ipynb) · Next:")


def test_the_readme_keeps_what_is_around_the_table(small_course):
    stamp.stamp_all("ada/course")
    text = (small_course / "README.md").read_text()
    assert text.startswith("before\n<!-- lessons -->\n| lesson |")
    assert text.endswith("<!-- /lessons -->\nafter\n")
    assert "| 12 s | 0.7 GB | 100 min |" in text


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://github.com/ada/course.git", "ada/course"),
        ("git@github.com:ada/course.git", "ada/course"),
        ("https://github.com/ada/my.course", "ada/my.course"),
        ("https://example.org/ada/course.git", "OWNER/REPO"),
    ],
)
def test_without_an_address_the_git_remote_is_taken_where_it_is_on_github(
    small_course, address, expected
):
    import subprocess

    subprocess.run(["git", "init", "-q", small_course], check=True)
    subprocess.run(["git", "-C", small_course, "remote", "add", "origin", address], check=True)
    assert stamp.choose_repository("") == expected


@pytest.mark.parametrize("wrong", ["course", "https://github.com/ada/course", "a/b/c", "a b/c"])
def test_an_address_that_is_none_is_refused(small_course, wrong):
    with pytest.raises(SystemExit, match=r"REPO is owner/name"):
        stamp.choose_repository(wrong)
    assert stamp.stored_repository() == "OWNER/REPO"


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def test_outputs_are_tidied_so_that_nothing_differs_by_run():
    result = {"text/plain": "<object at 0x7f12ab>", "application/vnd.jupyter.widget-view+json": {}}
    cell = new_code_cell("x", execution_count=7)
    cell.outputs = [
        stream("a\n"),
        new_output("execute_result", data=result, execution_count=7),
        stream("b\n"),
    ]
    empty, second = new_code_cell(""), new_code_cell("y")
    execute_notebooks.tidy_outputs(new_notebook(cells=[cell, empty, second]))
    assert [out.output_type for out in cell.outputs] == ["stream", "execute_result"]
    assert cell.outputs[0].text == "a\nb\n"
    assert cell.outputs[1].data == {"text/plain": "<object at 0x0>"}
    assert [cell.execution_count, empty.execution_count, second.execution_count] == [1, None, 2]


def two_runs(second_source="time()"):
    notebooks = []
    for text, source in (("1.0 s", "time()"), ("2.0 s", second_source)):
        cells = [
            new_code_cell(source, metadata={"tags": ["nbval-ignore-output"]}),
            new_code_cell("print(1)"),
        ]
        for cell in cells:
            cell.outputs = [stream(text)]
        notebooks.append(new_notebook(cells=cells))
    return notebooks


def test_a_timing_is_kept_while_the_code_is_the_same_and_nothing_else_is():
    old, new = two_runs()
    execute_notebooks.keep_what_varies(new, old)
    assert [cell.outputs[0].text for cell in new.cells] == ["1.0 s", "2.0 s"]
    old, new = two_runs(second_source="time() * 2")
    execute_notebooks.keep_what_varies(new, old)
    assert [cell.outputs[0].text for cell in new.cells] == ["2.0 s", "2.0 s"]


@pytest.mark.parametrize(
    ("seconds", "gigabytes", "kept"),
    [(10, 1.0, True), (14, 1.1, True), (16, 1.0, False), (4, 1.0, False), (10, 1.3, False)],
)
def test_a_measurement_is_kept_within_its_tolerance(
    tmp_path, monkeypatch, seconds, gigabytes, kept
):
    monkeypatch.setattr(execute_notebooks, "MEASURED", tmp_path / "lessons.json")
    first, again = {"seconds": 10.0, "gigabytes": 1.0}, {"seconds": seconds, "gigabytes": gigabytes}
    execute_notebooks.record({"a.ipynb": first}, fresh=False)
    execute_notebooks.record({"a.ipynb": again}, fresh=False)
    stored = json.loads((tmp_path / "lessons.json").read_text())["lessons"]["a.ipynb"]
    assert stored == (first if kept else again)


@pytest.mark.slow
def test_a_lesson_is_executed_measured_and_has_no_network(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)  # what the tests themselves set
    for name, value in execute_notebooks.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    notebook = new_notebook(
        cells=[
            new_code_cell("block = b'x' * 300_000_000\nprint(len(block))"),
            new_code_cell(
                "import socket\n"
                "try:\n"
                "    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
                "except OSError as error:\n"
                "    print(type(error).__name__, error)"
            ),
        ]
    )
    cost = execute_notebooks.execute(notebook, tmp_path)
    assert len(notebook.cells) == 2
    assert nbtools.printed(notebook.cells[0]) == "300000000\n"
    assert "offline" in nbtools.printed(notebook.cells[1])
    assert 0.3 < cost["gigabytes"] < 1
    assert 0 < cost["seconds"] < 60


def test_the_memory_of_who_starts_the_kernel_does_not_count(tmp_path, monkeypatch):
    for name, value in execute_notebooks.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    weight = b"x" * 1_500_000_000
    cost = execute_notebooks.execute(new_notebook(cells=[new_code_cell("print(1)")]), tmp_path)
    assert cost["gigabytes"] < len(weight) / 1e9 / 2


def test_ids_follow_from_the_text_and_are_unique():
    cells = [new_code_cell("a"), new_code_cell("a"), new_markdown_cell("a")]
    first, second = (nbtools.normalize(new_notebook(cells=cells)).cells for _ in range(2))
    ids = [cell.id for cell in first]
    assert ids == [cell.id for cell in second]
    assert len(set(ids)) == 3


def test_a_solution_that_was_opened_and_saved_is_folded_again():
    course = {"exercise": "1.1", "role": "solution"}
    cell = new_code_cell("# @title", metadata={"course": course, "scrolled": True})
    (normal,) = nbtools.normalize(new_notebook(cells=[cell])).cells
    assert normal.metadata.jupyter.source_hidden
    assert normal.metadata.cellView == "form"
    assert nbtools.tags(normal) == ["hide-input", "solution"]
    assert "scrolled" not in normal.metadata


def test_a_solution_becomes_what_a_learner_would_type():
    solution = (
        '# @title Solution 1.1 (click to open) {display-mode: "form"}\n'
        "def twice_solution(x):\n    return 2 * x\n\n\n"
        'twice = pick("1.1", twice, twice_solution)'
    )
    assert nbtools.as_attempt(solution) == "def twice(x):\n    return 2 * x"


@pytest.fixture
def drafting(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(draft, "ROOT", tmp_path)
    return tmp_path


def test_a_draft_brings_back_the_same_notebook(drafting):
    path = drafting / "notebooks" / TOKENIZERS.file
    source = nbtools.read(nbtools.ROOT / "notebooks" / TOKENIZERS.file)
    nbtools.write(source, path)
    before = path.read_text(encoding="utf-8")
    draft.main("out", "01")
    draft.main("in", "01")
    assert path.read_text(encoding="utf-8") == before


def test_a_changed_cell_loses_its_output_and_the_others_keep_theirs(drafting):
    path = drafting / "notebooks" / TOKENIZERS.file
    notebook = lesson_notebook()
    notebook.cells.append(new_code_cell("print(2)"))
    for cell in notebook.cells[1:]:
        cell.outputs = [stream("old")]
    nbtools.write(nbtools.normalize(notebook), path)
    draft.main("out", "01")
    script = drafting / "drafts" / "01_tokenizers.py"
    script.write_text(script.read_text().replace("print(2)", "print(3)"))
    draft.main("in", "01")
    _, kept, changed = nbtools.read(path).cells
    assert kept.outputs[0].text == "old"
    assert changed.source == "print(3)"
    assert changed.outputs == []


def test_an_unknown_lesson_names_those_there_are(drafting):
    with pytest.raises(SystemExit, match=r"LESSON one of 00, 01"):
        draft.main("out", "99")
    with pytest.raises(SystemExit, match=r"no lesson '99'; there are: 00, 01"):
        nbtools.lessons("99")
