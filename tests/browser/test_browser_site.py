"""The course site in a real browser: `make test-browser`. Opened from the disk and from a sub-path.

No console error, no request that leaves the machine, nothing wider than a telephone, no violation of
WCAG 2.2 AA on any page, in light and in dark; search, theme and solutions work by keyboard.
"""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SMALLEST = 360  # columns of pixels: a small telephone
ZOOMED = 320  # and a laptop at 400 % (WCAG 1.4.10)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(site):
    """The site at a sub-path of a web server, http://127.0.0.1:PORT/a/course/, and nothing above."""
    root = site.parent / "served"
    (root / "a").mkdir(parents=True, exist_ok=True)
    if not (root / "a" / "course").exists():
        (root / "a" / "course").symlink_to(site)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a/course"
    server.shutdown()
    server.server_close()


@pytest.fixture
def names(site):
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


def look_at(page: Page, address: str) -> None:
    """Open a page and load its pictures, which otherwise wait until they are near."""
    page.goto(address)
    page.evaluate(
        """async () => {
            const images = [...document.images];
            images.forEach(image => image.loading = "eager");
            await Promise.all(images.map(image => image.decode()));
        }"""
    )


# --- every page -------------------------------------------------------------------------------


def test_every_page_opens_from_the_disk(open_browser, site, names):
    page = open_browser()
    for name in names:
        look_at(page, f"file://{site}/{name}")


def test_every_page_opens_from_a_sub_path(open_browser, served, names):
    page = open_browser()
    for name in names:
        look_at(page, f"{served}/{name}")


def test_no_page_scrolls_sideways_on_a_telephone(open_browser, site, names):
    page = open_browser(SMALLEST)
    wide = {}
    for name in names:
        look_at(page, f"file://{site}/{name}")
        page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > SMALLEST:
            wide[name] = width
        cut = page.evaluate(
            """() => [...document.querySelectorAll("article *")].filter(box => {
                const clipped = getComputedStyle(box).overflowX == "hidden";
                return clipped && box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 1;
            }).map(box => box.outerHTML.slice(0, 80))"""
        )
        assert cut == [], name
    assert wide == {}


def test_no_page_scrolls_sideways_at_four_times_the_size(open_browser, site, names):
    page = open_browser(ZOOMED)
    for name in names:
        page.goto(f"file://{site}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= ZOOMED, name
        outside = page.evaluate(
            """[...document.querySelectorAll(".piece *")].filter(part =>
                part.getBoundingClientRect().right > part.closest(".piece").getBoundingClientRect().right
            ).map(part => part.outerHTML.slice(0, 80))"""
        )
        assert outside == [], name


@pytest.mark.parametrize("wide", [900, 1010, 1100, 1320])
def test_no_lesson_is_wider_than_a_tablet_or_a_laptop(open_browser, site, wide):
    page = open_browser(wide)
    for lesson in sorted(site.glob("notebooks/*.html")):
        page.goto(lesson.as_uri())
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= wide, f"{lesson.name} is {width} pixels wide"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(open_browser, site, names, theme):
    page = open_browser(theme=theme)
    found = []
    for name in names:
        page.goto(f"file://{site}/{name}")
        page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        page.evaluate(AXE)
        options = {"runOnly": WCAG, "resultTypes": ["violations"], "preload": False}
        result = page.evaluate("options => axe.run(document, options)", options)
        assert len(result["passes"]) > 10
        for violation in result["violations"]:
            places = [place["html"][:120] for place in violation["nodes"][:3]]
            found.append(f"{name}: {violation['id']}: {places}")
    assert found == []


def test_axe_on_a_telephone(open_browser, site):
    page = open_browser(SMALLEST)
    for name in ("index.html", "notebooks/03_attention.html", "reference/attention.html"):
        page.goto(f"file://{site}/{name}")
        page.evaluate(AXE)
        options = {"runOnly": WCAG, "resultTypes": ["violations"], "preload": False}
        result = page.evaluate("options => axe.run(document, options)", options)
        assert [violation["id"] for violation in result["violations"]] == []


# --- what it does -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["disk", "server"])
def test_search_finds_a_lesson(open_browser, site, served, where):
    page = open_browser()
    page.goto(
        f"{served if where == 'server' else f'file://{site}'}/notebooks/05_images_as_tokens.html"
    )
    page.get_by_role("textbox", name="Search").fill("rollout")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li a")
    expect(results.filter(has_text="Looking inside").first).to_be_visible()
    results.filter(has_text="Looking inside").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Looking inside")


def test_a_result_leads_to_the_words_that_were_searched(open_browser, site):
    page = open_browser()
    page.goto(f"file://{site}/search.html?q=excitation")  # far down, in a list of references
    page.locator("#search-results li a", has_text="Looking inside").first.click()
    expect(page.locator("article .highlighted").first).to_be_in_viewport()


def test_the_theme_changes_by_keyboard_and_is_kept(open_browser, site):
    page = open_browser()
    page.goto(f"file://{site}/index.html")
    color = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(color)
    button = page.locator("button.theme-toggle:visible")
    button.focus()
    page.keyboard.press("Enter")
    if page.evaluate(color) == light:  # automatic, light, dark
        page.keyboard.press("Enter")
    dark = page.evaluate(color)
    assert dark != light
    page.goto(f"file://{site}/notebooks/03_attention.html")
    assert page.evaluate(color) == dark


def test_a_solution_opens_by_keyboard(open_browser, site):
    page = open_browser()
    page.goto(f"file://{site}/notebooks/03_attention.html")
    solution = page.locator("details.hide").first
    expect(solution.locator("pre")).to_be_hidden()
    expect(solution.get_by_text("Show solution 3.1")).to_be_visible()
    solution.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(solution.locator("pre")).to_be_visible()
    expect(solution.get_by_text("Hide solution 3.1")).to_be_visible()


def test_what_scrolls_is_reached_by_keyboard(open_browser, site):
    page = open_browser(SMALLEST)
    page.goto(f"file://{site}/notebooks/03_attention.html")
    boxes = page.locator(".highlight pre[tabindex='0']")
    assert boxes.count() > 0
    box = boxes.first
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())


def test_formulas_are_drawn_with_growing_brackets(open_browser, site):
    page = open_browser()
    page.goto(f"file://{site}/notebooks/03_attention.html")
    page.evaluate("document.fonts.ready")
    formula = page.locator("math[display=block]").filter(has_text="softmax").first
    bracket = formula.locator("mo", has_text="(").last.bounding_box()
    letter = formula.locator("mi").first.bounding_box()
    assert bracket["height"] > 1.5 * letter["height"]
    assert page.evaluate("document.fonts.check('16px \"STIX Two Math\"')")


def test_the_lessons_read_without_scripts(open_browser, site):
    page = open_browser(java_script_enabled=False)
    page.goto(f"file://{site}/notebooks/03_attention.html")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("math").first).to_be_visible()
    page.locator("details.hide summary").first.click()
    expect(page.locator("details.hide pre").first).to_be_visible()


def test_downloading_gives_the_notebook(open_browser, served):
    page = open_browser()
    page.goto(f"{served}/notebooks/03_attention.html")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download notebook").click()
    assert download.value.suggested_filename == "03_attention.ipynb"


# --- narrow pages, by keyboard ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "drawer", "width"),
    [
        ("Menu", "nav.sidebar-drawer", SMALLEST),
        ("On this page", "nav.toc-drawer", SMALLEST),
        ("On this page", "nav.toc-drawer", 1100),
    ],
)
def test_a_drawer_opens_and_closes_by_keyboard(open_browser, site, name, drawer, width):
    page = open_browser(width)
    page.goto(f"file://{site}/notebooks/03_attention.html")
    toggle, drawer = page.get_by_role("button", name=name), page.locator(drawer)
    expect(drawer).to_be_hidden()
    toggle.focus()
    for key in ("Space", "Enter"):
        page.keyboard.press(key)
        expect(drawer).to_be_visible()
        expect(toggle).to_have_attribute("aria-expanded", "true")
        assert drawer.evaluate("drawer => drawer.contains(document.activeElement)")
        page.keyboard.press("Escape")
        expect(drawer).to_be_hidden()
        expect(toggle).to_be_focused()


def test_a_choice_in_the_contents_closes_them(open_browser, site):
    page = open_browser(SMALLEST)
    page.goto(f"file://{site}/notebooks/03_attention.html")
    page.get_by_role("button", name="On this page").click()
    page.locator("nav.toc-drawer").get_by_role("link", name="Recap").click()
    expect(page.locator("nav.toc-drawer")).to_be_hidden()
    expect(page.get_by_role("heading", name="Recap")).to_be_in_viewport()


@pytest.mark.parametrize("width", [SMALLEST, 1100, 1280])
def test_every_stop_of_the_tab_key_is_seen(open_browser, site, width):
    page = open_browser(width)
    page.goto(f"file://{site}/notebooks/03_attention.html")
    unseen = []
    for _ in range(200):
        page.keyboard.press("Tab")
        box = page.evaluate(
            """() => {
                const stop = document.activeElement;
                const shown = stop.type == "checkbox" ? stop.parentElement : stop;
                const {left, right} = shown.getBoundingClientRect();
                return [stop.outerHTML.slice(0, 80), left, right];
            }"""
        )
        if box[2] <= 0 or box[1] >= width:
            unseen.append(box)
    assert unseen == []


def test_a_printed_lesson_is_whole(open_browser, site):
    page = open_browser(718)  # A4 with the usual margins
    page.goto(f"file://{site}/notebooks/03_attention.html")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    cut = page.evaluate(
        """[...document.querySelectorAll("article pre, article table, article .formula")].filter(box =>
            box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 1 && box.closest("article")
        ).map(box => box.outerHTML.slice(0, 80))"""
    )
    assert cut == []
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


def test_the_search_page_has_a_field_of_its_own(open_browser, site):
    page = open_browser(SMALLEST)
    page.goto(f"file://{site}/search.html")
    page.get_by_role("searchbox", name="Words").fill("rollout")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li a")
    expect(results.filter(has_text="Looking inside").first).to_be_visible()
