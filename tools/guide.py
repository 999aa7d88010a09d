"""Fill in what docs/instructor_guide.md takes from the course: times, memory, plans, quoted checks.

A block begins with a comment that says what belongs there, and ends with its name:

    <!-- cost 03 -->                       minutes, exercises, measured seconds and memory of a lesson
    <!-- trips 3.1 name, 3.2 name -->      what the check says to these answers of the misconception bank
    <!-- plan Monday = 00 01; ... -->      sessions with their lessons and minutes
    <!-- term 90; Week 1 = 00 01; ... -->  the same, split into minutes in class and at home
    <!-- table -->  <!-- totals -->        all lessons
"""

import ast
import importlib
import re
import sys
from collections.abc import Callable

from nbformat import NotebookNode
from nbtools import ROOT, code_cells, exercises, read, role, tags
from release import answer_name
from stamp import measured

from course_utils.checks import all_exercises
from course_utils.checks.engine import verdict
from course_utils.lesson import LESSONS, Lesson

GUIDE = ROOT / "docs/instructor_guide.md"
BLOCK = re.compile(r"(<!-- (\w+)\b([^>]*) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
QUOTE = 200  # a quote ends with the first sentence that reaches beyond this many characters

sys.path.append(str(ROOT / "tests"))  # where the bank of wrong answers lies


def filled(text: str) -> str:
    """The guide with every block made anew. Raises `ValueError` for a block of no known kind."""
    return BLOCK.sub(lambda found: found[1] + content(found[2], found[3].strip()) + found[4], text)


def content(kind: str, argument: str) -> str:
    kinds: dict[str, Callable[[str], str]] = {
        "cost": cost,
        "trips": trips,
        "plan": plan,
        "term": term,
        "table": table,
        "totals": totals,
    }
    if kind not in kinds:
        raise ValueError(f"a block is one of {', '.join(kinds)}; got {kind!r}")
    return kinds[kind](argument) + "\n"


def lesson_of(number: str) -> Lesson:
    return next(lesson for lesson in LESSONS if lesson.number == number)


def exercises_of(lesson: Lesson) -> int:
    return len(all_exercises()[f"{lesson.number} {lesson.title}"])


def cost(number: str) -> str:
    """What a lesson takes of a learner and of a machine, and which answers the rest stands on."""
    lesson = lesson_of(number)
    machine = measured()[lesson.file]
    return (
        f"*About {lesson.minutes} minutes to work through, with {exercises_of(lesson)} exercises. "
        f"Its cells run in {machine['seconds']:.0f} s with {machine['gigabytes']:.1f} GB of memory. "
        f"{needs(read(ROOT / 'notebooks' / lesson.file))}*"
    )


def needs(notebook: NotebookNode) -> str:
    """One sentence: the exercises whose answers later cells use."""
    found = needed_later(notebook)
    if not found:
        return "No later cell needs an answer."
    numbers = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    return f"Later cells need the answer{'s' * (len(found) > 1)} to {numbers}."


def needed_later(notebook: NotebookNode) -> list[str]:
    """The exercises whose answer a cell outside of it uses."""
    used = [
        {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        for cell in code_cells(notebook)
        if not role(cell) and "setup" not in tags(cell)
    ]
    names = {
        number: answer_name(notebook.cells[cells["solution"]])
        for number, cells in exercises(notebook).items()
    }
    return [number for number, name in names.items() if any(name in cell for cell in used)]


def trips(argument: str) -> str:
    """What the checks say to the named wrong answers, in short."""
    return "\n".join(trip(*pair.split()) for pair in argument.split(","))


def trip(exercise: str, name: str) -> str:
    bank = importlib.import_module(f"wrong_answers.lesson_{exercise.split('.')[0]:0>2}").BANK
    answers = {getattr(answer, "__name__", ""): answer for answer, _ in bank[exercise]}
    if name not in answers:
        raise ValueError(
            f"the bank of exercise {exercise} has no {name!r}; it has: {', '.join(answers)}"
        )
    said = escaped(short(verdict(exercise, answers[name])))
    return f'- Exercise {exercise}, *{name.replace("_", " ")}*: "{said}"'


def short(message: str) -> str:
    """The first sentences of a message."""
    quote = ""
    for sentence in re.split(r"(?<=[.?!]) (?=[A-Z])", message):
        if quote and len(quote) + len(sentence) > QUOTE:
            break
        quote = f"{quote} {sentence}".strip()
    return quote


def escaped(message: str) -> str:
    """Stars outside of code are stars, not emphasis."""
    parts = re.split(r"(`[^`]*`)", message)
    return "".join(part if part.startswith("`") else part.replace("*", r"\*") for part in parts)


def sessions(argument: str) -> list[tuple[str, list[Lesson]]]:
    """ "Monday = 00 01; Tuesday = 02": each session's name and its lessons."""
    pairs = [part.split("=") for part in argument.split(";")]
    return [(name.strip(), [lesson_of(n) for n in numbers.split()]) for name, numbers in pairs]


def names_of(lessons: list[Lesson]) -> str:
    return ", ".join(f"{int(lesson.number)} {lesson.title}" for lesson in lessons)


def minutes_of(lessons: list[Lesson]) -> int:
    return sum(lesson.minutes for lesson in lessons)


def plan(argument: str) -> str:
    rows = ["| session | lessons | minutes |", "|---|---|---|"]
    chosen = sessions(argument)
    rows += [f"| {name} | {names_of(found)} | {minutes_of(found)} |" for name, found in chosen]
    total = sum(minutes_of(found) for _, found in chosen)
    return "\n".join([*rows, f"| all | | {total:,} |"])


def term(argument: str) -> str:
    in_class, _, weeks = argument.partition(";")
    rows = ["| week | lessons | in class | at home |", "|---|---|---|---|"]
    for name, found in sessions(weeks):
        here = min(int(in_class), minutes_of(found))
        rows.append(f"| {name} | {names_of(found)} | {here} min | {minutes_of(found) - here} min |")
    return "\n".join(rows)


def table(_: str = "") -> str:
    rows = ["| lesson | minutes | exercises | runs in | memory |", "|---|---|---|---|---|"]
    for lesson in LESSONS:
        machine = measured()[lesson.file]
        rows.append(
            f"| {lesson.number} {lesson.title} | {lesson.minutes} | {exercises_of(lesson)} "
            f"| {machine['seconds']:.0f} s | {machine['gigabytes']:.1f} GB |"
        )
    return "\n".join(rows)


def totals(_: str = "") -> str:
    minutes, costs = minutes_of(list(LESSONS)), measured().values()
    return (
        f"All {len(LESSONS)} lessons together: {minutes:,} minutes, that is {minutes / 60:.1f} hours, "
        f"with {sum(map(exercises_of, LESSONS))} exercises. All cells of all lessons run in "
        f"{sum(c['seconds'] for c in costs):.0f} s; the largest kernel takes "
        f"{max(c['gigabytes'] for c in costs):.1f} GB."
    )


if __name__ == "__main__":
    GUIDE.write_text(filled(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
