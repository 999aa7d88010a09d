"""The learner's copy of the lessons, `work/`: made on first use, never written over.

`python tools/workspace.py 03` starts one lesson afresh (`make reset LESSON=03`).

What was laid is remembered by its hash in `work/.course/manifest.json`, so that a lesson which
changed in the course can be told from one that the learner changed.
"""

import datetime
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from course_utils.progress import replace_file

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "notebooks"
WORK = ROOT / "work"


@dataclass
class Report:
    """What `lay_out` did: the names of the new files in `work/`."""

    laid: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = []
        if self.laid:
            lines.append(f"Laid out in work/: {', '.join(self.laid)}")
        if self.beside:
            lines.append(f"Changed in the course, laid beside yours: {', '.join(self.beside)}")
        return "\n".join(lines)


def lay_out(source: Path = LESSONS, work: Path = WORK) -> Report:
    """Copies what is not in `work` yet; lays a lesson that has changed in `source` beside the old."""
    report = Report()
    with manifest_of(work) as manifest:
        for original in course_files(source):
            name = original.relative_to(source).as_posix()
            content = original.read_bytes()
            target = work / name
            if place(content, target, work):
                report.laid.append(name)
            elif is_untouched_picture(target, manifest.get(name)):
                os.replace(write_temporary(content, work), target)
            elif manifest.get(name) != digest(content) and not lies_in(target, content):
                beside = free_name(target, "updated")
                place(content, beside, work)
                report.beside.append(beside.name)
            manifest[name] = digest(content)
    return report


def reset(lesson: str, source: Path = LESSONS, work: Path = WORK) -> str:
    """Starts a lesson afresh; returns the sentence that says where the old file is."""
    original = find_lesson(lesson, source)
    target = work / original.name
    if not target.exists():
        lay_out(source, work)
    with manifest_of(work) as manifest:
        content = original.read_bytes()
        if target.read_bytes() == content:
            return f"{target.name} is as new already."
        kept = free_name(target, "before")
        os.rename(target, kept)  # a rename moves whatever is there, also what was saved just now
        place(content, target, work)
        manifest[target.name] = digest(content)
    return f"{target.name} is fresh; what you had is kept as {kept.name}."


def find_lesson(lesson: str, source: Path) -> Path:
    """The lesson with that number ("3", "03") or name; a ValueError lists those that exist."""
    lessons = sorted(source.glob("*.ipynb"))
    wanted = lesson.removesuffix(".ipynb")
    number = wanted.zfill(2) if wanted.isdecimal() else None
    for path in lessons:
        if path.stem == wanted or path.stem.partition("_")[0] == number:
            return path
    known = ", ".join(path.stem for path in lessons)
    raise ValueError(f"no lesson {lesson!r}: make reset LESSON=03, one of {known}")


def course_files(source: Path) -> list[Path]:
    """The lessons and the pictures they show."""
    pictures = (path for path in (source / "assets").rglob("*") if path.is_file())
    return [*sorted(source.glob("*.ipynb")), *sorted(pictures)]


@contextmanager
def manifest_of(work: Path) -> Iterator[dict[str, str]]:
    """The hashes of what was laid, for changing; saved at the end. One process at a time."""
    course = work / ".course"
    course.mkdir(parents=True, exist_ok=True)
    with FileLock(course / "workspace.lock"):
        shutil.rmtree(course / "tmp", ignore_errors=True)  # what a killed run left
        path = course / "manifest.json"
        manifest = read_manifest(path)
        before = dict(manifest)
        yield manifest
        if manifest != before:
            replace_file(path, json.dumps(manifest, indent=1).encode())


def read_manifest(path: Path) -> dict[str, str]:
    """Empty if there is none or it is damaged: then a lesson is at worst laid beside once more."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def lies_in(target: Path, content: bytes) -> bool:
    """True if the content is there already, under its own name or beside, from an earlier run."""
    candidates = [target, *target.parent.glob(f"{target.stem}.updated-*{target.suffix}")]
    return any(path.read_bytes() == content for path in candidates)


def is_untouched_picture(target: Path, laid: str | None) -> bool:
    """A picture is nobody's work: the new one may take its place, unless the learner changed it."""
    return target.suffix != ".ipynb" and digest(target.read_bytes()) == laid


def place(content: bytes, target: Path, work: Path) -> bool:
    """Makes a new file, whole or not at all. False, and nothing done, if the name is taken."""
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = write_temporary(content, work)
    try:
        os.link(temporary, target)  # unlike a rename, this refuses a name that is taken
    except FileExistsError:
        return False
    except OSError:  # a file system without links, such as a USB stick's
        os.rename(temporary, target)
        return True
    temporary.unlink()
    return True


def free_name(target: Path, word: str) -> Path:
    """`03_attention.updated-2026-11-21.ipynb`; with a counter where that name is taken."""
    stem = f"{target.stem}.{word}-{datetime.date.today().isoformat()}"
    counters = ("", *(f"-{count}" for count in range(2, 1000)))
    names = (target.with_name(f"{stem}{counter}{target.suffix}") for counter in counters)
    return next(name for name in names if not name.exists())


def write_temporary(content: bytes, work: Path) -> Path:
    """On the same disk as its target, out of the learner's sight."""
    folder = work / ".course" / "tmp"
    folder.mkdir(exist_ok=True)
    temporary = folder / "file"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


if __name__ == "__main__":
    try:
        print(reset(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.exit(f"make reset: {error}")
