"""How an answer is checked: it is run on small cases, and a wrong result is matched to its cause.

A check prints and never raises, so that a notebook runs from top to bottom whatever is in it.
"""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from course_utils import progress

Check = Callable[[Any], None]


class _TooLong(BaseException):
    """An answer did not end; no Exception, which a learner's `except` could catch."""


class _UnsolvedError(NotImplementedError):
    """Raised by what stands in for an answer that is still open."""


class Refused(Exception):
    """The answer is wrong; the text names the misconception behind it."""


@dataclass(frozen=True)
class Exercise:
    number: str
    title: str
    check: Check


EXERCISES: dict[str, Exercise] = {}
SECONDS = 30.0  # for one answer; on two cores the slowest right one takes less than a tenth of it
_TAKEN: dict[str, Any] = {}  # exercise -> the solution that `pick` put in place of an answer
_ENDLESS: dict[str, Any] = {}  # exercise -> an answer that ran out of time


def exercise(number: str, title: str) -> Callable[[Check], Check]:
    """Register a function as the check of an exercise: it raises `Refused`, or returns."""

    def register(function: Check) -> Check:
        assert number not in EXERCISES, f"two checks for exercise {number}"
        EXERCISES[number] = Exercise(number, title, function)
        return function

    return register


def refuse(message: str) -> None:
    """End a check: the answer is wrong for this reason."""
    raise Refused(message)


def verdict(number: str, answer: Any) -> str:
    """ "passed", "not attempted", or the reason why the answer is refused."""
    import torch

    task = find(number)
    gradients = torch.is_grad_enabled()
    try:
        # Its own random numbers: the rest of the notebook is the same whatever is checked here.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            with _time_limit(SECONDS):
                task.check(answer)
    except NotImplementedError as error:
        if not error.args or isinstance(error, _UnsolvedError):  # PyTorch's own say what is missing
            return "not attempted"
        return _stopped(error, answer)
    except _TooLong as error:
        _ENDLESS[number] = answer
        return (
            f"Your code did not end within {SECONDS:.0f} seconds{_line_of(error, answer)}: does a loop "
            "wait for something that never comes?"
        )
    except Refused as reason:
        return str(reason)
    except (Exception, SystemExit) as error:  # a learner's code may raise anything
        return _stopped(error, answer)
    finally:
        left = torch.is_grad_enabled()
        torch.set_grad_enabled(gradients)
    if left != gradients:
        return (
            "You switched gradients off for everything that follows, so nothing can be trained any "
            "more. Use `with torch.no_grad():`, which ends by itself."
        )
    return "passed"


def _stopped(error: BaseException, answer: Any) -> str:
    return f"Your code stopped with {type(error).__name__}: {error}{_line_of(error, answer)}"


def check(number: str, answer: Any) -> None:
    """Print [PASS], [FAIL] with the reason, or [ .. ] for an exercise not attempted yet.

    The solution that `pick` put under the name of an open answer is no pass.
    """
    if number in _TAKEN and _TAKEN[number] is answer:
        print(
            f"[ .. ] Exercise {number}: this is the lesson's solution, taken because no answer "
            "passed. Run the cell with your own answer, then this one."
        )
        return
    tell(number, verdict(number, answer))


def tell(number: str, result: str) -> None:
    """Print what `verdict` gave, and remember a pass."""
    if result == "not attempted":
        print(
            f"[ .. ] Exercise {number}: not attempted yet. Edit the cell above, run it, then run this "
            "one."
        )
    elif result == "passed":
        print(f"[PASS] Exercise {number}: {find(number).title}.")
        trouble = progress.remember(number)
        if trouble:
            print(f"       {trouble}")
    else:
        print(f"[FAIL] Exercise {number}: {result}")


def pick(number: str, answer: Any, solution: Any = None) -> Any:
    """The learner's answer if it passes its check, else the solution: what follows always works.

    In a class the solution is left out. Then a function that does not pass is replaced by one that
    says so where it is needed.
    """
    ran_out = number in _ENDLESS and _ENDLESS[number] is answer  # not once more for half a minute
    if not ran_out and verdict(number, answer) == "passed":
        return answer
    if solution is None:
        return _open(number) if callable(answer) else answer
    if callable(solution):  # numbers and text can be the same object as a right answer
        _TAKEN[number] = solution
    return solution


def _open(number: str) -> Callable[..., Any]:
    def not_solved_yet(*_: Any, **__: Any) -> Any:
        raise _UnsolvedError(
            f"this cell needs exercise {number}, which has no right answer yet: solve it, run its "
            "cells, then this one; or go on with a cell that does not need it"
        )

    return not_solved_yet


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """`_TooLong` in the code below after `seconds`; no limit where a system has no such signal."""
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    def stop(*_: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # and every second, if it was caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def find(number: str) -> Exercise:
    """The exercise of that number. Raises `ValueError`, naming those there are."""
    from course_utils import checks

    checks.load(number)
    if number not in EXERCISES:
        known = ", ".join(sorted(EXERCISES))
        raise ValueError(f"there is no exercise {number!r}; there are: {known}")
    return EXERCISES[number]


def expect_close(
    got: Any,
    expected: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    what: str = "your result",
    tolerance: float = 1e-5,
) -> None:
    """Refuse unless `got` is a tensor equal to `expected` in shape and numbers.

    A NumPy array is no tensor: PyTorch's functions, which the lesson calls next, do not take it.

    `mistakes` maps a message to the result which that misconception would give: where `got` equals
    one of them, its message is the answer. Otherwise the message tells the first difference.
    """
    import torch

    listed = isinstance(got, list | tuple) and isinstance(expected, torch.Tensor)
    got = _as_tensor(got, what)
    expected = torch.as_tensor(expected)
    if _close(got, expected, tolerance):
        if listed:
            refuse(f"{what} has the right numbers, but in a list: return a tensor (`torch.tensor`)")
        return
    for message, wrong in (mistakes or {}).items():
        if _close(got, torch.as_tensor(wrong), tolerance):
            refuse(message)
    if got.shape != expected.shape:
        note = "" if got.ndim and expected.ndim else "; the shape () is a single number"
        refuse(
            f"{what} has shape {tuple(got.shape)}, but {tuple(expected.shape)} is expected{note}"
        )
    if got.is_floating_point() and not torch.isfinite(got).all():
        refuse(f"{what} holds NaN or infinite numbers, and only finite ones are expected")
    off = ~torch.isclose(got.double(), expected.double(), rtol=tolerance, atol=tolerance)
    where = tuple(off.nonzero()[0].tolist())
    it_is, should_be = got[where].item(), expected[where].item()
    digits = 4 if f"{it_is:.4g}" != f"{should_be:.4g}" else 7  # rounded, they would look the same
    numbers = f"{it_is:.{digits}g} where {should_be:.{digits}g} is expected"
    refuse(
        f"{what} has the right shape, but at {list(where)} it is {numbers}"
        if where
        else f"{what} is {numbers}"
    )


def expect_dtype(got: Any, like: Any, what: str = "your result") -> None:
    """Refuse a tensor of another kind of numbers than `like`: the lesson's next cells compare them."""
    if got.dtype != like.dtype:
        refuse(
            f"{what} has the right numbers, but as {got.dtype}, and what you were given is "
            f"{like.dtype}. Make new tensors with `dtype=`, or with `torch.zeros_like`"
        )


def expect_equal(
    got: Any, expected: Any, mistakes: Mapping[str, Any] | None = None, *, what: str = "your result"
) -> None:
    """`expect_close` for anything compared with ==: numbers, text, lists, dictionaries."""
    if type(got) is type(expected) and got == expected:
        return
    for message, wrong in (mistakes or {}).items():
        if type(got) is type(wrong) and got == wrong:
            refuse(message)
    if got is None:
        refuse(f"{what} is None: does your function end in `return ...`?")
    plain = _plain(got)
    if plain is not got and plain == expected:
        refuse(
            f"{what} has the right numbers, but as {type(got).__name__}: return {_short(expected)}"
        )
    refuse(f"{what} is {_short(got)}, but {_short(expected)} is expected")


def expect_also(
    answer: Callable[..., Any],
    given: tuple[Any, ...],
    expected: Any,
    message: str,
    *,
    tolerance: float = 1e-5,
    **named: Any,
) -> None:
    """One more case, for a slip that shows only there: whatever goes wrong in it, `message` is told.

    Where a tensor in float64 is expected, float32 is wrong, too: the lesson's next cell would stop.
    """
    import torch

    try:
        got = answer(*deepcopy(given), **named)
        if isinstance(expected, torch.Tensor | float):
            expect_close(got, expected, tolerance=tolerance)
        else:
            expect_equal(got, expected)
    except Exception:
        raise Refused(message) from None
    if getattr(expected, "dtype", None) == torch.float64 != torch.as_tensor(got).dtype:
        refuse(message)


def _line_of(error: BaseException, answer: Any) -> str:
    """ " (at `C[i, j] = ...`)": the learner's own line that stopped, or nothing if unknown."""
    home = getattr(answer, "__module__", None)
    frames = traceback.walk_tb(error.__traceback__)
    lines = traceback.extract_tb(error.__traceback__)
    own = [
        line.line
        for (frame, _), line in zip(frames, lines, strict=False)
        if frame.f_globals.get("__name__") == home
    ]
    return f" (at `{own[-1]}`)" if own and own[-1] else ""


def _as_tensor(got: Any, what: str) -> Any:
    import torch

    if got is None:
        refuse(f"{what} is None: does your function end in `return ...`?")
    if type(got).__module__ == "numpy" and got.ndim:
        refuse(
            f"{what} is a NumPy array, but the lesson goes on with PyTorch's tensors: "
            "`torch.from_numpy` makes one of it, or use PyTorch's functions from the start"
        )
    try:
        return torch.as_tensor(got).detach()
    except (TypeError, ValueError, RuntimeError):
        raise Refused(f"{what} must be a tensor or numbers; got {type(got).__name__}") from None


def _close(a: Any, b: Any, tolerance: float) -> bool:
    import torch

    return a.shape == b.shape and torch.allclose(
        a.double(), b.double(), rtol=tolerance, atol=tolerance, equal_nan=True
    )


def _plain(got: Any) -> Any:
    """Tensors and arrays, also inside a list, as numbers of Python."""
    if isinstance(got, list | tuple):
        plain = [_plain(item) for item in got]
        return got if all(a is b for a, b in zip(plain, got, strict=True)) else plain
    return got.tolist() if hasattr(got, "tolist") else got


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
