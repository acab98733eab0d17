"""Chromium, found by its path, and a page that notices what must not happen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
SCREENSHOTS = "DMS_ASSETS_SCREENSHOTS"
"""Environment variable: a folder to keep screenshots in."""


def find_chromium() -> str:
    """Its path. Without one the tests are skipped; in CI that is an error."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is on the path (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


_WAIT_MS = 60_000
"""A busy machine takes its time; what is there at once is not waited for."""


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=_WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page of one server. `trouble` is what it did that it must not; `sockets` are the websockets it opened."""

    page: Page
    base: str
    trouble: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(_WAIT_MS)
        self.page.on("request", self._request)
        self.page.on("response", self._response)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:", "blob:")):
            self.trouble.append(f"asks the outside for {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.trouble.append(f"{response.status} for {response.request.method} {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.trouble.append(f"console: {message.text}")

    def open(self, path: str) -> Page:
        """Go to a path of the server and wait for the document; wait for what you need on it yourself."""
        self.page.goto(f"{self.base}{path}")
        return self.page

    def shot(self, name: str) -> None:
        """Keep a screenshot, if a folder for them is given."""
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")
