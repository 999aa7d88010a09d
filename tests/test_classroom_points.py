"""Points for a class: what the check says, no points for a check that was replaced, an end in time."""

import re
import sys
import time
from contextlib import suppress

import pytest
import torch

from course_utils.checks import all_exercises, engine, pick
from course_utils.checks.classroom import _wrong_on_purpose, points
from course_utils.checks.engine import exercise, expect_close, verdict


@pytest.fixture
def doubling(monkeypatch):
    monkeypatch.setattr(engine, "EXERCISES", {})
    monkeypatch.setattr(engine, "_ENDLESS", {})

    @exercise("9.1", "doubling")
    def double(answer):
        x = torch.tensor([2.0, 3.0])
        expect_close(answer(x), 2 * x, {"You squared": x**2})


def test_points_say_what_the_check_says(doubling, capsys):
    assert points("9.1", lambda x: 2 * x) is None
    assert points("9.1", lambda x: x**2) == 0.0
    passed, failed = capsys.readouterr().out.splitlines()
    assert passed == "[PASS] Exercise 9.1: doubling."
    assert failed == "[FAIL] Exercise 9.1: You squared"


def test_what_an_answer_writes_to_standard_error_costs_no_points(doubling, capsys):
    def chatty(x):
        print("careful", file=sys.stderr)
        return 2 * x

    assert points("9.1", chatty) is None
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "careful" in captured.out


@pytest.mark.parametrize(
    ("owner", "name", "replacement"),
    [
        (engine, "verdict", lambda *_: "passed"),
        (torch, "allclose", lambda *_, **__: True),
        (torch, "equal", lambda *_: True),
        (torch, "isclose", lambda a, *_, **__: torch.ones_like(a, dtype=torch.bool)),
    ],
    ids=["verdict", "allclose", "equal", "isclose"],
)
def test_a_check_that_was_replaced_gives_no_points(
    doubling, capsys, monkeypatch, owner, name, replacement
):
    monkeypatch.setattr(owner, name, replacement)
    assert points("9.1", lambda x: x + 1) == 0.0
    assert "accepts an answer that is wrong on purpose" in capsys.readouterr().out


@pytest.mark.parametrize("number", [n for numbers in all_exercises().values() for n in numbers])
def test_every_check_refuses_the_answer_that_is_wrong_on_purpose(number):
    assert verdict(number, _wrong_on_purpose) != "passed"


def test_an_endless_answer_is_stopped_and_told_and_pick_does_not_wait_again(doubling, monkeypatch):
    monkeypatch.setattr(engine, "SECONDS", 0.3)

    def endless(x):
        while True:
            with suppress(Exception):
                time.sleep(0.01)

    began = time.monotonic()
    said = verdict("9.1", endless)
    assert "did not end within 0 seconds (at `time.sleep(0.01)`)" in said
    assert "does a loop wait for something that never comes?" in said
    assert time.monotonic() - began < 3
    began = time.monotonic()
    assert pick("9.1", endless, "solution") == "solution"
    assert time.monotonic() - began < 0.2


def test_the_time_limit_leaves_no_alarm_behind(doubling):
    import signal

    before = signal.getsignal(signal.SIGALRM)
    verdict("9.1", lambda x: 2 * x)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_without_a_solution_what_needs_an_open_answer_says_so(doubling):
    def right(x):
        return 2 * x

    assert pick("9.1", right) is right
    standing_in = pick("9.1", lambda x: x)
    with pytest.raises(
        NotImplementedError, match=re.escape("needs exercise 9.1, which has no right")
    ):
        standing_in(3, b=4)
    assert verdict("9.1", standing_in) == "not attempted"
    assert pick("9.1", 7) == 7
