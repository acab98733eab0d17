"""The platform to look at is made once; every test has a page of its own, which must do nothing it must not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.ui.browser import Watched, chromium, find_chromium
from tests.ui.platform import UiPlatform, ui_platform


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "ui":
            item.add_marker("ui")
            # The platform is made in the first one's time.
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiPlatform]:
    """Without a browser nothing is made."""
    find_chromium()
    with ui_platform(tmp_path_factory.mktemp("ui") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def browser(platform: UiPlatform) -> Iterator[Browser]:
    """After the platform, and ended with the module: while Playwright runs, no other event loop can in this thread,

    and Dagster needs one for automation conditions.
    """
    with chromium() as found:
        yield found


def _watched(browser: Browser, base: str) -> Iterator[Watched]:
    with browser.new_context(viewport={"width": 1600, "height": 1000}) as context:
        watched = Watched(context.new_page(), base)
        yield watched
        context.close()
    assert not watched.trouble


@pytest.fixture
def ui(browser: Browser, platform: UiPlatform) -> Iterator[Watched]:
    """A page of the server for operators."""
    yield from _watched(browser, platform.ui)


@pytest.fixture
def read_only_ui(browser: Browser, platform: UiPlatform) -> Iterator[Watched]:
    """A page of the server for analysts."""
    yield from _watched(browser, platform.ui_read_only)
