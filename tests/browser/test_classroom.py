"""A class on a JupyterHub in a real browser: release, fetch, solve, submit, grade, feedback.

One teacher and three students, each with an account of the system, made here and removed at the end;
the hub's configuration is docs/classroom/jupyterhub_config.py as it is.
"""

import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
import release
import zmq
from jupyter_client import BlockingKernelClient
from nbtools import ROOT, read
from playwright.sync_api import Browser, Locator, expect
from test_nbgrader import LESSON, answers

CLASSROOM = ROOT / "docs" / "classroom"
HUB = "http://127.0.0.1:8000"
COURSE = "vision-transformers"
NAMES = ("teacher", "right", "wrong", "empty")
STUDENTS = NAMES[1:]
PREFIX = "trial-"
MINUTE = 60_000  # milliseconds
# Where README.md of the classroom has it installed, or anywhere on PATH
PROXY = shutil.which(
    "configurable-http-proxy",
    path=os.pathsep.join([str(ROOT / "build/hub/node_modules/.bin"), os.environ["PATH"]]),
)
MISSING = [
    what
    for what, is_here in {
        "root, who makes accounts": hasattr(os, "geteuid") and os.geteuid() == 0,
        "useradd": shutil.which("useradd"),
        "JupyterHub (pip install -e .[hub])": find_spec("jupyterhub"),
        "its proxy (make test-browser gets it with npm)": PROXY,
    }.items()
    if not is_here
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def account(name: str) -> str:
    return PREFIX + name


def home(name: str) -> Path:
    return Path("/home") / account(name)


@pytest.fixture(scope="module")
def passwords() -> Iterator[dict[str, str]]:
    """Four accounts in the group of the class, as the guide makes them."""
    group_was_here = (
        subprocess.run(["getent", "group", COURSE], capture_output=True).returncode == 0
    )
    made = {name: secrets.token_urlsafe(12) for name in NAMES}
    try:
        run("groupadd", "--force", COURSE)
        for name, password in made.items():
            run(
                "useradd",
                "-m",
                "-K",
                "HOME_MODE=0700",
                "-G",
                COURSE,
                "-s",
                "/bin/bash",
                account(name),
            )
            run("chpasswd", input=f"{account(name)}:{password}\n")
        yield made
    finally:
        for name in NAMES:
            subprocess.run(["userdel", "--remove", "--force", account(name)], capture_output=True)
        if not group_was_here:
            subprocess.run(["groupdel", COURSE], capture_output=True)


@pytest.fixture(scope="module")
def enterable() -> Iterator[None]:
    """Others may pass through the folders above Python; at the end as before."""
    changed: dict[Path, int] = {}
    for place in (sys.prefix, sys.base_prefix, ROOT):
        for folder in [Path(place).resolve(), *Path(place).resolve().parents]:
            mode = stat.S_IMODE(folder.stat().st_mode)
            if not mode & stat.S_IXOTH:
                changed[folder] = mode
                folder.chmod(mode | stat.S_IXOTH)
    yield
    for folder, mode in changed.items():
        folder.chmod(mode)


@pytest.fixture(scope="module")
def folder(passwords: dict[str, str]) -> Iterator[Path]:
    """The hub's folder and the teacher's course, laid out as the guide says."""
    folder = Path("/srv") / f"{PREFIX}{secrets.token_hex(4)}"
    patch = pytest.MonkeyPatch()
    try:
        folder.mkdir(mode=0o755)
        (folder / "state").mkdir(mode=0o700)
        exchange = folder / "exchange"
        exchange.mkdir()
        exchange.chmod(0o1777)
        run("install", "-d", "-o", account("teacher"), "-m", "755", exchange / COURSE)
        for name in ("jupyterhub_config.py", "nbgrader_config.py"):
            shutil.copy(CLASSROOM / name, folder)
        patch.setattr(release, "RELEASE", folder / "release")
        release.write_all()
        shutil.move(folder / "release" / "nbgrader", home("teacher") / COURSE)
        run("chown", "-R", f"{account('teacher')}:", home("teacher") / COURSE)
        yield folder
    finally:
        patch.undo()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def hub(folder: Path, enterable: None) -> Iterator[None]:
    assert not answers_at_all(), f"another server answers at {HUB}: end it first"
    environment = {
        **os.environ,
        "COURSE_TEACHERS": account("teacher"),
        "PATH": os.pathsep.join([str(Path(PROXY or "").parent), os.environ["PATH"]]),
    }
    del environment["PYTHONPATH"]  # the tests' own
    command = [sys.executable, "-m", "jupyterhub", "-f", folder / "jupyterhub_config.py"]
    with open(folder / "state" / "log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until(answers_at_all, "the hub does not answer", seconds=300)
        yield
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()  # the hub ends its proxy and all servers
        try:
            process.wait(60)
        finally:
            for left in psutil.wait_procs(children, timeout=10)[1]:
                left.kill()
            print((folder / "state" / "log").read_text(encoding="utf-8")[-20_000:])


def wait_until(true: Callable[[], bool], otherwise: str, seconds: int = 60) -> None:
    for _ in range(2 * seconds):
        if true():
            return
        time.sleep(0.5)
    raise AssertionError(f"{otherwise} within {seconds} seconds")


def answers_at_all() -> bool:
    try:
        urlopen(f"{HUB}/hub/health", timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def browser(chromium: Browser) -> Iterator[Browser]:
    expect.set_options(timeout=MINUTE)  # four people on one machine are slow
    yield chromium
    expect.set_options(timeout=5_000)


class Person:
    """Somebody at a browser of her own."""

    def __init__(self, name: str, browser: Browser, password: str) -> None:
        self.name = name
        self.page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        self.page.set_default_timeout(MINUTE)
        self.log_in(password)

    def log_in(self, password: str) -> None:
        self.page.goto(f"{HUB}/hub/login")
        self.page.get_by_label("Username").fill(account(self.name))
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=5 * MINUTE)
        self.lab_is_ready()

    def url(self, path: str) -> str:
        return f"{HUB}/user/{account(self.name)}/{path}"

    def lab_is_ready(self) -> None:
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=2 * MINUTE)
        expect(self.page.get_by_role("menuitem", name="Nbgrader")).to_be_visible(timeout=MINUTE)

    def menu(self, name: str, entry: str) -> None:
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=entry, exact=True).click()


class Student(Person):
    @property
    def notebook(self) -> Path:
        return home(self.name) / LESSON / f"{LESSON}.ipynb"

    def assignments(self, which: str) -> Locator:
        """One of the three lists: released, fetched, submitted."""
        return self.page.locator(f"#{which}_assignments_list")

    def fetch(self) -> None:
        self.menu("Nbgrader", "Assignment List")
        self.assignments("released").get_by_role("button", name="Fetch", exact=True).click()
        expect(self.assignments("fetched")).to_contain_text(LESSON)

    def solve(self, typed: dict[str, str]) -> None:
        """Types answers over the stubs, runs the lesson and saves it."""
        self.page.goto(self.url(f"lab/tree/{LESSON}/{LESSON}.ipynb"))
        self.lab_is_ready()
        kernel = self.page.locator(".jp-StatusBar-Widget, #jp-main-statusbar")
        expect(kernel.first).to_contain_text("| Idle", timeout=2 * MINUTE)
        for answer in typed.values():
            editor = self.cell(answer.splitlines()[0]).locator(".cm-content")
            editor.click()
            self.page.keyboard.press("Control+a")
            self.page.keyboard.insert_text(answer)
            self.page.keyboard.press("Escape")
        self.menu("Run", "Run All Cells")
        expect(kernel.first).to_contain_text("| Busy", timeout=MINUTE)
        expect(kernel.first).to_contain_text("| Idle", timeout=3 * MINUTE)
        self.page.keyboard.press("Control+s")
        wait_until(lambda: self.has_saved(typed), f"{self.notebook} is not saved")

    def has_saved(self, typed: dict[str, str]) -> bool:
        cells = read(self.notebook).cells
        ran = any(cell.get("execution_count") for cell in cells)
        return ran and {cell.source for cell in cells} >= set(typed.values())

    def cell(self, line: str) -> Locator:
        """The code cell with this line; JupyterLab makes cells as one scrolls to them."""
        cell = self.page.locator(".jp-CodeCell", has_text=line).filter(
            has_text="NotImplementedError"
        )
        self.page.locator(".jp-WindowedPanel-outer").first.evaluate("e => e.scrollTo(0, 0)")
        for _ in range(200):
            if cell.count():
                cell.first.scroll_into_view_if_needed()
                return cell.first
            self.page.locator(".jp-WindowedPanel-outer").first.evaluate("e => e.scrollBy(0, 400)")
            self.page.wait_for_timeout(100)
        raise AssertionError(f"no open exercise has the line {line!r}")

    def submit(self) -> None:
        self.menu("Nbgrader", "Assignment List")
        self.assignments("fetched").get_by_role("button", name="Submit", exact=True).click()
        expect(self.assignments("submitted")).to_contain_text(LESSON)

    def read_feedback(self) -> str:
        """The words of the feedback page, as JupyterLab shows it."""
        self.menu("Nbgrader", "Assignment List")
        self.assignments("submitted").get_by_role("button", name="Fetch Feedback").click()
        expect(self.assignments("submitted")).to_contain_text("view feedback")
        (page,) = self.notebook.parent.glob("feedback/*/*.html")
        self.page.goto(self.url(f"lab/tree/{page.relative_to(home(self.name))}"))
        self.lab_is_ready()
        words = self.page.frame_locator("iframe.jp-IFrame, .jp-HTMLViewer iframe").locator("body")
        expect(words).to_contain_text("Score")
        return words.inner_text()


class Teacher(Person):
    def grader(self, page: str) -> None:
        self.page.goto(self.url(f"formgrader/{page}"))

    def press(self, row: str, column: str) -> None:
        """Presses what a row of formgrader has in a column, and reads that it went well."""
        self.page.locator("tr", has_text=row).locator(f".{column} a").click()
        dialog = self.page.locator(".modal.in, .modal.show")
        expect(dialog).to_contain_text(re.compile("Success|Error"), timeout=5 * MINUTE)
        expect(dialog).to_contain_text("Success")
        dialog.get_by_role("button").last.click()
        expect(dialog).to_have_count(0)

    def release(self) -> None:
        self.grader("manage_assignments")
        self.press(LESSON, "assign")
        self.press(LESSON, "release")

    def grade(self) -> None:
        self.grader("manage_assignments")
        self.press(LESSON, "collect")
        self.grader(f"manage_submissions/{LESSON}")
        for student in STUDENTS:
            self.press(account(student), "autograde")
        self.grader("manage_assignments")
        self.press(LESSON, "generate-feedback")
        self.press(LESSON, "release-feedback")

    def scores(self) -> dict[str, str]:
        self.grader(f"manage_submissions/{LESSON}")
        rows = {name: self.page.locator("tr", has_text=account(name)) for name in STUDENTS}
        return {name: row.locator(".score").inner_text() for name, row in rows.items()}


@pytest.fixture(scope="module")
def people(hub, browser, passwords) -> Iterator[dict[str, Person]]:
    """Everybody, logged in."""
    kinds = {name: Teacher if name == "teacher" else Student for name in NAMES}
    people = {name: kinds[name](name, browser, passwords[name]) for name in NAMES}
    yield people
    for person in people.values():
        person.page.context.close()


@pytest.fixture(scope="module")
def lesson_3(people) -> dict[str, str]:
    """Lesson 3 from the release to the feedback: what each student reads in the end."""
    teacher, students = people["teacher"], [people[name] for name in STUDENTS]
    right = answers()
    wrong = {**right, "3.1": right["3.1"].replace("dim=-1", "dim=0")}
    teacher.release()
    for student, typed in zip(students, (right, wrong, {}), strict=True):
        student.fetch()
        student.solve(typed)
        student.submit()
    teacher.grade()
    return {student.name: student.read_feedback() for student in students}


def test_points(lesson_3, people) -> None:
    assert people["teacher"].scores() == {"right": "4 / 4", "wrong": "3 / 4", "empty": "0 / 4"}


@pytest.mark.parametrize(
    ("student", "says"),
    [
        ("right", "[PASS] Exercise 3.1: scores divided by the square root of the head dim"),
        ("wrong", "[FAIL] Exercise 3.1: The softmax ran over the queries (dim=0): now each column"),
        ("empty", "[ .. ] Exercise 3.1: not attempted yet."),
    ],
)
def test_each_student_reads_her_own_feedback(lesson_3, student: str, says: str) -> None:
    assert says in " ".join(lesson_3[student].split())


def as_account(name: str, *command: str | Path) -> bool:
    """Whether a command succeeds for somebody; if it does not, the system has refused it."""
    done = subprocess.run(
        ["runuser", "-u", account(name), "--", *command], capture_output=True, text=True, cwd="/"
    )
    assert not done.returncode or re.search("denied|not permitted", done.stderr), done.stderr
    return done.returncode == 0


def test_nobody_reads_what_is_another_s(lesson_3, folder, people) -> None:
    right = people["right"]
    exchange = folder / "exchange" / COURSE
    (handed_in,) = (exchange / "inbound").glob(f"{account('right')}+*")
    course = home("teacher") / COURSE
    (feedback,) = right.notebook.parent.glob("feedback/*/*.html")
    hers = [right.notebook, handed_in / right.notebook.name, feedback]
    for path in hers:
        assert as_account("right", "head", "-c1", path), path
        assert not as_account("wrong", "head", "-c1", path), path
        assert not as_account("wrong", "touch", path), path
    for path in (course / "gradebook.db", course / "source" / LESSON / f"{LESSON}.ipynb"):
        assert as_account("teacher", "head", "-c1", path), path
        assert not as_account("wrong", "head", "-c1", path), path
    for path in (exchange / "inbound", exchange / "feedback"):
        assert as_account("teacher", "ls", path), path
        assert not as_account("wrong", "ls", path), path
    assert not as_account("wrong", "mv", exchange, folder / "exchange" / "mine")


def test_nobody_opens_another_s_server(lesson_3, people) -> None:
    for owner, status in (("wrong", 200), ("right", 403), ("teacher", 403)):
        answer = people["wrong"].page.goto(people[owner].url("api/contents"))
        assert answer.status == status, owner


def test_formgrader_is_the_teacher_s(lesson_3, people) -> None:
    for name, status in (("teacher", 200), ("right", 404)):
        page = people[name].page
        assert page.goto(people[name].url("formgrader/manage_assignments")).status == status


def seat(name: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if process.username() == account(name)]


def test_nobody_can_listen_to_another_s_kernel(lesson_3) -> None:
    """At its port, without the keys, nothing is heard of what a kernel says."""
    (file,) = home("right").glob(".local/share/jupyter/runtime/kernel-*.json")
    assert not as_account("wrong", "head", "-c1", file)
    connection = json.loads(file.read_text())
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    with zmq.Context() as context, context.socket(zmq.SUB) as listener:
        listener.subscribe("")
        listener.connect(f"tcp://{connection['ip']}:{connection['iopub_port']}")
        client.execute("print('a secret')", reply=True, timeout=60)
        heard = listener.poll(timeout=3_000)
    client.stop_channels()
    assert not heard


def test_a_seat_has_a_limit(lesson_3) -> None:
    limits = [Path(f"/proc/{process.pid}/limits").read_text() for process in seat("right")]
    sizes = [re.search(r"Max data size +(\d+)", text) for text in limits]
    assert [size and int(size[1]) for size in sizes] == [4 * 2**30] * 2  # the server, the kernel


def test_a_seat_needs_the_memory_that_the_guide_says(lesson_3) -> None:
    """With lesson 3 run to its end; what processes share is shared out among them."""
    infos = [process.memory_full_info() for process in seat("right")]
    print(*infos, sep="\n")
    memory = [info.pss / 1e9 for info in infos]
    said = re.search(
        r"a seat needs ([\d.]+) GB", (CLASSROOM / "README.md").read_text(encoding="utf-8")
    )
    assert sum(memory) == pytest.approx(float(said[1]), rel=0.3)
