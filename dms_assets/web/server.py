"""The web server of a stack: `python -m dms_assets.web.server --workspace FILE --port N [--read-only]`.

The stock Dagster UI, behind the guard, on loopback, with pages of our own. It uses three names of the stock server
that are not promised to stay (`DagsterWebserver`, `cli.create_app_from_workspace_process_context`,
`cli.dagster_webserver`); `tests/web/test_stock_server.py` says what they must be.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import click
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster_webserver import cli as stock
from dagster_webserver.webserver import DagsterWebserver
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from dms_assets.installation import Installation
from dms_assets.pipeline.status.read import read_status
from dms_assets.web.bridge import with_bridge
from dms_assets.web.guard import Guard
from dms_assets.web.request_rules import LOOPBACK_HOSTS, Policy
from dms_assets.web.routes import platform_routes

HOST = "127.0.0.1"


class PlatformWebserver(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    """The stock server with our routes before its own, a stricter content policy, and a link to our pages."""

    def build_routes(self) -> list[BaseRoute]:
        """All routes; the stock ones end with one that takes every path."""
        return [*platform_routes(Installation(), self), *super().build_routes()]  # type: ignore[no-untyped-call]  # the stock method has no annotations

    def make_csp_header(self, nonce: str) -> str:
        """What a page of the UI may load: its own scripts, and nothing from elsewhere."""
        return (
            f"default-src 'self'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; "
            "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def index_html_endpoint(self, request: Any) -> Any:
        """The page of the UI, with the link to ours."""
        return with_bridge(super().index_html_endpoint(request))


def _warm_up(process_context: WorkspaceProcessContext) -> None:
    """Import and open what the first page needs, while nobody waits for it."""
    read_status(Installation(), process_context.instance)


def _app_factory(policy: Policy) -> Any:
    def create_app(
        process_context: WorkspaceProcessContext,
        path_prefix: str = "",
        live_data_poll_rate: int | None = None,
        **options: Any,
    ) -> ASGIApp:
        server = PlatformWebserver(process_context, path_prefix, live_data_poll_rate)
        threading.Thread(target=_warm_up, args=(process_context,), daemon=True).start()
        return Guard(server.create_asgi_app(**options), policy)

    return create_app


def _log_to_stderr() -> None:
    """The stock server configures Dagster's loggers only; what the guard refuses belongs into the log with its time."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger("dms_assets").addHandler(handler)


@click.command()
@click.option("--workspace", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="Port on 127.0.0.1.")
@click.option("--read-only", is_flag=True, help="Refuse everything that changes something: for analysts.")
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A further name the server goes by, for one behind a proxy. May be given several times.",
)
def main(workspace: Path, port: int, read_only: bool, hosts: tuple[str, ...]) -> None:
    """Serve the Dagster UI and the platform's pages on 127.0.0.1 until stopped."""
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
    _log_to_stderr()
    names = LOOPBACK_HOSTS | {name.lower() for name in hosts}
    factory = _app_factory(Policy(hosts=names, read_only=read_only))
    stock.create_app_from_workspace_process_context = factory  # type: ignore[attr-defined]  # it is an import there
    arguments = ["--workspace", str(workspace), "--host", HOST, "--port", str(port)]
    # Not through the stock `main`: it takes options from DAGSTER_WEBSERVER_*, also a host.
    stock.dagster_webserver.main([*arguments, *(["--read-only"] if read_only else [])], prog_name="dms-assets-web")


if __name__ == "__main__":
    main()
