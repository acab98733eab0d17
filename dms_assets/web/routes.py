"""The routes of our own pages, all below `/platform`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from dagster._core.workspace.context import WorkspaceRequestContext
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from dms_assets.installation import Installation
from dms_assets.pipeline.status.read import read_status
from dms_assets.sources import read_sources
from dms_assets.web.lineage_metadata import AssetMetadata
from dms_assets.web.lineage_page import lineage_page
from dms_assets.web.page import not_found, render
from dms_assets.web.quarantine_page import entry_page, quarantine_page


class Contexts(Protocol):
    """What gives a request its view of the workspace and the instance: the web server."""

    def request_context(self, conn: HTTPConnection) -> AbstractContextManager[WorkspaceRequestContext]:
        """The context of one request."""
        ...


class _Pages:
    """The endpoints. Not coroutines: the framework runs them in threads, for they read files and databases."""

    def __init__(self, installation: Installation, contexts: Contexts) -> None:
        self._installation = installation
        self._contexts = contexts

    def first(self, request: Request) -> HTMLResponse:
        with self._contexts.request_context(request) as context:
            status = read_status(self._installation, context.instance)
            return render("platform.html", status=status, read_only=context.read_only)

    def quarantine(self, request: Request) -> HTMLResponse:
        source = request.path_params["source"]
        return quarantine_page(self._installation, source) if self._declared(source) else _no_source(source)

    def entry(self, request: Request) -> HTMLResponse:
        source, entry = request.path_params["source"], request.path_params["entry"]
        return entry_page(self._installation, source, entry) if self._declared(source) else _no_source(source)

    def lineage(self, request: Request) -> HTMLResponse:
        # From the path as it was sent: a part of a key may hold a slash, which the decoded path shows as one more part.
        raw = request.scope.get("raw_path", b"").decode("ascii")
        asset = tuple(unquote(part) for part in raw.removeprefix("/platform/lineage/").strip("/").split("/"))
        with self._contexts.request_context(request) as context:
            return lineage_page(AssetMetadata(context.asset_graph, context.instance), asset)

    def nothing(self, request: Request) -> HTMLResponse:  # noqa: ARG002 the framework passes it
        return not_found("there is no such page of the platform; begin at its first page")

    @staticmethod
    def _declared(source: str) -> bool:
        good, _ = read_sources()
        return any(spec.name == source for spec in good.values())


def _no_source(source: str) -> HTMLResponse:
    return not_found(f"no source is called '{source}'; the first page lists all of them")


def platform_routes(installation: Installation, contexts: Contexts) -> list[BaseRoute]:
    """The routes, in the order in which they are tried."""
    pages = _Pages(installation, contexts)
    return [
        Mount("/platform/static", StaticFiles(directory=Path(__file__).parent / "static")),
        Route("/platform", pages.first),
        Route("/platform/quarantine/{source}", pages.quarantine),
        Route("/platform/quarantine/{source}/{entry}", pages.entry),
        Route("/platform/lineage/{path:path}", pages.lineage),
        Route("/platform/{rest:path}", pages.nothing),
    ]
