"""Points for a class: the same check as a learner's, and a look at whether the check itself is whole."""

import contextlib
import sys
from typing import Any

from course_utils.checks import engine


def points(number: str, answer: Any) -> float | None:
    """Print what the check says of an answer; None if it passes, else 0.0.

    A test cell of nbgrader that ends in a number gives as many points, and one that ends in nothing
    gives all that the teacher wants it to give. Text on standard error would cost all of them, so
    whatever an answer writes there is shown with the rest. Where the check takes an answer that is
    wrong on purpose, something in the notebook has replaced a part of it: no points.
    """
    with contextlib.redirect_stderr(sys.stdout):
        if _takes_anything(number):
            print(
                f"[FAIL] Exercise {number}: the check accepts an answer that is wrong on purpose. A "
                "cell of this notebook has replaced a part of the check: take that cell out."
            )
            return 0.0
        result = engine.verdict(number, answer)
        engine.tell(number, result)
        return None if result == "passed" else 0.0


def _takes_anything(number: str) -> bool:
    """Whether the check, or a comparison that checks use, finds different things equal."""
    import torch

    zeros, ones = torch.zeros(2), torch.ones(2)
    return (
        engine.verdict(number, _wrong_on_purpose) == "passed"
        or torch.allclose(zeros, ones)
        or torch.equal(zeros, ones)
        or bool(torch.isclose(zeros, ones).any())
    )


def _wrong_on_purpose(*_: Any, **__: Any) -> Any:
    return None
