"""Processes on this machine, started and ended from a notebook: together, or to be killed."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Processes = list[tuple[subprocess.Popen[bytes], Any]]
LOOPBACK = {"linux": "lo", "darwin": "lo0"}


def run_processes(
    commands: Sequence[Sequence[str]],
    *,
    folder: Path | str | Sequence[Path],
    together: bool = False,
    timeout: float = 180,
) -> list[str]:
    """Run Python with each list of arguments, all at once; what each printed.

    `folder` is where they work: one for all, or one for each.

    With `together` they are one job: they get RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
    MASTER_PORT as from torchrun, and meet at a free port of 127.0.0.1. Each has one thread.

    Raises `RuntimeError` with the last lines of a process that failed, `TimeoutError` after `timeout`
    seconds; none is left running.
    """
    deadline = time.monotonic() + timeout
    folders = [folder] * len(commands) if isinstance(folder, Path | str) else list(folder)
    with _started(commands, folders, together) as processes:
        while None in (codes := [process.poll() for process, _ in processes]):
            if any(codes):
                break  # the others would wait for it
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"after {timeout:.0f} s a process was still running; it was ended. On a busy "
                    "machine give a longer timeout"
                )
            time.sleep(0.02)
        for command, (process, printed) in zip(commands, processes, strict=True):
            if process.returncode:
                raise RuntimeError(
                    f"python {' '.join(command)} ended with {process.returncode}:\n"
                    f"{_text(printed)[-2000:]}"
                )
        return [_text(printed) for _, printed in processes]


def kill_when(
    command: Sequence[str],
    condition: Callable[[], bool],
    *,
    folder: Path | str,
    timeout: float = 180,
) -> int:
    """Run Python with these arguments, and kill it (SIGKILL) once `condition()` is true.

    Returns the code that the system reports, -9 on Linux and macOS. Raises `RuntimeError` if the
    process ended before, `TimeoutError` if the condition was never true.
    """
    deadline = time.monotonic() + timeout
    with _started([command], [folder], False) as ((process, printed),):
        while not condition():
            if process.poll() is not None:
                raise RuntimeError(
                    f"the process ended by itself ({process.returncode}) before it was killed:\n"
                    f"{_text(printed)[-2000:]}"
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing to kill it for happened in {timeout:.0f} s")
            time.sleep(0.005)
        process.kill()
        return process.wait()


@contextmanager
def _started(
    commands: Sequence[Sequence[str]], folders: Sequence[Path | str], together: bool
) -> Any:
    """The processes, each with the file that it prints into; at the end all are gone."""
    port = _free_port()
    processes: Processes = []
    try:
        for rank, (command, folder) in enumerate(zip(commands, folders, strict=True)):
            printed = tempfile.TemporaryFile()  # noqa: SIM115  (a pipe that nobody empties may block)
            started = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env=_environment(rank, len(commands), port) if together else _alone(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children can be ended with it
            )
            processes.append((started, printed))
        yield processes
    finally:
        for process, printed in processes:
            _end(process)
            printed.close()


def _alone() -> dict[str, str]:
    """This process's environment, for one thread, with gloo on the loopback interface."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    if sys.platform in LOOPBACK:
        environment.setdefault("GLOO_SOCKET_IFNAME", LOOPBACK[sys.platform])
    return environment


def _environment(rank: int, world_size: int, port: int) -> Mapping[str, str]:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "MASTER_PORT": port}
    return {**_alone(), **{name: str(value) for name, value in places.items()}}


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and, where the system has groups, all that it started."""
    if process.poll() == 0:
        return
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):  # gone already
            os.killpg(process.pid, signal.SIGKILL)  # its group has its number
    else:
        process.kill()
    process.wait()


def _text(printed: Any) -> str:
    printed.seek(0)
    return printed.read().decode(errors="replace").replace("\r\n", "\n")


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
