"""Every check passes its solution, refuses its bank of wrong answers, and says why."""

import importlib
from pathlib import Path

import pytest
import torch
from execute_notebooks import execute
from nbtools import NOTEBOOKS, code_cells, exercises, printed, read, role, with_solutions

from course_utils import checks, progress
from course_utils.checks import check, engine, pick
from course_utils.checks.engine import (
    Refused,
    exercise,
    expect_also,
    expect_close,
    expect_dtype,
    expect_equal,
    verdict,
)

BANKS = sorted((Path(__file__).parent / "wrong_answers").glob("lesson_*.py"))


def all_wrong_answers():
    """(exercise, wrong answer, phrase) of every bank."""
    for path in BANKS:
        bank = importlib.import_module(f"wrong_answers.{path.stem}").BANK
        for number, entries in bank.items():
            for answer, phrase in entries:
                name = getattr(answer, "__name__", repr(answer)[:40])
                yield pytest.param(number, answer, phrase, id=f"{number}-{name}")


@pytest.mark.parametrize(("number", "answer", "phrase"), list(all_wrong_answers()))
def test_a_wrong_answer_is_refused_and_told_why(number, answer, phrase):
    result = verdict(number, answer)
    assert result not in ("passed", "not attempted")
    assert phrase.lower() in result.lower()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_exercise_has_at_least_four_wrong_answers_with_different_reasons(path):
    for number in exercises(read(path)):
        bank = importlib.import_module(f"wrong_answers.lesson_{path.name[:2]}").BANK
        reasons = {verdict(number, answer) for answer, _ in bank[number]}
        assert len(bank[number]) >= 4, number
        assert len(reasons) >= 4, (number, reasons)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_with_every_solution_typed_in_the_lesson_passes_every_check(path):
    notebook = with_solutions(read(path))
    execute(notebook, path.parent)
    for cell in code_cells(notebook):
        if role(cell) == "check":
            assert printed(cell).startswith(f"[PASS] Exercise {cell.metadata.course.exercise}")


@pytest.fixture
def doubling(monkeypatch):
    """An exercise to try the engine with: double a tensor."""
    monkeypatch.setattr(engine, "EXERCISES", {})
    monkeypatch.setattr(checks, "load", lambda number: None)
    monkeypatch.setattr(progress, "remember", lambda number: None)

    @exercise("9.1", "doubling")
    def doubles(answer):
        x = torch.tensor([1.0, 3.0])
        expect_close(answer(x), 2 * x, {"You squared": x**2})


def raises(error):
    def answer(x):
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda x: 2 * x, "passed"),
        (lambda x: x + x.double(), "passed"),
        (lambda x: [2.0, 6.0], "right numbers, but in a list"),
        (
            lambda x: (2 * x).numpy(),
            "is a NumPy array, but the lesson goes on with PyTorch's tensors",
        ),
        (lambda x: x**2, "You squared"),
        (lambda x: None, "None: does your function end in `return ...`"),
        (lambda x: "2x", "must be a tensor or numbers; got str"),
        (lambda x: 2 * x[None], "shape (1, 2), but (2,) is expected"),
        (lambda x: x / 0, "NaN or infinite"),
        (lambda x: x * torch.tensor([2, 3]), "at [1] it is 9 where 6 is expected"),
        (raises(NotImplementedError()), "not attempted"),
        (raises(NotImplementedError("mean of Byte")), "stopped with NotImplementedError: mean of"),
        (raises(KeyError("k")), "stopped with KeyError: 'k'"),
        (raises(SystemExit("bye")), "stopped with SystemExit: bye"),
        (7, "stopped with TypeError: 'int' object is not callable"),
    ],
)
def test_verdicts(doubling, answer, text):
    assert text in verdict("9.1", answer)


def test_a_single_number_is_named_without_a_place(doubling):
    with pytest.raises(Refused, match=r"^your result is 3 where 4\.5 is expected$"):
        expect_close(torch.tensor(3.0), 4.5)


def test_check_prints_and_never_raises(doubling, capsys):
    for answer in (lambda x: 2 * x, lambda x: x**2, raises(NotImplementedError())):
        check("9.1", answer)
    passed, failed, waiting = capsys.readouterr().out.splitlines()
    assert passed == "[PASS] Exercise 9.1: doubling."
    assert failed == "[FAIL] Exercise 9.1: You squared"
    assert waiting.startswith("[ .. ] Exercise 9.1: not attempted yet")


def test_check_remembers_a_pass_only_and_says_when_it_cannot(doubling, capsys, monkeypatch):
    remembered = []
    monkeypatch.setattr(progress, "remember", lambda n: remembered.append(n) or "the disk is full")
    check("9.1", lambda x: x**2)
    assert remembered == []
    check("9.1", lambda x: 2 * x)
    assert remembered == ["9.1"]
    assert "the disk is full" in capsys.readouterr().out


def test_pick_keeps_a_passing_answer_and_replaces_any_other(doubling):
    def solution(x):
        return x + x

    def right(x):
        return 2 * x

    assert pick("9.1", right, solution) is right
    assert pick("9.1", lambda x: x, solution) is solution
    assert pick("9.1", raises(NotImplementedError()), solution) is solution


def test_the_solution_that_pick_took_is_no_pass(doubling, capsys, monkeypatch):
    remembered = []
    monkeypatch.setattr(engine, "_TAKEN", {})
    monkeypatch.setattr(progress, "remember", remembered.append)

    def solution(x):
        return x + x

    check("9.1", pick("9.1", raises(NotImplementedError()), solution))
    assert capsys.readouterr().out.startswith("[ .. ] Exercise 9.1: this is the lesson's solution")
    assert remembered == []
    check("9.1", pick("9.1", lambda x: 2 * x, solution))
    assert remembered == ["9.1"]


def test_an_error_names_the_line_of_the_answer(doubling):
    def wrong(x):
        return torch.cat(x, 7)

    assert verdict("9.1", wrong).endswith("(at `return torch.cat(x, 7)`)")
    assert "(at" not in verdict("9.1", 7)


def test_numbers_that_look_the_same_get_more_digits():
    with pytest.raises(Refused, match=r"is 4\.667 where 4\.666667 is expected"):
        expect_close(4.667, 14 / 3)
    with pytest.raises(Refused, match=r"\(3,\), but \(\) is expected; the shape \(\) is a single"):
        expect_close([1.0, 2.0, 3.0], 2.0)


def test_a_check_does_not_change_the_random_numbers_that_follow(doubling):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    verdict("9.1", lambda x: x + torch.rand(2))
    assert torch.equal(torch.rand(3), expected)


def test_an_unknown_exercise_names_those_there_are(doubling):
    with pytest.raises(ValueError, match=r"no exercise '9\.7'; there are: 9\.1"):
        check("9.7", lambda x: x)


def test_expect_equal_compares_type_and_value():
    expect_equal([1, 2], [1, 2])
    with pytest.raises(Refused, match="backwards"):
        expect_equal([2, 1], [1, 2], {"You went backwards": [2, 1]})
    with pytest.raises(Refused, match=r"your result is \(1, 2\), but \[1, 2\]"):
        expect_equal((1, 2), [1, 2])
    with pytest.raises(Refused, match="does your function end"):
        expect_equal(None, 1)


def test_expect_also_tells_whatever_goes_wrong_by_one_message():
    numbers = [1.0, 2.0]
    expect_also(lambda x: [n + 1 for n in x], (numbers,), [2.0, 3.0], "the message")
    expect_also(lambda x, by: x * by, (3.0,), 6.0, "the message", by=2)
    for answer in (lambda x: x, raises(KeyError("k")), lambda x: None, lambda: None):
        with pytest.raises(Refused, match="the message"):
            expect_also(answer, (3.0,), 6.0, "the message")
    with pytest.raises(Refused, match="the message"):
        expect_also(lambda x: x.clear(), (numbers,), [], "the message")
    assert numbers == [1.0, 2.0]


def test_float64_may_not_become_float32():
    double = torch.ones(2, dtype=torch.float64)
    expect_also(lambda x: x, (double,), double, "the message")
    expect_also(lambda x: x.double(), (double.float(),), double.float(), "the message")
    with pytest.raises(Refused, match="the message"):
        expect_also(lambda x: x.float(), (double,), double, "the message")
    expect_dtype(double, double)
    with pytest.raises(
        Refused, match=r"as torch\.float32, and what you were given is torch\.float64"
    ):
        expect_dtype(double.float(), double)


def test_an_answer_that_switches_gradients_off_is_refused_and_they_are_on_again(doubling):
    def for_good(x):
        torch.set_grad_enabled(False)
        return 2 * x

    assert "`with torch.no_grad():`" in verdict("9.1", for_good)
    assert torch.is_grad_enabled()


def test_a_tensor_in_place_of_a_list_is_told_as_that():
    with pytest.raises(Refused, match=r"right numbers, but as Tensor: return \[1, 2\]"):
        expect_equal(torch.tensor([1, 2]), [1, 2])
    with pytest.raises(Refused, match=r"is tensor\(\[2, 2\]\), but"):
        expect_equal(torch.tensor([2, 2]), [1, 2])
