"""Rendering of our own pages: templates with everything escaped, no script, nothing from elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dms_assets.pipeline.status.text import age, size

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


def segments(*parts: str) -> str:
    """Parts of a path, each encoded whole, joined by slashes."""
    return "/".join(quote(part, safe="") for part in parts)


def asset_url(*path: str) -> str:
    """The page of an asset in the Dagster UI."""
    return f"/assets/{segments(*path)}"


def lineage_url(*path: str) -> str:
    """Our column lineage page of an asset."""
    return f"/platform/lineage/{segments(*path)}"


def quarantine_url(*parts: str) -> str:
    """Our quarantine page of a source, or of one entry of it."""
    return f"/platform/quarantine/{segments(*parts)}"


def _visible(value: object) -> object:
    """Text with characters written out that a reader cannot see or that turn around what follows them.

    Names of files and columns come from whoever wrote to landing.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dms_assets.web"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(instant=_instant, age=age, size=size)
    environment.globals.update(
        asset_url=asset_url, lineage_url=lineage_url, quarantine_url=quarantine_url, segments=segments
    )
    return environment


_TEMPLATES = _environment()


def render(template: str, *, code: int = 200, **values: Any) -> HTMLResponse:
    """A page. Raises jinja2.UndefinedError if the template names what it was not given."""
    text = _TEMPLATES.get_template(template).render(now=datetime.now(UTC), **values)
    return HTMLResponse(text, code, headers=_HEADERS)


def not_found(told: str) -> HTMLResponse:
    """The page of a thing that is not there; `told` names it and says what to do."""
    return render("not_found.html", code=404, told=told)
