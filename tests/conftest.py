"""What all tests stand on: the environment of the kernels, no network, an installation to borrow."""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = ROOT / "tools" / "offline"

# Before anything imports torch or starts a kernel: nbval's kernels inherit this environment.
os.environ["COURSE_QUIET"] = "1"  # no progress bars: their output is never twice the same
os.environ["OMP_NUM_THREADS"] = "2"  # sums in another order differ in the last digits
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["COURSE_CACHE"] = ""  # feature vectors are kept nowhere but where a test says
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
    (folder / "bin").symlink_to(sysconfig.get_path("scripts"))  # where ruff looks for its program
    return folder


@pytest.fixture(scope="session")
def make_venv(packages_without_course):
    """make_venv(folder): an environment with its own site-packages that borrows those of this one."""

    def make(folder):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (site,) = folder.glob("lib/python3*/site-packages")
        (site / "borrowed.pth").write_text(f"{packages_without_course}\n", encoding="utf-8")
        (folder / "share").symlink_to(Path(sys.prefix) / "share")  # JupyterLab's pages
        return folder / "bin" / "python"

    return make


@pytest.fixture
def without_shape_types(monkeypatch):
    """The package as its users have it: shapes are not checked by types, only by our own errors."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@contextmanager
def mounted(folder):
    """A disk of 256 KiB, in memory; only root may make one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs root and mount, to make a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def mount_tiny():
    """with mount_tiny(folder): the folder is a disk of 256 KiB."""
    return mounted


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 256 KiB, still empty."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    with mounted(folder) as disk:
        yield disk


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody, not even root, may write to once it is closed."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    with mounted(folder):
        remount = ["mount", "-o", "remount,ro", str(folder)]
        yield SimpleNamespace(folder=folder, close=lambda: subprocess.run(remount, check=True))


@pytest.fixture(scope="session")
def copy_of_course(tmp_path_factory):
    """The course as it lies here, without what git ignores: to build or to publish it from."""
    folder = tmp_path_factory.mktemp("copy") / "course"
    for path in published_files():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


def published_files():
    """What git knows or would take; outside a clone everything but what is made here."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        made = {".venv", "work", "__pycache__", ".git"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not made & set(p.parts)]
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture
def on_meta(monkeypatch):
    """with on_meta(): models are built without memory; the releases that count layers with it too.

    Older timm and transformers read numbers out of `torch.linspace`, which has none on "meta".
    """
    import torch

    @contextmanager
    def without_memory():
        monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
        with torch.device("meta"):
            yield

    return without_memory


def start_site_build(folder):
    """`make site` without the installing, into a folder; two may run side by side."""
    command = [sys.executable, ROOT / "tools" / "build_site.py", folder]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="session")
def two_sites(tmp_path_factory):
    """The course site, built twice, in two places."""
    folders = [tmp_path_factory.mktemp(name) / "site" for name in ("one", "another place")]
    for build in [start_site_build(folder) for folder in folders]:
        said, _ = build.communicate()
        assert build.returncode == 0, said
        assert "WARNING" not in said
    return folders


@pytest.fixture(scope="session")
def site(two_sites):
    """The folder of the course site."""
    return two_sites[0]
