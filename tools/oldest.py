"""Are the lower bounds of pyproject.toml true? `make test-oldest` runs the unit tests on them.

In a temporary copy and environment, several gigabytes, gone at the end. The result is recorded in
course_utils/results/oldest.json, which a test compares with the bounds as they are.
"""

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "course_utils" / "results" / "oldest.json"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", "work", "build", "__pycache__")
# How the course is installed, and how its lessons are written, executed and shown, is told by other
# tests; its text, on which a tokenizer is trained, is that of the versions in constraints.txt.
LEFT_OUT = (
    "test_bootstrap.py",
    "test_environment.py",
    "test_colab.py",
    "test_lessons.py",
    "test_interactive.py",
)


def main() -> None:
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            "the lowest versions exist for the lowest Python: make test-oldest PYTHON=python3.11"
        )
    with tempfile.TemporaryDirectory(prefix="oldest-") as name:
        folder = Path(name)
        course = Path(shutil.copytree(ROOT, folder / "course", ignore=NOT_COPIED))
        python = install_oldest(course, folder / "venv")
        counts, status = run_tests(python, course, folder / "report.xml")
        versions = versions_in(python)
    record(counts, versions)
    print(f"{RECORD.relative_to(ROOT)}: {counts}")
    sys.exit(status)


def bounds() -> dict[str, str]:
    """Every direct dependency, of all extras, and its bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    found = {canonicalize_name(r.name): str(r.specifier) for r in map(Requirement, lines)}
    return {name: bound for name, bound in sorted(found.items()) if name != "course-utils"}


def install_oldest(course: Path, venv: Path) -> Path:
    """An environment with the lowest version of each direct dependency; what those need is new."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    # pip always takes the newest versions; uv can be told to take the lowest.
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    lowest = ("--quiet", "--resolution", "lowest-direct", "--no-cache", "--python", str(python))
    subprocess.run(
        [python, "-m", "uv", "pip", "install", *lowest, "-e", f"{course}[dev]"],
        check=True,
        env={**os.environ, "TMPDIR": str(venv.parent)},  # the downloads go when the rest goes
    )
    return python


def run_tests(python: Path, course: Path, report: Path) -> tuple[dict[str, int], int]:
    """The unit tests. Old versions warn of what was new to them: here a warning is no error."""
    options = [
        "-m",
        "not slow and not browser",
        "-o",
        "filterwarnings=default",
        "-q",
        f"--junitxml={report}",
    ]
    ignored = [f"--ignore=tests/{name}" for name in LEFT_OUT]
    tests = subprocess.run(
        [python, "-m", "pytest", "tests", *options, *ignored], cwd=course, check=False
    )
    suite = xml.etree.ElementTree.parse(report).getroot()[0]
    total, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    counts = {"passed": total - skipped - failed, "skipped": skipped, "failed": failed}
    return counts, tests.returncode


def versions_in(python: Path) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    return json.loads(subprocess.check_output([python, "-c", code, *bounds()], text=True))


def record(counts: dict[str, int], versions: dict[str, str]) -> None:
    content = {
        "recipe": "make test-oldest: unit tests on the lowest direct versions, the rest new",
        "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()})",
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        **counts,
        "bounds": bounds(),
        "versions": versions,
    }
    RECORD.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
