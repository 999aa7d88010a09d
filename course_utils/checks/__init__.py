"""Exercise checks that explain: `check("3.1", answer)` prints, `pick(...)` chooses what goes on.

`engine` runs a check; `lesson_NN` holds the checks of one lesson and what they say about wrong
answers. A lesson's file is loaded when its first exercise is asked for.
"""

from importlib import import_module
from importlib.util import find_spec

from course_utils.checks.engine import check, pick

__all__ = ["check", "load", "pick"]


def load(number: str) -> None:
    """Load the checks of the lesson that exercise `number` ("3.1") belongs to, if there are any."""
    lesson = number.split(".")[0]
    module = f"course_utils.checks.lesson_{lesson.zfill(2)}"
    if lesson.isdigit() and find_spec(module):
        import_module(module)
