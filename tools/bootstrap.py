"""Makes or reuses `.venv` and installs the course into it: `python tools/bootstrap.py lab|dev`.

Called by make, with the Python that tools/find_python.sh found. What goes wrong is said in one line.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "course-installed.json"
UNFINISHED = VENV / "course-unfinished"

# Measured on Linux, where PyTorch brings the CUDA libraries: what is downloaded, what it unpacks to.
DOWNLOADED, UNPACKED = (2.7, 6.4) if sys.platform == "linux" else (0.6, 2.0)
SATISFIED_BY = {"lab": ("lab", "dev"), "dev": ("dev",)}

NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError"
    r"|Connection to .* timed out|Connection reset|Network is unreachable|Name or service not known"
    r"|Temporary failure in name resolution|Failed to establish a new connection|IncompleteRead"
    r"|ProtocolError|HTTP error 5\d\d|5\d\d Server Error"
)
DISK_FULL = re.compile(r"No space left on device|Errno 28|Disk quota exceeded|Errno 122")


class InstallError(Exception):
    """What is wrong, in one line, for the person who typed `make`."""


def install(extra: str) -> None:
    """Installs `.[extra]` unless the stamp says that it is there already."""
    with one_at_a_time():
        if is_installed(extra):
            return
        check_space()
        make_environment()
        log = VENV / f"install-{time.strftime('%Y-%m-%d')}.log"
        say(f"installing the course into .venv: {what_to_expect()}; log: {log.relative_to(ROOT)}")
        # setuptools first and no build isolation: what builds the course is a tested version too,
        # and a folder that was moved can be repaired with no network.
        constraints = ["-c", "constraints.txt"]
        pip(["setuptools", *constraints], log)
        pip(["--no-build-isolation", "-e", f".[{extra}]", *constraints], log)
        STAMP.write_text(json.dumps({"recipe": recipe(), "extra": extra}), encoding="utf-8")
        UNFINISHED.unlink(missing_ok=True)
        say("installed")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two makes at once would install into each other's half-made environment."""
    with open(__file__, encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another make is installing; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks: go on alone
        yield


def recipe() -> str:
    """What an installation depends on; the place too, because an editable install knows its path."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def is_installed(extra: str) -> bool:
    """True if a finished installation of this recipe, or of a larger one, is there."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        done = stamp["recipe"] == recipe() and stamp["extra"] in SATISFIED_BY[extra]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return done and not UNFINISHED.exists() and PYTHON.exists()


def make_environment() -> None:
    """A `.venv` that works: kept if it does, made anew if it does not or was left half-made."""
    if not UNFINISHED.exists() and environment_works():
        return
    say("making .venv anew" if VENV.exists() else "making .venv")
    status, output = run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if status:
        fail("could not make .venv", output)


def environment_works() -> bool:
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        status, _ = run([str(PYTHON), "-c", probe])
    except OSError:
        return False
    return status == 0


def has_torch() -> bool:
    """True if the large part is there."""
    return any(VENV.glob("lib/python3*/site-packages/torch"))


def what_to_expect() -> str:
    if has_torch():
        return "what is new"
    return f"{DOWNLOADED} GB to download, {UNPACKED} GB on the disk, some minutes"


def check_space() -> None:
    # The downloads lie beside what they are unpacked to until the end.
    needed = 0.5 if has_torch() else DOWNLOADED + UNPACKED
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < needed:
        raise InstallError(
            f"the disk is too full: installing takes {needed:.1f} GB, {free:.1f} GB are free "
            f"in {ROOT}; free some and run make again"
        )


def pip(arguments: list[str], log: Path) -> None:
    """Runs `pip install`, its output into the log, its milestones onto the screen."""
    command = [str(PYTHON), "-m", "pip", "install", "--progress-bar", "off", *arguments]
    with log.open("a", encoding="utf-8") as file:
        process = start(command, pip_environment())
        assert process.stdout
        lines = []
        for line in process.stdout:
            file.write(line)
            lines.append(line)
            if line.startswith("Installing collected packages:"):
                UNFINISHED.touch()  # up to here nothing was changed: a kill now leaves a half
            announce(line)
    if process.wait():
        fail(f"pip failed (log: {log.relative_to(ROOT)})", "".join(lines))


def pip_environment() -> dict[str, str]:
    # A temporary folder may be small and in memory: download to where the space was checked.
    temporary = VENV / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)  # what a killed installation left
    temporary.mkdir()
    return {
        "PIP_RETRIES": "2",  # with no network, say so within a minute
        "PIP_DEFAULT_TIMEOUT": "20",
        **clean_environment(),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",  # milestones when they happen
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_USER": "0",  # some people's pip.conf says --user: impossible in a .venv
    }


def clean_environment() -> dict[str, str]:
    """Without what would make pip take another installation's packages for ours."""
    foreign = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    """The program, started; what it says on either channel comes as text."""
    return subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )


def run(command: list[str]) -> tuple[int, str]:
    process = start(command, clean_environment())
    output, _ = process.communicate()
    return process.returncode, output


def announce(line: str) -> None:
    """One short line for each step that takes a while."""
    download = re.match(r"\s*Downloading (\S+?)-\S+ \(([\d.]+) ([MG]B)\)", line)
    if download and (download[3] == "GB" or float(download[2]) >= 50):
        name = download[1].rpartition("/")[2]
        say(f"  downloading {name} ({float(download[2]):.0f} {download[3]})")
    elif line.startswith("Installing collected packages:"):
        say(f"  unpacking {line.count(',') + 1} packages")


def fail(what: str, output: str) -> NoReturn:
    """Raises the one line that says why, from a program's output."""
    # What venv says of its own pip hides the reason, hence the look at the disk.
    if DISK_FULL.search(output) or shutil.disk_usage(VENV).free < 20e6:
        raise InstallError(
            f"the disk is full: installing takes {DOWNLOADED + UNPACKED:.1f} GB, most of it here, "
            "some in pip's cache; free some and run make again (rm -rf .venv frees what is there)"
        )
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR:")]
    missing = next((line for line in errors if "No matching distribution" in line), None)
    if NETWORK.search(output):
        raise InstallError(
            "the network is down or the package index cannot be reached: installing needs it once; "
            "connect (a proxy: set HTTPS_PROXY) and run make again"
        )
    if missing:
        version = ".".join(map(str, sys.version_info[:2]))
        package = missing.rpartition(" ")[2]
        raise InstallError(
            f"there is no {package} for Python {version} on this machine ({sys.platform}); "
            "try another Python: make ... PYTHON=/path/to/python3.12"
        )
    reason = errors[0] if errors else last_line(output.splitlines())
    raise InstallError(f"{what}: {reason}")


def last_line(lines: Iterable[str]) -> str:
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else "no reason given"


def say(text: str) -> None:
    print(text, flush=True)


def main(extra: str) -> None:
    try:
        install(extra)
    except InstallError as error:
        sys.exit(str(error))
    except OSError as error:
        if DISK_FULL.search(str(error)):
            sys.exit("the disk is full; free some space and run make again")
        sys.exit(f"could not install: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; run make again to go on")


if __name__ == "__main__":
    main(sys.argv[1])
