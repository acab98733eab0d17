"""The stock UI behind the guard: its pages, its websocket, launching a run; and how read-only refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import dagster as dg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.local_dms.service import until
from tests.ui.browser import Watched
from tests.ui.platform import UiPlatform

OFFENDER = "/assets/probation/curated/probation/offender"
PAGES = {
    "/overview": "Overview",
    "/runs": "Runs",
    "/assets": "Catalog",
    "/automation": "Automation",
    "/jobs": "Jobs",
    "/locations": "dms_assets",
    "/deployment": "Deployment",
    "/config": "Configuration",
    "/health": "Daemon",
    "/concurrency": "Concurrency",
    OFFENDER: "offender",
    f"{OFFENDER}?view=events": "offender",
    f"{OFFENDER}?view=automation": "offender",
    "/assets/probation/validated/probation/payment?view=checks": "nothing_in_quarantine",
}


@pytest.mark.parametrize("path", PAGES)
def test_its_pages_work_behind_the_guard(ui: Watched, path: str) -> None:
    """Nothing refused, nothing blocked by the content policy, nothing asked of the outside: `ui` sees to that."""
    page = ui.open(path)
    expect(page.get_by_text(PAGES[path]).first).to_be_visible()
    until(lambda: ui.sockets or page.wait_for_timeout(50), 20)
    assert ui.sockets == [f"{ui.base.replace('http', 'ws')}/graphql"]


@pytest.mark.parametrize(
    ("name", "path", "shown"),
    [
        ("lineage", "/asset-groups", "probation_curated"),
        ("asset-lineage", f"{OFFENDER}?view=lineage&lineageScope=upstream&lineageDepth=5", "probation_landing"),
        ("group", "/asset-groups~group%3A%22probation_curated%22/", "offender_history"),
    ],
)
def test_graphs_are_drawn(ui: Watched, name: str, path: str, shown: str) -> None:
    """The layout is computed in a worker, which the content policy has to let run."""
    page = ui.open(path)
    expect(page.get_by_text(shown).first).to_be_visible()
    ui.shot(f"stock-{name}")


def _materialize(page: Page) -> Locator:
    """The button; its name has that of its icon in it."""
    return page.get_by_role("button").filter(has_text=re.compile("^Materialize$"))


def test_a_run_is_launched_from_the_page(ui: Watched, platform: UiPlatform) -> None:
    instance = platform.system.drive.instance
    before = {run.run_id for run in instance.get_runs()}
    page = ui.open("/assets/probation/metadata/probation/region")
    expect(_materialize(page)).to_be_enabled()
    _materialize(page).click()
    (run_id,) = until(lambda: {run.run_id for run in instance.get_runs()} - before, 60)
    # The run's own process has to start, which takes long on a busy machine.
    until(lambda: _ended(instance, run_id), 300)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    ui.open(f"/runs/{run_id}")
    expect(page.get_by_text("Success").first).to_be_visible()
    ui.shot("stock-run")


def _ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def test_read_only_shows_all_and_launches_nothing(read_only_ui: Watched) -> None:
    page = read_only_ui.open(OFFENDER)
    expect(_materialize(page)).to_be_disabled()
    read_only_ui.shot("stock-read-only")
    page = read_only_ui.open("/platform")
    expect(page.get_by_role("heading", level=1)).to_contain_text("read-only")


_LAUNCH = """async (query) => {
    const answer = await fetch("/graphql", {
        method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify({query}),
    });
    return [answer.status, await answer.text()];
}"""


def test_read_only_refuses_what_a_page_sends_all_the_same(read_only_ui: Watched) -> None:
    page = read_only_ui.open("/")
    status, text = page.evaluate(_LAUNCH, "mutation { reloadWorkspace { __typename } }")
    assert (status, "read-only" in text) == (403, True)
    read_only_ui.trouble.clear()
    status, text = page.evaluate(_LAUNCH, "{ version }")
    assert (status, json.loads(text)["data"]["version"]) == (200, dg.__version__)


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>evil</title>")

    def log_message(self, *args: object) -> None:  # type: ignore[override]
        """Nothing."""


@pytest.fixture
def evil_page(browser: Browser) -> Iterator[Page]:
    """A page that another program of this machine serves: the same site, another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
    Thread(target=server.serve_forever, daemon=True).start()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        yield page
    server.shutdown()
    server.server_close()


_ATTACK = """async (url) => {
    const body = JSON.stringify({query: "mutation { setNuxSeen }"});
    const ask = (type, mode) => fetch(url + "/graphql", {method: "POST", mode, headers: {"content-type": type}, body})
        .then((answer) => answer.type, (error) => error.name);
    const socket = new Promise((done) => {
        const opened = new WebSocket(url.replace("http", "ws") + "/graphql", "graphql-ws");
        opened.onopen = () => done("open");
        opened.onerror = () => done("refused");
    });
    const image = new Promise((done) => {
        const asked = new Image();
        asked.onload = () => done("loaded");
        asked.onerror = () => done("refused");
        asked.src = url + "/favicon.png";
    });
    return [await ask("application/json", "cors"), await ask("text/plain", "no-cors"), await socket, await image];
}"""


def test_a_page_of_another_origin_reaches_nothing(evil_page: Page, platform: UiPlatform) -> None:
    assert evil_page.evaluate(_ATTACK, platform.ui) == ["TypeError", "TypeError", "refused", "refused"]
    # The browser kept the answers from the page; they were sent, and refused here.
    told = [line for line in platform.log.read_text(encoding="utf-8").splitlines() if "refused: " in line]
    for sent in (
        "http OPTIONS '/graphql'",
        "http POST '/graphql'",
        "websocket GET '/graphql'",
        "http GET '/favicon.png'",
    ):
        assert any(sent in line for line in told), sent


def test_such_a_page_cannot_frame_ours(evil_page: Page, platform: UiPlatform) -> None:
    evil_page.set_content(f'<iframe src="{platform.ui}/platform"></iframe>')
    frame = evil_page.frames[-1]
    until(lambda: frame.url.startswith("chrome-error") or evil_page.wait_for_timeout(50), 20)
    assert "Platform" not in frame.content()
