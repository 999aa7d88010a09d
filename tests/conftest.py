"""What all tests stand on: the environment of the kernels, no network, an installation to borrow."""

import os
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = ROOT / "tools" / "offline"

# Before anything imports torch or starts a kernel: nbval's kernels inherit this environment.
os.environ["COURSE_QUIET"] = "1"  # no progress bars: their output is never twice the same
os.environ["OMP_NUM_THREADS"] = "2"  # sums in another order differ in the last digits
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
)
runpy.run_path(str(OFFLINE / "sitecustomize.py"))

# The authors' tools are scripts, not a package; appended, so that they hide nothing.
sys.path.append(str(ROOT / "tools"))


@pytest.fixture(scope="session")
def packages_without_course(tmp_path_factory):
    """A folder with everything that is installed here but the course: what a machine brings."""
    folder = tmp_path_factory.mktemp("packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "course_utils" not in entry.name and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def make_venv(packages_without_course):
    """make_venv(folder): an environment with its own site-packages that borrows those of this one."""

    def make(folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (site,) = folder.glob("lib/python3*/site-packages")
        (site / "borrowed.pth").write_text(f"{packages_without_course}\n", encoding="utf-8")
        return folder / "bin" / "python"

    return make
