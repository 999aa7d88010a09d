"""JupyterLab in a real browser, as `make lab` opens it: each lesson run, answered and looked into."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from nbtools import NOTEBOOKS, as_attempt, exercises, read
from playwright.sync_api import Locator, Page, TimeoutError, expect
from watch import Watch

from course_utils.checks.engine import verdict

pytestmark = pytest.mark.browser
MINUTE = 60_000  # milliseconds
WITH_CONTROLS = [
    path
    for path in NOTEBOOKS
    if any("show_widget(" in cell.source for cell in read(path).cells if cell.cell_type == "code")
]
CELLS = "window.jupyterapp.shell.currentWidget.content.widgets"
# Clearing empties the counts; each comes back when its cell has ended.
ENDED = f"""() => {{
    const asked = document.querySelector(".jp-Dialog");
    if (asked) throw new Error(asked.innerText); // "The kernel appears to have died", say
    const code = {CELLS}.filter(cell => cell.model.type === "code");
    const failed = code.some(cell => cell.model.outputs.toJSON().some(o => o.output_type === "error"));
    const status = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status;
    const all = code.every(cell => cell.model.executionCount !== null);
    return status === "idle" && (failed || all);
}}"""

# What to tell when it does not: the kernel, the connection to it, the cells that have no count.
UNFINISHED = f"""() => {{
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const open = {CELLS}.map((cell, i) => [i, cell.model])
        .filter(([i, model]) => model.type === "code" && model.executionCount === null);
    return {{
        status: kernel.status,
        connection: kernel.connectionStatus,
        open: open.map(([i, model]) => i),
        first: open.slice(0, 1).map(([i, model]) => [model.sharedModel.source, model.outputs.toJSON()]),
    }};
}}"""


@pytest.fixture(scope="module")
def lab(copy_of_course, chromium) -> Iterator[Any]:
    """(address of a file name, what the server said), on lessons that were never opened."""
    config = copy_of_course / "work" / ".course" / "jupyter" / "config"
    config.mkdir(parents=True)
    # So that the tests can ask which cells there are; what is done is done by mouse and keyboard.
    (config / "jupyter_lab_config.py").write_text("c.LabApp.expose_app_in_browser = True\n")
    windowless = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    }
    log = copy_of_course / "lab.log"
    with log.open("w") as said:
        server = subprocess.Popen(
            [sys.executable, "tools/lab.py"],
            cwd=copy_of_course,
            env=windowless,
            stdout=said,
            stderr=said,
        )
    try:
        port, token = opened(log)
        address = f"http://127.0.0.1:{port}/lab/tree/{{}}?token={token}&reset"
        yield address.format, log
    finally:
        server.terminate()  # not by Ctrl-C: what runs in the background may be deaf to it
        server.wait(timeout=60)


def opened(log) -> tuple[str, str]:
    """The port and the token that `make lab` prints."""
    for _ in range(600):
        address = re.search(r"http://127\.0\.0\.1:(\d+)/\S*\?token=(\w+)", log.read_text())
        if address:
            return address[1], address[2]
        time.sleep(0.1)
    pytest.fail(log.read_text())


class Lesson:
    """A lesson that is open in JupyterLab, run once by the menu."""

    def __init__(self, page: Page, lab, path) -> None:
        address, self.log = lab
        self.page, self.notebook = page, read(path)
        self.exercises = exercises(self.notebook)
        page.goto(address(path.name))
        expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=2 * MINUTE)
        idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        expect(idle).to_be_visible(timeout=2 * MINUTE)
        for last_try in (False, True):
            self.menu("Edit", "Clear Outputs of All Cells")
            self.menu("Run", "Run All Cells")
            if self.ends(last_try):
                return

    def ends(self, last_try: bool) -> bool:
        """Whether all cells came to an end. A kernel that waits for us has lost a message: not a failure
        of the lesson, and worth a second try. One that still works is a failure, and one that died."""
        try:  # at intervals: a browser that draws nothing for a while would not ask
            self.page.wait_for_function(ENDED, timeout=6 * MINUTE, polling=500)
        except TimeoutError:
            state = self.page.evaluate(UNFINISHED)
            if last_try or state["status"] != "idle":
                pytest.fail(f"{state}\n{self.log.read_text()}")
            return False
        return True

    def menu(self, name: str, entry: str) -> None:
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()

    def outputs(self) -> list[list[Any]]:
        """What each cell shows; nothing for words."""
        return self.page.evaluate(f"() => {CELLS}.map(cell => cell.model.outputs?.toJSON() ?? [])")

    def cell(self, index: int) -> Locator:
        """The cell, brought into view: JupyterLab draws only those that are near."""
        self.page.evaluate(
            """index => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                return notebook.scrollToItem(index, "center");
            }""",
            index,
        )
        cell = self.page.locator(f".jp-Cell[data-windowed-list-index='{index}']")
        expect(cell).to_be_visible()
        return cell

    def type_over(self, index: int, text: str) -> None:
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        assert self.page.evaluate(f"i => {CELLS}[i].model.sharedModel.source", index) == text

    def run(self, index: int) -> None:
        self.cell(index).locator(".cm-content").click()
        self.page.keyboard.press("Control+Enter")

    def answer(self, exercise: str, text: str, says: str) -> None:
        """Types an answer over the stub, runs it and its check, and reads what the check says."""
        cells = self.exercises[exercise]
        self.type_over(cells["stub"], text)
        self.page.keyboard.press("Control+Enter")
        self.run(cells["check"])
        words = self.cell(cells["check"]).locator(".jp-OutputArea")
        expect(words).to_contain_text(says, ignore_case=True, timeout=2 * MINUTE)


@pytest.fixture(scope="module")
def lesson(lab, chromium, request) -> Iterator[Lesson]:
    context = chromium.new_context(viewport={"width": 1250, "height": 1000})
    page = context.new_page()
    watch = Watch(page, console=("error",))
    yield Lesson(page, lab, request.param)
    wrong = list(watch.wrong)  # a kernel that is being ended may leave half a message behind
    page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
    context.close()
    assert wrong == []


every_lesson = pytest.mark.parametrize("lesson", NOTEBOOKS, ids=lambda p: p.stem, indirect=True)


@every_lesson
def test_run_all_shows_no_error(lesson: Lesson) -> None:
    outputs = [output for cell in lesson.outputs() for output in cell]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert [output for output in outputs if output.get("name") == "stderr"] == []


@every_lesson
def test_an_exercise_says_that_it_is_open(lesson: Lesson) -> None:
    outputs = lesson.outputs()
    for number, cells in lesson.exercises.items():
        (said,) = outputs[cells["check"]]
        assert said["text"].startswith(f"[ .. ] Exercise {number}: not attempted yet")


@every_lesson
def test_a_solution_is_folded_and_opens(lesson: Lesson) -> None:
    for number, cells in lesson.exercises.items():
        cell = lesson.cell(cells["solution"])
        expect(cell.locator(".cm-content")).to_be_hidden()
        cell.locator(".jp-InputPlaceholder").click()
        expect(cell.locator(".cm-content")).to_contain_text(f"# @title Solution {number}")


@every_lesson
def test_a_wrong_answer_is_told_why_and_a_right_one_passes(lesson: Lesson) -> None:
    for number, cells in lesson.exercises.items():
        name = re.search(r"(\w+)\)$", lesson.notebook.cells[cells["check"]].source)[1]
        wrong, hint = wrong_answer(number, name)
        lesson.answer(number, wrong, f"[FAIL] Exercise {number}")
        lesson.answer(number, wrong, hint)
        right = as_attempt(lesson.notebook.cells[cells["solution"]].source)
        lesson.answer(number, right, f"[PASS] Exercise {number}")


def wrong_answer(number: str, name: str) -> tuple[str, str]:
    """A wrong answer of the bank as one types it, and a phrase of its hint."""
    bank = importlib.import_module(f"wrong_answers.lesson_{int(number.split('.')[0]):02}")
    for answer, hint in bank.BANK[number]:
        if is_typed_in(bank, answer):
            source = "\n\n".join([imports(bank), *with_helpers(bank, answer)])
            typed = re.sub(rf"\b{answer.__name__}\b", name, source).strip()
            if hint.lower() in said_of(number, name, typed).lower():
                return typed, hint
    raise AssertionError(f"no wrong answer to {number} stands on its own")


def is_typed_in(bank, thing: Any) -> bool:
    return inspect.getmodule(thing) is bank and inspect.getsource(thing).startswith("def ")


def imports(bank) -> str:
    tree = ast.parse(inspect.getsource(bank))
    return "\n".join(
        ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))
    )


def with_helpers(bank, answer) -> list[str]:
    """The text of an answer, after that of what it calls in the bank."""
    used = inspect.getclosurevars(answer).globals.values()
    helpers = [helper for helper in used if is_typed_in(bank, helper)]
    texts = [text for helper in helpers for text in with_helpers(bank, helper)]
    return list(dict.fromkeys([*texts, inspect.getsource(answer)]))


def said_of(number: str, name: str, typed: str) -> str:
    namespace: dict[str, Any] = {}
    exec(typed, namespace)
    return verdict(number, namespace[name])


@pytest.mark.parametrize("lesson", WITH_CONTROLS, ids=lambda p: p.stem, indirect=True)
def test_controls_answer_the_keyboard(lesson: Lesson) -> None:
    for index, cell in enumerate(lesson.notebook.cells):
        if cell.cell_type == "code" and "show_widget(" in cell.source:
            try_controls(lesson.cell(index))


def try_controls(cell: Locator) -> None:
    """Each control of a cell moved by a key changes what is drawn or written."""
    shown = cell.locator(".widget-output")
    expect(shown).not_to_be_empty()
    controls = cell.locator(".noUi-handle, .jupyter-widgets select, .jupyter-widgets input")
    assert controls.count() > 0
    for number, control in enumerate(controls.all()):
        before = shown.inner_html()
        control.focus()
        for key in keys(control):
            control.press(key)
        changed = "([shown, before]) => shown.innerHTML !== before"
        try:
            cell.page.wait_for_function(
                changed,
                arg=[shown.element_handle(), before],
                timeout=MINUTE / 2,
                polling=100,
            )
        except TimeoutError:
            pytest.fail(f"control {number} of {controls.count()} changes nothing")


def keys(control: Locator) -> list[str]:
    kind = control.evaluate("control => control.tagName")
    return {"INPUT": ["Home", "x", " ", "Enter"], "SELECT": ["ArrowDown"]}.get(kind, ["ArrowRight"])
