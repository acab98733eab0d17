"""The way from the Dagster UI to our pages and back: a link on every page of the UI.

The UI is a single-page application whose code is not ours; the link stands outside of the part it draws. Links to our
pages inside the UI, in Markdown descriptions, would stay in the application, which knows no such page: a few lines of
script let the browser follow them.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from starlette.responses import HTMLResponse, Response

_STATIC = Path(__file__).parent / "static"
_SCRIPT = (_STATIC / "bridge.js").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_LINK = (
    '<link rel="stylesheet" href="/platform/static/bridge.css">'
    '<a id="platform-link" href="/platform" title="Sources, lag, holds, quarantine">Platform status</a>'
    f"<script>{_SCRIPT}</script></body>"
)


def with_bridge(page: Response) -> Response:
    """The UI's page with the link in it."""
    policy = page.headers["content-security-policy"].replace("script-src ", f"script-src 'sha256-{_DIGEST}' ", 1)
    headers = {**page.headers, "content-security-policy": policy}
    del headers["content-length"]
    text = bytes(page.body).decode().replace("</body>", _LINK, 1)
    return HTMLResponse(text, page.status_code, headers)
