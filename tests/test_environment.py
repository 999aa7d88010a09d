"""The three descriptions of an environment agree, and installing the course replaces nobody's torch."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PLATFORM = (
    "nvidia-",
    "cuda-",
    "triton",
    "course-utils",
)  # torch pins these itself, for each platform


def requirements(lines):
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def declared():
    """Every direct dependency, of all extras."""
    extras = PROJECT["optional-dependencies"].values()
    found = requirements([*PROJECT["dependencies"], *(line for extra in extras for line in extra)])
    return {name: requirement for name, requirement in found.items() if name != "course-utils"}


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return requirements(line for line in lines if line and not line.startswith("#"))


def lowest(requirement):
    (bound,) = requirement.specifier
    return bound.version


def needed_by(name, extras=()):
    """The names of all that a package needs here, at any depth."""
    seen, waiting = set(), [(name, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        for need in map(Requirement, distribution(name).requires or []):
            wanted = need.marker is None or need.marker.evaluate({"extra": extra})
            for pair in [(canonicalize_name(need.name), e) for e in ("", *need.extras)]:
                if wanted and pair not in seen:
                    seen.add(pair)
                    waiting.append(pair)
    return {name for name, _ in seen}


@pytest.fixture
def as_pinned():
    """This environment, if it was made from constraints.txt."""
    other = {n: version(n) for n, r in pinned().items() if not r.specifier.contains(installed(n))}
    if len(other) > 10:
        pytest.skip("this environment was not made from constraints.txt")
    return other


def installed(name):
    try:
        return version(name)
    except ModuleNotFoundError:
        return "0"


# --- the three files --------------------------------------------------------------------------


def test_bounds_are_lower_bounds_only():
    for name, requirement in declared().items():
        assert [bound.operator for bound in requirement.specifier] == [">="], name


def test_conda_brings_python_and_pip_only():
    conda = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    assert [re.split("[=<>]", entry)[0] for entry in conda] == ["python", "pip"]
    python = conda[0].removeprefix("python=")
    assert SpecifierSet(PROJECT["requires-python"]).contains(f"{python}.0")


def test_conda_has_no_second_list():
    (pip,) = (entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[lab]"]
    assert "lab" in PROJECT["optional-dependencies"]


def test_constraints_are_exact():
    for name, requirement in pinned().items():
        (pin,) = requirement.specifier
        assert pin.operator == "==", name
        assert Version(pin.version).local is None, f"{name}: no package index has {pin.version}"
        assert not name.startswith(PLATFORM), name


def test_constraints_hold_every_direct_dependency_within_its_bounds():
    pins = pinned()
    for name, requirement in declared().items():
        (pin,) = pins[name].specifier
        assert requirement.specifier.contains(pin.version), name


def test_constraints_hold_what_those_need(as_pinned):
    needed = {name for name in needed_by("course-utils", ["dev"]) if not name.startswith(PLATFORM)}
    assert needed - pinned().keys() == set()


def test_what_is_tested_here_is_what_is_pinned(as_pinned):
    assert as_pinned == {}


def test_pinned_versions_install_on_every_python_that_the_course_allows(as_pinned):
    """Debian 12 has 3.11.2: a package that asks for 3.11.5 would end `make lab` there."""
    first = re.search(r"[\d.]+", PROJECT["requires-python"])[0] + ".0"
    for name in pinned():
        asks = distribution(name).metadata["Requires-Python"]
        assert SpecifierSet(asks or "").contains(first), f"{name} asks for Python {asks}"


# --- what is imported is declared -------------------------------------------------------------


def top_level_imports(source):
    """Modules that are imported when the file is, not inside a function."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def sources():
    for path in sorted((ROOT / "course_utils").rglob("*.py")):
        yield pytest.param(path.read_text(), id=path.relative_to(ROOT).as_posix())
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        lines = "\n".join(code).splitlines()
        magic = re.compile(r"^(\s*)[%!].*")
        yield pytest.param("\n".join(magic.sub(r"\1pass", line) for line in lines), id=path.name)


@pytest.mark.parametrize("source", [*sources()])
def test_every_import_is_a_dependency(source):
    owners = packages_distributions()
    allowed = requirements(PROJECT["dependencies"]).keys() | {"ipython"}  # ipywidgets brings it
    for module in set(top_level_imports(source)) - sys.stdlib_module_names - {"course_utils"}:
        names = {canonicalize_name(name) for name in owners.get(module, [module])}
        assert names & allowed, f"{module} is imported but not among the dependencies"


# --- the lower bounds -------------------------------------------------------------------------


def test_the_unit_tests_passed_on_the_lowest_versions():
    """Recorded by `make test-oldest`; a bound that changed since has to be tried again."""
    record = json.loads((ROOT / "course_utils" / "results" / "oldest.json").read_text())
    assert record["bounds"] == {name: str(r.specifier) for name, r in sorted(declared().items())}
    assert record["passed"] > 0
    assert record["failed"] == 0
    for name, requirement in declared().items():
        assert requirement.specifier.contains(record["versions"][name]), name


# --- into an environment that one already has -------------------------------------------------


# Two years old when this was written: an environment that somebody may well have.
ALREADY_THERE = {"torch": "2.6.0", "torchvision": "0.21.0"}


def pretend_installed(site, name, number):
    folder = site / f"{name.replace('-', '_')}-{number}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")


def offer(folder, name, number):
    """A wheel in a folder that pip may take packages from."""
    info = f"{name}-{number}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def old_environment(tmp_path):
    """An older torch, the rest at its lower bound, as if all had been there for long; newer ones
    are offered."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "old"], check=True)
    (site,) = (tmp_path / "old").glob("lib/python3*/site-packages")
    for name, requirement in requirements(PROJECT["dependencies"]).items():
        pretend_installed(site, name, ALREADY_THERE.get(name, lowest(requirement)))
        offer(tmp_path / "offered", name.replace("-", "_"), "99.0")
    for entry in distribution("setuptools").locate_file("").iterdir():
        if re.match(r"setuptools|_distutils_hack|pkg_resources", entry.name):
            (site / entry.name).symlink_to(entry)  # what builds the course
    return tmp_path


def test_installing_replaces_no_torch_that_is_there(old_environment, copy_of_course):
    report = old_environment / "report.json"
    command = [
        *(sys.executable, "-m", "pip", "--python", old_environment / "old" / "bin" / "python"),
        *("install", "--dry-run", "--quiet", "--report", report, "--no-build-isolation"),
        *("--no-index", "--find-links", old_environment / "offered", copy_of_course),
    ]
    subprocess.run(command, check=True)
    would_install = json.loads(report.read_text())["install"]
    assert [entry["metadata"]["name"] for entry in would_install] == ["course-utils"]
