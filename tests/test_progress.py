"""What was passed survives two tabs, a full disk, a kill, a careless edit and a read-only folder."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from course_utils import progress


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A learner's work folder, being in it, with nothing passed in this process."""
    work = tmp_path / "work"
    (work / ".course").mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr(progress, "_passed_here", {})
    return work


def new_kernel(monkeypatch):
    """As after a restart: only the file is known."""
    monkeypatch.setattr(progress, "_passed_here", {})


def saved(work):
    return json.loads((work / ".course" / "progress.json").read_text())["passed"]


def fill(path):
    """A file that takes all that is left of its disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def run_in(work, code, *arguments):
    """Another process, as another tab's kernel is."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, text=True)


def test_what_was_passed_is_known_after_a_restart(work, monkeypatch):
    assert progress.remember("3.1") is None
    new_kernel(monkeypatch)
    assert list(progress.passed()) == ["3.1"]
    assert progress.passed()["3.1"].count("-") == 2


def test_the_first_date_is_kept(work):
    (work / ".course" / "progress.json").write_text('{"passed": {"3.1": "2026-01-02"}}')
    assert progress.remember("3.1") is None
    assert progress.passed() == {"3.1": "2026-01-02"} == saved(work)


def test_exercises_come_in_the_order_of_the_course(work):
    for exercise in ("10.1", "3.10", "3.2", "3.x"):
        progress.remember(exercise)
    assert list(progress.passed()) == ["3.x", "3.2", "3.10", "10.1"]


def test_the_work_folder_is_the_nearest_one_upward(work):
    inner = work / "a" / "b"
    inner.mkdir(parents=True)
    assert progress.find_work_folder(inner) == work == progress.find_work_folder()
    assert progress.find_work_folder(work.parent) is None


def test_without_a_work_folder_nothing_is_written(work, tmp_path, monkeypatch):
    alone = tmp_path / "alone"
    alone.mkdir()
    monkeypatch.chdir(alone)
    assert progress.remember("1.1") is None
    assert list(progress.passed()) == ["1.1"]
    assert list(alone.iterdir()) == []
    new_kernel(monkeypatch)
    assert progress.passed() == {}


@pytest.mark.parametrize(
    "content", [b"", b'{"passed": {"1.1"', b"\xff\xfe", b"[]", b'{"passed": {"1.1": 3}}']
)
def test_a_damaged_file_is_kept_aside_and_said(work, content, monkeypatch):
    path = work / ".course" / "progress.json"
    for count in (1, 2):  # twice on a day: the second keeps its own name
        path.write_bytes(content)
        new_kernel(monkeypatch)
        assert progress.passed() == {}
        said = progress.remember(f"1.{count}")
        aside = sorted((work / ".course").glob("progress.damaged-*.json"))
        assert len(aside) == count
        assert all(file.read_bytes() == content for file in aside)
        assert said is not None
        assert "progress.json was damaged" in said
        assert "\n" not in said
        assert any(file.name in said for file in aside)
        assert list(saved(work)) == [f"1.{count}"]


def test_two_tabs_lose_nothing(work):
    code = """
        import sys
        from course_utils.progress import remember
        said = [remember(f"{sys.argv[1]}.{n}") for n in range(60)]
        print(sum(line is not None for line in said))
    """
    tabs = [run_in(work, code, lesson) for lesson in (1, 2)]
    assert [tab.communicate()[0].strip() for tab in tabs] == ["0", "0"]
    assert saved(work).keys() == {f"{lesson}.{n}" for lesson in (1, 2) for n in range(60)}


def test_a_kill_at_any_moment_leaves_the_file_readable(work):
    code = """
        import sys
        from course_utils.progress import remember
        remember(f"{sys.argv[1]}.0")
        print("ready", flush=True)
        for n in range(1, 1_000_000):
            remember(f"{sys.argv[1]}.{n}")
    """
    before = set()
    for lesson in range(12):
        process = run_in(work, code, lesson)
        process.stdout.readline()
        time.sleep(lesson * 0.007)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = set(saved(work))
        assert before <= now
        assert f"{lesson}.0" in now
        before = now


def test_a_stuck_lock_is_said_and_not_waited_for(work, monkeypatch):
    code = """
        from filelock import FileLock
        with FileLock(".course/lock"):
            print("held", flush=True)
            input()
    """
    monkeypatch.setattr(progress, "LOCK_SECONDS", 0.1)
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(
        command, cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        holder.stdout.readline()
        said = progress.remember("1.1")
        holder.communicate("\n")
    assert said is not None
    assert "could not be saved" in said
    assert progress.remember("1.2") is None
    assert list(saved(work)) == ["1.1", "1.2"]  # what could not be saved is saved with the next


def test_a_full_disk_leaves_the_old_file(work, monkeypatch):
    assert progress.remember("1.1") is None

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    said = progress.remember("1.2")
    assert said is not None
    assert "could not be saved" in said
    assert "No space left on device" in said
    assert list(saved(work)) == ["1.1"]
    assert list(progress.passed()) == ["1.1", "1.2"]


def test_a_disk_that_is_really_full_leaves_the_old_file(tiny_disk, monkeypatch):
    (tiny_disk / ".course").mkdir()
    monkeypatch.chdir(tiny_disk)
    monkeypatch.setattr(progress, "_passed_here", {})
    assert progress.remember("1.1") is None
    fill(tiny_disk / "filling")
    said = progress.remember("1.2")
    assert said is not None
    assert "No space left on device" in said
    assert list(saved(tiny_disk)) == ["1.1"]
    (tiny_disk / "filling").unlink()
    assert progress.remember("1.3") is None
    assert list(saved(tiny_disk)) == ["1.1", "1.2", "1.3"]


def test_a_read_only_folder_is_said(read_only, monkeypatch):
    (read_only.folder / ".course").mkdir()
    read_only.close()
    monkeypatch.chdir(read_only.folder)
    monkeypatch.setattr(progress, "_passed_here", {})
    said = progress.remember("1.1")
    assert said is not None
    assert "could not be saved" in said
    assert list(progress.passed()) == ["1.1"]


def test_importing_it_is_cheap():
    code = "import sys, course_utils.progress; print('filelock' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
