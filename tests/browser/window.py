"""A window of the browser on the server's page."""

from __future__ import annotations

from typing import Any, Literal

from playwright.sync_api import Browser, Locator, Page

Scheme = Literal["light", "dark"]


class Window:
    """A window with nothing in its stores.

    Attributes:
        noted: what the page complained of, and whatever it asked for beside this server; a test that provokes an answer
            of 4xx takes the browser's word of it out with `forgive`.
    """

    def __init__(
        self, browser: Browser, address: str, *, width: int = 1280, scheme: Scheme = "light", language: str = "en-US"
    ) -> None:
        self.address = address
        self.noted: list[str] = []
        viewport: Any = {"width": width, "height": 800}
        self.context = browser.new_context(viewport=viewport, color_scheme=scheme, locale=language)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", lambda message: self.noted.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.noted.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self._dismiss(dialog))
        self.context.on("request", lambda request: self._watch(request.url))
        self.context.on("page", lambda page: self.noted.append(f"window: {page.url}") if page != self.page else None)

    def _dismiss(self, dialog: Any) -> None:
        self.noted.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _watch(self, url: str) -> None:
        if not url.startswith(self.address + "/"):
            self.noted.append(f"request: {url}")

    def open(self, view: str = "", *, waits: bool = True) -> Page:
        self.page.goto(f"{self.address}/#/{view}")
        if waits:
            self.page.wait_for_selector("main h1", state="attached")
        return self.page

    def go(self, view: str) -> None:
        """Another view of the page that is open."""
        self.page.evaluate("view => { location.hash = `#/${view}` }", view)
        name = view.partition("?")[0] or "home"
        self.page.wait_for_selector(f"nav a[aria-current][href^='#/{name if name != 'home' else ''}']")

    def say(self, text: str, *, waits: bool = True) -> Locator:
        """Send a message in the chat; the answer to it."""
        count = self.page.locator(".message").count()
        self.page.fill("#composer", text)
        self.page.press("#composer", "Enter")
        answer = self.page.locator(".message").nth(count + 1)
        answer.wait_for()
        if waits:
            answer.locator(".actions").wait_for()
        return answer

    def forgive(self, status: int) -> None:
        self.noted = [line for line in self.noted if f"status of {status}" not in line]

    def close(self) -> None:
        self.context.close()
