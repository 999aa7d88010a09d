"""A watch over what a page in the browser does."""

from playwright.sync_api import Page


class Watch:
    """What a page may not do: say errors, ask other machines, ask for what is not there."""

    def __init__(self, page: Page, console: tuple[str, ...] = ("error", "warning")) -> None:
        self.wrong: list[str] = []
        self.console = console
        page.on("console", self.on_console)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("request", self.on_request)
        page.on("requestfailed", self.on_failure)

    def on_console(self, message):
        if message.type in self.console:
            self.wrong.append(f"{message.location.get('url')}: {message.text}")

    def on_failure(self, request):
        if request.failure != "net::ERR_ABORTED":  # a page left before its icon was there
            self.wrong.append(f"{request.failure}: {request.url}")

    def on_request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            self.wrong.append(f"leaves the machine: {request.url}")
