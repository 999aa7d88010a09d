"""Exercise checks that explain: `check("3.1", answer)` prints, `pick(...)` chooses what goes on.

`engine` runs a check; `lesson_NN` holds the checks of one lesson and what they say about wrong
answers. A lesson's file is loaded when its first exercise is asked for.
"""

from importlib import import_module
from importlib.util import find_spec

from course_utils.checks.engine import EXERCISES, check, pick
from course_utils.lesson import LESSONS

__all__ = ["all_exercises", "check", "load", "pick"]


def all_exercises() -> dict[str, list[str]]:
    """Lesson title -> the numbers of its exercises, for every lesson that is there."""
    ready = [lesson for lesson in LESSONS if lesson.ready]
    for lesson in ready:
        load(str(int(lesson.number)))
    return {
        f"{lesson.number} {lesson.title}": sorted(
            number for number in EXERCISES if int(number.split(".")[0]) == int(lesson.number)
        )
        for lesson in ready
    }


def load(number: str) -> None:
    """Load the checks of the lesson that exercise `number` ("3.1") belongs to, if there are any."""
    lesson = number.split(".")[0]
    module = f"course_utils.checks.lesson_{lesson.zfill(2)}"
    if lesson.isdigit() and find_spec(module):
        import_module(module)
