"""One Chromium for all tests in a browser."""

import shutil

import pytest
from playwright.sync_api import sync_playwright
from watch import Watch

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# What Chromium would do of its own accord: ask its maker's machines.
QUIET = ("gpu", "quic", "background-networking", "component-update", "sync")


@pytest.fixture(scope="session")
def chromium():
    if not CHROMIUM:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_browser(chromium):
    """open_browser(width, theme): a page with a watch over it; at the end nothing may be wrong."""
    opened = []

    def make(width=1280, theme="light", **options):
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme=theme, **options
        )
        page = context.new_page()
        opened.append((context, Watch(page)))
        return page

    yield make
    wrong = [line for _, watch in opened for line in watch.wrong]
    for context, _ in opened:
        context.close()
    assert wrong == []
