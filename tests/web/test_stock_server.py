"""What the stock server is and does, as far as ours relies on it. A new release may break these; then look again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver import cli
from dagster_webserver.webserver import DagsterWebserver
from starlette.routing import Route
from starlette.types import ASGIApp

from dms_assets.web.bridge import with_bridge
from dms_assets.web.request_rules import REPORTS
from dms_assets.web.server import PlatformWebserver


@pytest.fixture(scope="module")
def process_context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkspaceProcessContext]:
    with (
        dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context,
    ):
        yield context


def test_the_names_we_use(process_context: WorkspaceProcessContext) -> None:
    created = inspect.signature(cli.create_app_from_workspace_process_context)  # type: ignore[attr-defined]
    assert list(created.parameters) == ["workspace_process_context", "path_prefix", "live_data_poll_rate", "kwargs"]
    called = inspect.getsource(cli.host_dagster_ui_with_workspace_process_context)
    assert "workspace_process_context, path_prefix, live_data_poll_rate, lifespan=_lifespan" in called
    assert {"host", "port", "read_only", "workspace"} <= {option.name for option in cli.dagster_webserver.params}
    own = inspect.signature(DagsterWebserver.__init__)
    assert list(own.parameters)[1:4] == ["process_context", "app_path_prefix", "live_data_poll_rate"]


def test_its_routes_are_those_the_guard_knows(process_context: WorkspaceProcessContext) -> None:
    """A new endpoint has to be judged: is it data, does it change something, does it read a file it is told to?"""
    routes: list[Any] = DagsterWebserver(process_context).build_routes()  # type: ignore[no-untyped-call]
    paths = {route.path for route in routes if isinstance(route, Route)}
    files = {path for path in paths if "{" not in path and "." in path}
    assert paths - files == {
        "/",
        "/{path:path}",
        "/server_info",
        "/dagit_info",
        "/graphql",
        "/logs/{path:path}",
        "/notebook",
        "/dagit/notebook",
        "/download_debug/{run_id:str}",
        *(f"{report}/{{asset_key:path}}" for report in REPORTS),
    }


def test_ours_come_first(process_context: WorkspaceProcessContext) -> None:
    routes: list[Any] = PlatformWebserver(process_context).build_routes()
    paths = [route.path for route in routes]
    assert paths.index("/platform") < paths.index("/{path:path}")
    assert paths.index("/platform/static") < paths.index("/platform/{rest:path}") < paths.index("/graphql")


async def _get(app: ASGIApp, target: str, host: str) -> int:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", host.encode()), (b"origin", b"https://evil.example")],
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


def test_without_the_guard_any_page_could_change_things(process_context: WorkspaceProcessContext) -> None:
    """The reason for the guard: a mutation in a GET, of another origin, for another host."""
    import asyncio

    app = DagsterWebserver(process_context).create_asgi_app()
    target = "/graphql?query=mutation%20%7B%20setNuxSeen%20%7D"
    assert asyncio.run(_get(app, target, "evil.example")) == 200


def test_the_page_of_the_ui_takes_our_link(process_context: WorkspaceProcessContext) -> None:
    server = PlatformWebserver(process_context)
    from starlette.requests import Request

    request = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})
    stock = DagsterWebserver.index_html_endpoint(server, request)
    assert bytes(stock.body).count(b"</body>") == 1
    page = with_bridge(stock)
    assert b'id="platform-link" href="/platform"' in bytes(page.body)
    policy = page.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert "unsafe-eval" not in policy
    assert int(page.headers["content-length"]) == len(page.body)
