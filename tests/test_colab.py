"""Every lesson as Colab meets it: the notebook alone in an empty folder, the package from a clone.

torch and the rest are there before, the course is not; `google.colab` is imported when the kernel
starts; there is no network but for the address of the course, which leads to a local clone.
"""

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OFFLINE = ROOT / "tools" / "offline"

# Runs in the environment that stands for Colab's, in the folder with the notebook; writes nothing there.
RUN = """
import importlib.util, json, sys
import nbformat
from nbclient import NotebookClient
from nbclient.output_widget import OutputWidget

OutputWidget.send = lambda self, *arguments, **options: None  # nbclient #312: may stall a cell
before = importlib.util.find_spec("course_utils")
lesson = nbformat.read(sys.argv[1], 4)
lesson.cells.append(nbformat.v4.new_code_cell(
    "import course_utils, torch; print(course_utils.__file__, torch.__file__, sep='|')"
))
NotebookClient(lesson, timeout=600, kernel_name="python3", record_timing=False).execute()
places = lesson.cells[-1].outputs[0].text.strip().split("|")
print(json.dumps({"before": before is not None, "course": places[0], "torch": places[1]}))
"""


@pytest.fixture(scope="session")
def published(copy_of_course, tmp_path_factory):
    """The course as it lies here, committed: what its address leads to."""
    clone = shutil.copytree(copy_of_course, tmp_path_factory.mktemp("published") / "course")
    author = ["-c", "user.name=Author", "-c", "user.email=author@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "All"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    return clone


@pytest.fixture
def colab(tmp_path, make_venv, published):
    """A machine as Colab hands it out: its Python, its settings, its empty folder."""
    python = make_venv(tmp_path / "venv")
    (site,) = (tmp_path / "venv").glob("lib/python3*/site-packages")
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-colab.py").write_text("import google.colab\n")
    (tmp_path / "content").mkdir()
    return {"python": python, "site": site, "folder": tmp_path / "content", "top": tmp_path}


def settings(colab, published):
    course = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["course"]
    gone = ("COURSE_DATA", "VIRTUAL_ENV", "PIP_", "JUPYTER")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(gone)}
    return inherited | {
        "PYTHONPATH": str(OFFLINE),
        "IPYTHONDIR": str(colab["top"] / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(colab["top"] / "runtime"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round: no isolation, no network
        # The published address leads to the clone here: the notebook runs unmodified.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{published}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{course['repository']}",
    }


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_lesson_runs_on_colab(lesson, colab, published):
    shutil.copy(lesson, colab["folder"])
    result = subprocess.run(
        [colab["python"], "-c", RUN, lesson.name],
        cwd=colab["folder"],
        env=settings(colab, published),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert not found["before"], "the course was there before the lesson installed it"
    assert Path(found["course"]).parents[1] == colab["site"]
    assert Path(found["torch"]).parents[1] != colab["site"]
    assert not list(colab["site"].glob("torch*")), "torch was replaced"
    assert [path.name for path in colab["folder"].iterdir()] == [lesson.name]
