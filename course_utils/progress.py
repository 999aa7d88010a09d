"""What a learner has passed, remembered in `work/.course/progress.json`. Nothing leaves the machine.

`make lab` makes the folder `work/.course`. Where there is none (on Colab, in the tests, in a copy of
the lessons of one's own) nothing is written, and what was passed is known until the kernel ends.

The file stays readable whatever happens: it is never changed, only replaced as a whole, by one
process at a time.
"""

import datetime
import json
import os
from pathlib import Path

FILE = "progress.json"
LOCK_SECONDS = 5.0  # a write takes milliseconds; a lock held for longer is not one of ours

_passed_here: dict[str, str] = {}


def find_work_folder(start: Path | None = None) -> Path | None:
    """The nearest folder with a `.course` folder in it, from `start` (else here) upward, or None."""
    here = (start or Path.cwd()).resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".course").is_dir()), None)


def remember(exercise: str) -> str | None:
    """Records that `exercise` ("3.1") was passed today, unless it was passed before.

    Returns None when all went well, else one line that says what did not. Never raises for a
    file that cannot be written: what was passed is then still known until the kernel ends.
    """
    _passed_here.setdefault(exercise, datetime.date.today().isoformat())
    work = find_work_folder()
    if work is None:
        return None
    try:
        return _save(work / ".course" / FILE)
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        reason = getattr(error, "strerror", None) or error
        return f"Passed, but your progress could not be saved in {work / '.course'}: {reason}."


def passed() -> dict[str, str]:
    """Exercise -> ISO date on which it was first passed, from the file and from this session."""
    work = find_work_folder()
    try:
        saved = _read(work / ".course" / FILE) if work else {}
    except (OSError, ValueError):
        saved = {}  # remember() says what is wrong with it
    return dict(sorted(_merge(saved, _passed_here).items(), key=lambda item: _order(item[0])))


def replace_file(path: Path, content: bytes) -> None:
    """Puts `content` in place of the file: a kill or a full disk leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may keep the new name and lose its content
    os.replace(new, path)


def _save(path: Path) -> str | None:
    from filelock import FileLock

    # Two tabs are two processes: each reads, adds what it knows and replaces, one after the other.
    with FileLock(path.with_name("lock"), timeout=LOCK_SECONDS):
        warning = None
        try:
            saved = _read(path)
        except ValueError as error:
            aside = _set_aside(path)
            saved = {}
            warning = (
                f"{path.name} was damaged ({error}): kept as {aside.name}, a new one is begun."
            )
        now = _merge(saved, _passed_here)
        if now != saved:
            replace_file(path, json.dumps({"passed": now}, indent=1).encode())
        return warning


def _read(path: Path) -> dict[str, str]:
    """The saved progress; {} if there is none yet. A ValueError says what is damaged."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        return {}
    content = json.loads(text)
    saved = content.get("passed") if isinstance(content, dict) else None
    if not isinstance(saved, dict) or not all(isinstance(date, str) for date in saved.values()):
        raise ValueError('expected {"passed": {exercise: date}}')
    return saved


def _merge(one: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    """Both; of two dates the first."""
    return {key: min(d[key] for d in (one, other) if key in d) for key in one | other}


def _order(exercise: str) -> tuple:
    """Sorts "3.2" before "3.10" and before "10.1", and bears whatever a person wrote."""
    return tuple((int(part), "") if part.isdecimal() else (0, part) for part in exercise.split("."))


def _set_aside(path: Path) -> Path:
    """Renames a damaged file to a name that is free."""
    stem = f"progress.damaged-{datetime.date.today().isoformat()}"
    names = (f"{stem}{suffix}.json" for suffix in ("", *(f"-{n}" for n in range(2, 1000))))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    os.rename(path, aside)
    return aside
