"""Installing with one command: it finds a Python, repairs what is half, and says what is wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
FIND = ROOT / "tools" / "find_python.sh"
PYTHON = Path(sys.executable)

FAKE_PIP = """
import os, pathlib, sys, time
pathlib.Path(os.environ["CALLS"]).open("a").write(" ".join(sys.argv[1:]) + "\\n")
print(os.environ.get("SAYS", "Successfully installed"))
time.sleep(float(os.environ.get("TAKES", 0)))
sys.exit(int(os.environ.get("STATUS", 0)))
"""


# --- finding a Python -------------------------------------------------------------------------


def fake_python(folder, name, version, *, makes_environments=True):
    """A program that answers the questions of find_python.sh as a Python of that version would."""
    new = tuple(map(int, version.split("."))) >= (3, 11)
    script = folder / name
    script.write_text(
        '#!/bin/sh\ncase "$2" in\n'
        f'*print*) echo "{version}" ;;\n'
        f"*ensurepip*) exit {0 if makes_environments else 1} ;;\n"
        f"*) exit {0 if new else 1} ;;\nesac\n"
    )
    script.chmod(0o755)
    return script


def find_python(path, **environment):
    result = subprocess.run(
        ["/bin/sh", FIND],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.count("\n") == (1 if result.returncode else 0)
    return result.returncode, result.stdout.strip() or result.stderr


def test_no_python_at_all(tmp_path):
    status, said = find_python(tmp_path)
    assert status == 1
    assert "No Python found" in said
    assert "3.11 or newer" in said
    assert "python.org" in said


@pytest.mark.parametrize("version", ["2.7.18", "3.6.15", "3.10.13"])
def test_a_python_that_is_too_old_is_named(tmp_path, version):
    old = fake_python(tmp_path, "python3", version)
    status, said = find_python(tmp_path)
    assert status == 1
    assert f"found {version} ({old})" in said
    assert "3.11 or newer" in said
    assert "PYTHON=" in said


@pytest.mark.parametrize("name", ["python", "python3.14", "python3.13", "python3.12", "python3.11"])
def test_a_newer_one_elsewhere_is_used(tmp_path, name):
    fake_python(tmp_path, "python3", "3.9.2")
    newer = fake_python(tmp_path, name, "3.11.0")
    assert find_python(tmp_path) == (0, str(newer))


def test_a_shim_without_its_python_is_passed_over(tmp_path):
    shim = tmp_path / "python3.14"
    shim.write_text("#!/bin/sh\necho not installed >&2\nexit 127\n")
    shim.chmod(0o755)
    works = fake_python(tmp_path, "python3.12", "3.12.1")
    assert find_python(tmp_path) == (0, str(works))


def test_one_that_cannot_make_environments_names_the_package(tmp_path):
    bare = fake_python(tmp_path, "python3", "3.12.3", makes_environments=False)
    status, said = find_python(tmp_path)
    assert status == 1
    assert str(bare) in said
    assert "apt install python3.12-venv" in said
    whole = fake_python(tmp_path, "python3.11", "3.11.2")
    assert find_python(tmp_path) == (0, str(whole))


def test_python_overrides(tmp_path):
    fake_python(tmp_path, "python3", "3.13.0")
    folder = tmp_path / "with space"
    folder.mkdir()
    chosen = fake_python(folder, "mine", "3.12.0")
    assert find_python(tmp_path, PYTHON=str(chosen)) == (0, str(chosen))
    old = fake_python(folder, "old", "3.8.0")
    assert "found 3.8.0" in find_python(tmp_path, PYTHON=str(old))[1]
    assert "PYTHON=/no/such does not run" in find_python(tmp_path, PYTHON="/no/such")[1]


# --- installing -------------------------------------------------------------------------------


@pytest.fixture
def course(tmp_path):
    """What an installation needs of the course, in a path with a space, and a .venv whose pip is
    a fake."""
    folder = tmp_path / "a course"
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "constraints.txt", "tools/bootstrap.py", "tools/find_python.sh"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "course-utils"\nversion = "0"\n'
        'dependencies = ["nothing-like-this-exists"]\n'
        "[project.optional-dependencies]\nlab = []\ndev = []\n[tool.setuptools]\npackages = []\n"
    )
    give_fake_pip(folder)
    return folder


def give_fake_pip(course):
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", course / ".venv"], check=True)
    (site,) = (course / ".venv").glob("lib/python3*/site-packages")
    (site / "pip").mkdir()
    (site / "pip" / "__init__.py").touch()
    (site / "pip" / "__main__.py").write_text(FAKE_PIP)
    (site / "torch").mkdir()  # the space that a real installation needs is not asked for


def start_bootstrap(course, extra="lab", **environment):
    return subprocess.Popen(
        [PYTHON, "tools/bootstrap.py", extra],
        cwd=course,
        env={**os.environ, "CALLS": str(course / "calls"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bootstrap(course, extra="lab", **environment):
    process = start_bootstrap(course, extra, **environment)
    said, wrong = process.communicate()
    assert wrong.count("\n") == (1 if process.returncode else 0), wrong
    return process.returncode, said, wrong


def calls(course):
    """How pip was called since the last question."""
    file = course / "calls"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


def test_a_second_call_does_nothing(course):
    assert bootstrap(course)[0] == 0
    first, second = calls(course)
    assert "setuptools -c constraints.txt" in first
    assert "-e .[lab] -c constraints.txt" in second
    began = time.monotonic()
    assert bootstrap(course) == (0, "", "")
    assert time.monotonic() - began < 5
    assert calls(course) == []


def test_what_tests_need_includes_what_the_lessons_need(course):
    bootstrap(course, "dev")
    assert "-e .[dev]" in calls(course)[1]
    bootstrap(course, "lab")
    assert calls(course) == []


def test_what_the_lessons_need_is_not_enough_for_the_tests(course):
    bootstrap(course, "lab")
    calls(course)
    bootstrap(course, "dev")
    assert "-e .[dev]" in calls(course)[1]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_recipe_is_installed(course, name):
    bootstrap(course)
    calls(course)
    with (course / name).open("a") as file:
        file.write("\n# changed\n")
    assert bootstrap(course)[0] == 0
    assert len(calls(course)) == 2


def test_a_moved_course_is_installed_again(course):
    """An editable installation knows its path."""
    bootstrap(course)
    calls(course)
    moved = course.rename(course.with_name("moved"))
    assert bootstrap(moved)[0] == 0
    assert len(calls(moved)) == 2


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"recipe": 1, "extra": "lab"}'])
def test_a_damaged_stamp_means_installing_again(course, stamp):
    (course / ".venv" / "course-installed.json").write_text(stamp)
    assert bootstrap(course)[0] == 0
    assert len(calls(course)) == 2


SAYINGS = {
    "the disk is full": "ERROR: Could not install packages due to an OSError: "
    "[Errno 28] No space left on device",
    "the network is down": "WARNING: Retrying (Retry(total=0)) after connection broken by "
    "'NewConnectionError: Failed to establish a new connection: [Errno -3] Temporary failure in "
    "name resolution': /simple/torch/\nERROR: No matching distribution found for torch>=2.4",
    "there is no torch==2.15.0 for Python": "ERROR: Could not find a version that satisfies torch\n"
    "ERROR: No matching distribution found for torch==2.15.0",
    "pip failed (log: .venv/install-": "ERROR: Failed to build course-utils",
}


@pytest.mark.parametrize("said", SAYINGS)
def test_what_is_wrong_is_said_in_one_line(course, said):
    status, _, wrong = bootstrap(course, SAYS=SAYINGS[said], STATUS="1")
    assert status == 1
    assert wrong.startswith(said)
    (log,) = (course / ".venv").glob("install-*.log")
    assert SAYINGS[said] in log.read_text()
    assert bootstrap(course)[0] == 0  # the next call tries again
    assert len(calls(course)) == 3


def test_steps_that_take_long_are_announced(course):
    lines = (
        "  Downloading https://x/torch-2.15.0-cp311-cp311-linux.whl (539.1 MB)\n"
        "Downloading einops-0.8.2-py3-none-any.whl (0.1 MB)\n"
        "Installing collected packages: torch, einops\n"
    )
    said = bootstrap(course, SAYS=lines)[1]
    assert "downloading torch (539 MB)" in said
    assert "einops" not in said
    assert "unpacking 2 packages" in said


def test_a_killed_installation_is_made_anew(course):
    process = start_bootstrap(course, SAYS="Installing collected packages: torch", TAKES="60")
    while "unpacking" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = course / ".venv" / "half-a-package"
    left.touch()
    # The new environment has a real pip, which finds no index.
    status, said, wrong = bootstrap(course, PIP_INDEX_URL="http://127.0.0.1:9", **NOTHING_LOCAL)
    assert "making .venv anew" in said
    assert not left.exists()
    assert (status, wrong.partition(" or ")[0]) == (1, "the network is down")


# The workplace may offer packages from elsewhere; these settings take all of that away.
NOTHING_LOCAL = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_NO_INDEX": "",
    "PIP_RETRIES": "1",
    "PYTHONPATH": "",
}


def test_a_kill_while_downloading_costs_nothing(course):
    process = start_bootstrap(course, SAYS="Collecting torch", TAKES="60")
    while not (course / "calls").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    calls(course)
    assert "anew" not in bootstrap(course)[1]
    assert len(calls(course)) == 2


def test_an_environment_whose_python_is_gone_is_made_anew(course):
    python = course / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")
    said = bootstrap(course, PIP_INDEX_URL="http://127.0.0.1:9", **NOTHING_LOCAL)[1]
    assert "making .venv anew" in said


def test_two_makes_at_once_install_once(course):
    both = [start_bootstrap(course, TAKES="0.5") for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(calls(course)) == 2
    assert sum("another make is installing" in text for text in said) == 1


def test_too_little_space_is_said_before_anything_is_loaded(course, tiny_disk):
    moved = shutil.copytree(course / "tools", tiny_disk / "tools").parent
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(course / name, moved)
    status, _, wrong = bootstrap(moved, CALLS=str(course / "calls"))
    assert status == 1
    assert re.match(r"the disk is too full: installing takes \d.\d GB, 0.0 GB are free", wrong)
    assert calls(course) == []


def test_a_disk_that_fills_while_installing(course, mount_tiny):
    shutil.rmtree(course / ".venv")
    (course / ".venv").mkdir()
    code = "import bootstrap, sys; bootstrap.check_space = lambda: None; bootstrap.main('lab')"
    with mount_tiny(course / ".venv"):
        result = subprocess.run(
            [PYTHON, "-c", code],
            cwd=course / "tools",
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("the disk is full")
    assert result.stderr.count("\n") == 1


# --- the commands -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_course(tmp_path_factory, make_venv):
    """A course with one lesson and one test in a path with a space. Its .venv borrows the packages
    that are installed here, so that the real installation needs neither minutes nor a network."""
    folder = tmp_path_factory.mktemp("path") / "with a space" / "course"
    mine = ("bootstrap.py", "find_python.sh", "lab.py", "workspace.py", "offline/sitecustomize.py")
    copied = (
        *("Makefile", "pyproject.toml", "constraints.txt", ".gitignore", "tests/conftest.py"),
        *("course_utils/__init__.py", "course_utils/progress.py", "course_utils/py.typed"),
        *(f"tools/{name}" for name in mine),
    )
    for name in copied:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("README.md", "LICENSE"):
        (folder / name).touch()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for package in project["tool"]["setuptools"]["packages"]:
        module = folder.joinpath(*package.split("."), "__init__.py")
        module.parent.mkdir(exist_ok=True)
        module.touch()
    (folder / "tests" / "test_one.py").write_text("def test_one():\n    assert 1 + 1 == 2\n")
    write_lesson(folder / "notebooks" / "00_start_here.ipynb")
    make_venv(folder / ".venv")
    return folder


def write_lesson(path):
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=1, id="cell")
    result = {"data": {"text/plain": "2"}, "execution_count": 1}
    cell.outputs = [nbformat.v4.new_output("execute_result", **result)]
    lesson = nbformat.v4.new_notebook(cells=[cell])
    lesson.metadata.kernelspec = {"name": "python3", "display_name": "x", "language": "python"}
    path.parent.mkdir()
    nbformat.write(lesson, path)


def make(course, *arguments):
    """`make`, as somebody runs it who has no network."""
    settings = {"PIP_NO_INDEX": "1", "PYTHON": getattr(sys, "_base_executable", sys.executable)}
    gone = ("MAKE", "MFLAGS", "PYTHONPATH", "JAXTYPING", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(gone)}
    return subprocess.Popen(
        ["make", *arguments],
        cwd=course,
        env={**inherited, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def opened(process):
    """The address that `make lab` prints, and what it said before."""
    said = []
    for line in process.stdout:
        said.append(line)
        address = re.search(r"http://127\.0\.0\.1:(\d+)(/\S*)\?token=(\w+)", line)
        if address:
            return address[1], address[2], address[3]
    pytest.fail("".join(said))


def status_of(address):
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except urllib.error.URLError:
            time.sleep(0.1)  # the address is printed a moment before somebody listens
    return None


def end(process):
    """Ctrl-C, as a terminal sends it: to all processes in the foreground."""
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=30)[0]


@pytest.mark.slow
def test_make_lab(small_course):
    first = make(small_course, "lab")
    second = None
    try:
        port, page, token = opened(first)
        assert page == "/lab/tree/00_start_here.ipynb"
        here = f"http://127.0.0.1:{port}"
        assert status_of(f"{here}{page}?token={token}") == 200
        assert status_of(f"{here}/api/contents") == 403
        assert status_of(f"{here}/api/contents?token=guessed") == 403
        with urllib.request.urlopen(f"{here}/api/kernelspecs?token={token}") as answer:
            assert list(json.load(answer)["kernelspecs"]) == ["python3"]

        began = time.monotonic()
        second = make(small_course, "lab")
        other_port = opened(second)[0]
        assert time.monotonic() - began < 10
        assert int(other_port) > int(port)
    finally:
        said = [end(process) for process in (first, second) if process]
    assert "Traceback" not in "".join(said)
    assert (small_course / "work" / "00_start_here.ipynb").exists()


@pytest.mark.slow
def test_make_reset(small_course):
    make(small_course, "reset", "LESSON=00").communicate()
    (small_course / "work" / "00_start_here.ipynb").write_text("my answer")
    process = make(small_course, "reset", "LESSON=00")
    assert "00_start_here.ipynb is fresh; what you had is kept as" in process.communicate()[0]
    process = make(small_course, "reset")
    said = process.communicate()[0]
    assert "make reset LESSON=03, one of 00_start_here" in said
    assert process.returncode == 2


@pytest.mark.slow
def test_make_test(small_course):
    process = make(small_course, "test")
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert re.fullmatch(r"=+ 2 passed in .*=+", said.splitlines()[-1])
    lesson = small_course / "notebooks" / "00_start_here.ipynb"
    lesson.write_text(lesson.read_text().replace('"2"', '"3"'))
    process = make(small_course, "test")
    assert "1 failed, 1 passed" in process.communicate()[0]
    assert process.returncode == 2


# --- .ci/run ----------------------------------------------------------------------------------

FAKE_MAKE = """#!/bin/sh
mkdir -p .venv/large
echo "COURSE_DATA=$COURSE_DATA in $PWD"
echo "===== $1: {closing} in 3.21s (0:00:03) ====="
echo "make: a last word"
[ "$1" != {fails} ] || exit 2
"""


@pytest.mark.parametrize("fails", ["nothing", "test", "test-browser"])
@pytest.mark.parametrize("had_one", [False, True])
def test_what_ci_runs(tmp_path, fails, had_one):
    clone = tmp_path / "a clone"
    (clone / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    if had_one:
        (clone / ".venv").mkdir()
    program = tmp_path / "bin" / "make"
    program.parent.mkdir()
    program.write_text(FAKE_MAKE.format(closing="5 passed, 1 skipped", fails=fails))
    program.with_name("chromium").write_text("#!/bin/sh\n")  # else it would be installed
    for file in program.parent.iterdir():
        file.chmod(0o755)
    result = subprocess.run(
        [clone / ".ci" / "run"],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == (0 if fails == "nothing" else 2)
    lines = result.stdout.splitlines()
    browser = "===== test-browser: 5 passed, 1 skipped in 3.21s (0:00:03) ====="
    assert lines[-2] == f"make test-browser: {browser}"
    assert lines[-1] == "===== test: 5 passed, 1 skipped in 3.21s (0:00:03) ====="
    assert lines[0] == f"COURSE_DATA={tmp_path / 'shared' / 'data'} in {clone}"
    assert (clone / ".venv").exists() == had_one  # only what it made is gone
