"""The learner's files are never written over: not by an update, a reset, two tabs or a kill."""

import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import workspace

TODAY = datetime.date.today().isoformat()


@pytest.fixture
def course(tmp_path):
    """The lessons as published: two of them and a picture."""
    source = tmp_path / "notebooks"
    (source / "assets").mkdir(parents=True)
    (source / "00_start_here.ipynb").write_text("start")
    (source / "03_attention.ipynb").write_text("attention")
    (source / "assets" / "figure.svg").write_text("figure")
    return source


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


def files(work):
    """Name -> text of all that a learner sees in the work folder."""
    paths = (path for path in work.rglob("*") if path.is_file() and ".course" not in path.parts)
    return {path.relative_to(work).as_posix(): path.read_text() for path in paths}


def test_first_use_copies_everything(course, work):
    report = workspace.lay_out(course, work)
    assert report.laid == ["00_start_here.ipynb", "03_attention.ipynb", "assets/figure.svg"]
    assert report.beside == []
    assert files(work) == {
        "00_start_here.ipynb": "start",
        "03_attention.ipynb": "attention",
        "assets/figure.svg": "figure",
    }
    assert "00_start_here.ipynb" in str(report)


def test_a_second_use_touches_nothing(course, work):
    workspace.lay_out(course, work)
    (work / "03_attention.ipynb").write_text("my answer")
    (work / "mine.ipynb").write_text("my own notebook")
    before = files(work)
    report = workspace.lay_out(course, work)
    assert files(work) == before
    assert str(report) == ""


@pytest.mark.parametrize("mine", ["attention", "my answer"], ids=["untouched", "edited"])
def test_a_changed_lesson_is_laid_beside(course, work, mine):
    workspace.lay_out(course, work)
    (work / "03_attention.ipynb").write_text(mine)
    for count, version in enumerate(["better", "better still", "best"], start=1):
        (course / "03_attention.ipynb").write_text(version)
        counter = "" if count == 1 else f"-{count}"
        name = f"03_attention.updated-{TODAY}{counter}.ipynb"
        report = workspace.lay_out(course, work)
        assert report.beside == [name]
        assert "laid beside yours" in str(report)
        assert workspace.lay_out(course, work).beside == []
        assert files(work)[name] == version
        assert files(work)["03_attention.ipynb"] == mine


def test_a_new_lesson_and_a_deleted_one_are_laid(course, work):
    workspace.lay_out(course, work)
    (work / "00_start_here.ipynb").unlink()
    (course / "04_more.ipynb").write_text("more")
    assert workspace.lay_out(course, work).laid == ["00_start_here.ipynb", "04_more.ipynb"]


def test_a_new_picture_takes_the_place_of_one_that_nobody_changed(course, work):
    workspace.lay_out(course, work)
    (course / "assets" / "figure.svg").write_text("new figure")
    workspace.lay_out(course, work)
    assert files(work)["assets/figure.svg"] == "new figure"
    (work / "assets" / "figure.svg").write_text("my figure")
    (course / "assets" / "figure.svg").write_text("newest figure")
    workspace.lay_out(course, work)
    assert files(work)["assets/figure.svg"] == "my figure"
    assert files(work)[f"assets/figure.updated-{TODAY}.svg"] == "newest figure"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"03', b"\xff"])
def test_a_damaged_manifest_costs_no_file(course, work, content):
    workspace.lay_out(course, work)
    (work / "03_attention.ipynb").write_text("my answer")
    (work / ".course" / "manifest.json").write_bytes(content)
    report = workspace.lay_out(course, work)
    assert files(work)["03_attention.ipynb"] == "my answer"
    assert report.beside == [f"03_attention.updated-{TODAY}.ipynb"]
    assert workspace.lay_out(course, work).beside == []
    assert json.loads((work / ".course" / "manifest.json").read_text()).keys() == {
        "00_start_here.ipynb",
        "03_attention.ipynb",
        "assets/figure.svg",
    }


def test_a_disk_without_links_works_too(course, work, monkeypatch):
    def no_links(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    workspace.lay_out(course, work)
    assert files(work)["03_attention.ipynb"] == "attention"
    (work / "03_attention.ipynb").write_text("my answer")
    assert workspace.lay_out(course, work) == workspace.Report()
    assert files(work)["03_attention.ipynb"] == "my answer"


def test_a_name_that_is_taken_meanwhile_is_not_written_over(course, work, monkeypatch):
    """Another process makes the file between the look and the write."""
    link = os.link

    def late(source, target):
        target.write_text("somebody was faster")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    workspace.lay_out(course, work)
    assert files(work)["03_attention.ipynb"] == "somebody was faster"


@pytest.mark.parametrize("lesson", ["03", "3", "03_attention", "03_attention.ipynb"])
def test_reset_starts_afresh_and_keeps_what_was_there(course, work, lesson):
    workspace.lay_out(course, work)
    for count, answer in enumerate(["my answer", "another answer"], start=1):
        (work / "03_attention.ipynb").write_text(answer)
        said = workspace.reset(lesson, course, work)
        kept = f"03_attention.before-{TODAY}{'' if count == 1 else '-2'}.ipynb"
        assert kept in said
        assert files(work)[kept] == answer
        assert files(work)["03_attention.ipynb"] == "attention"
    assert workspace.lay_out(course, work) == workspace.Report()


def test_reset_of_a_fresh_lesson_makes_no_copies(course, work):
    assert workspace.reset("03", course, work) == "03_attention.ipynb is as new already."
    assert f"03_attention.before-{TODAY}.ipynb" not in files(work)


def test_reset_takes_the_newest_lesson(course, work):
    workspace.lay_out(course, work)
    (course / "03_attention.ipynb").write_text("better")
    workspace.reset("03", course, work)
    assert files(work)["03_attention.ipynb"] == "better"
    assert files(work)[f"03_attention.before-{TODAY}.ipynb"] == "attention"
    (work / "03_attention.ipynb").write_text("my answer")
    assert workspace.lay_out(course, work) == workspace.Report()


@pytest.mark.parametrize("lesson", ["", "7", "03_attn", "start_here"])
def test_an_unknown_lesson_names_those_that_exist(course, work, lesson):
    with pytest.raises(ValueError, match="one of 00_start_here, 03_attention") as caught:
        workspace.reset(lesson, course, work)
    assert repr(lesson) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not work.exists()


def test_a_full_disk_leaves_whole_files_only(course, tiny_disk):
    work = tiny_disk / "work"
    workspace.lay_out(course, work)
    (work / "03_attention.ipynb").write_text("my answer")
    large = "x" * 300_000
    (course / "03_attention.ipynb").write_text(large)
    (course / "04_large.ipynb").write_text(large)
    with pytest.raises(OSError, match="No space left on device"):
        workspace.lay_out(course, work)
    assert set(files(work).values()) == {"start", "my answer", "figure"}


KILLED = """
import sys, os, pathlib
sys.path.insert(0, sys.argv[1])
import workspace
source, work = map(pathlib.Path, sys.argv[2:])
print("ready", flush=True)
for count in range(1_000_000):
    (source / "03_attention.ipynb").write_text(f"version {count} " * 2000)
    workspace.lay_out(source, work)
    (work / "saving").write_text("my answer")
    os.replace(work / "saving", work / "00_start_here.ipynb")
    workspace.reset("00", source, work)
"""


def test_a_kill_at_any_moment_leaves_every_learner_file(course, work):
    """What was in a file before is, after a kill, in that file or under a dated name."""
    workspace.lay_out(course, work)
    (work / "03_attention.ipynb").write_text("my answer to 03")
    tools = os.path.dirname(workspace.__file__)
    for count in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, tools, course, work], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        time.sleep(0.02 + count * 0.009)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = files(work)
        assert now["03_attention.ipynb"] == "my answer to 03"
        beside = [text for name, text in now.items() if ".updated-" in name]
        assert all(text.count("version") == 2000 for text in beside)
        for name in [name for name in now if ".updated-" in name or ".before-" in name]:
            (work / name).unlink()
    workspace.lay_out(course, work)
    assert files(work)["00_start_here.ipynb"] in ("start", "my answer")
    assert json.loads((work / ".course" / "manifest.json").read_text())


def test_the_authors_commands_do_not_know_the_work_folder():
    """Updating the course and the authors' commands never touch work/: git ignores it, and of all
    tools only these two name it."""
    assert "work/" in (workspace.ROOT / ".gitignore").read_text().splitlines()
    naming = re.compile(r"\bWORK\b|ROOT / .work\b")
    tools = (workspace.ROOT / "tools").rglob("*.py")
    assert {path.name for path in tools if naming.search(path.read_text())} == {
        "lab.py",
        "workspace.py",
    }
