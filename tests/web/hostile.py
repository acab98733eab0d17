"""Requests that no web server of a stack may answer, and what happens to them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.sync.client import connect

from dms_assets.web.request_rules import MAX_BODY_BYTES, REPORTS
from tests.web.server_process import WebServer

JSON = ("Content-Type", "application/json")
QUERY = json.dumps({"query": "{ version }"}).encode()
ASSET = "shop/curated/app/person"
_GET_MUTATION = "/graphql?query=mutation%20%7B%20setNuxSeen%20%7D"


@dataclass(frozen=True)
class Hostile:
    name: str
    status: int
    method: str = "POST"
    target: str = "/graphql"
    headers: tuple[tuple[str, str], ...] = (JSON,)
    body: bytes | None = field(default=QUERY, repr=False)


def _get(name: str, status: int, target: str, *headers: tuple[str, str]) -> Hostile:
    return Hostile(name, status, "GET", target, headers, None)


HOSTILE = [
    # DNS rebinding: the browser believes it talks to the attacker's own host, so it is all one origin to it.
    _get("foreign host", 421, "/", ("Host", "evil.example")),
    _get("rebinding with our port", 421, "/platform", ("Host", "evil.example:3000")),
    _get("rebinding of data", 421, "/logs/a/b.out", ("Host", "rebind.evil.example")),
    _get("host that begins as ours", 421, "/", ("Host", "127.0.0.1.evil.example")),
    _get("host with our name as a user", 421, "/", ("Host", "localhost@evil.example")),
    _get("two hosts", 400, "/", ("Host", "localhost"), ("Host", "evil.example")),
    Hostile(
        "rebinding, same origin to the browser",
        421,
        headers=(JSON, ("Host", "evil.example"), ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "same-origin")),
    ),
    # Cross-site.
    Hostile("cross-site JSON", 403, headers=(JSON, ("Origin", "https://evil.example"))),
    Hostile("cross-site by its metadata only", 403, headers=(JSON, ("Sec-Fetch-Site", "cross-site"))),
    Hostile("another port of this machine", 403, headers=(JSON, ("Origin", "http://127.0.0.1:1"))),
    Hostile("same site, other origin", 403, headers=(JSON, ("Sec-Fetch-Site", "same-site"))),
    Hostile("sandboxed frame", 403, headers=(JSON, ("Origin", "null"))),
    Hostile("origin with a path", 403, headers=(JSON, ("Origin", "http://127.0.0.1/x"))),
    Hostile("origin of another scheme", 403, headers=(JSON, ("Origin", "ftp://127.0.0.1"))),
    Hostile("broken origin", 403, headers=(JSON, ("Origin", "http://[::1"))),
    _get("cross-site script", 403, "/platform/static/platform.css", ("Sec-Fetch-Site", "cross-site")),
    _get(
        "cross-site read of data", 403, "/server_info", ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")
    ),
    _get(
        "cross-site navigation to a download",
        403,
        "/download_debug/x",
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ),
    _get(
        "cross-site frame",
        403,
        "/platform",
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "iframe"),
    ),
    # Bodies that any page may send without asking.
    Hostile("plain text", 415, headers=(("Content-Type", "text/plain"),)),
    Hostile("plain text that says JSON", 415, headers=(("Content-Type", "text/plain; x=application/json"),)),
    Hostile("form", 415, headers=(("Content-Type", "application/x-www-form-urlencoded"),)),
    Hostile("multipart", 415, headers=(("Content-Type", "multipart/form-data; boundary=application/json"),)),
    Hostile("GraphQL text", 415, headers=(("Content-Type", "application/graphql"),), body=b"{ version }"),
    Hostile("no type", 415, headers=()),
    Hostile("two types", 415, headers=(JSON, ("Content-Type", "text/plain"))),
    Hostile("JSON and a query in the URL", 400, target=_GET_MUTATION),
    Hostile("plain text and a query in the URL", 400, target=_GET_MUTATION, headers=(("Content-Type", "text/plain"),)),
    # A query in the URL of a GET.
    _get("GET mutation", 405, _GET_MUTATION),
    _get("GET query", 405, "/graphql?query=%7Bversion%7D"),
    _get("GET mutation as a page", 405, _GET_MUTATION, ("Accept", "text/html")),
    Hostile("HEAD mutation", 405, "HEAD", _GET_MUTATION, (), None),
    Hostile("PUT", 405, "PUT"),
    Hostile("DELETE", 405, "DELETE"),
    Hostile("OPTIONS from elsewhere", 403, "OPTIONS", headers=(("Origin", "https://evil.example"),), body=None),
    Hostile("OPTIONS", 405, "OPTIONS", headers=(), body=None),
    Hostile("TRACE", 405, "TRACE", "/", (), None),
    Hostile("POST to a page", 405, target="/platform"),
    Hostile("POST to the application", 405, target="/runs"),
    _get("report by GET", 405, f"{REPORTS[0]}/{ASSET}"),
    Hostile("report as text", 415, target=f"{REPORTS[0]}/{ASSET}", headers=(("Content-Type", "text/plain"),)),
    Hostile("report by URL alone", 415, target=f"{REPORTS[0]}?asset_key=x", headers=(), body=b""),
    # Paths that mean another one.
    _get("dot segments", 400, "/platform/../graphql?query=%7Bversion%7D"),
    _get("encoded dot segments", 400, "/platform/%2e%2e/graphql"),
    _get("twice encoded dot segments", 400, "/platform/%252e%252e/graphql"),
    _get("doubled slash", 400, "//graphql?query=%7Bversion%7D"),
    _get("encoded first letter of ours", 400, "/%70latform"),
    _get("encoded first letter", 400, "/%67raphql?query=%7Bversion%7D"),
    Hostile("encoded report path", 400, target=f"/report_asset_materializ%61tion/{ASSET}"),
    Hostile("encoded slash in a report path", 400, target=f"{REPORTS[0]}%2F{ASSET}"),
    _get("backslash", 400, "/platform/..%5Cgraphql"),
    _get("log outside", 400, "/logs/..%2f..%2f..%2fetc/passwd"),
    _get("log outside, plain", 400, "/logs/../../../etc/passwd"),
    _get("NUL", 400, "/logs/a%00.out"),
    _get("line break", 400, "/platform/a%0d%0aSet-Cookie:x"),
    _get("file of the code server's disk", 403, "/notebook?path=/etc/x.ipynb&repoLocName=small"),
    # Size.
    Hostile("announced size", 413, headers=(JSON, ("Content-Length", str(MAX_BODY_BYTES + 1))), body=b""),
    Hostile("broken size", 400, headers=(JSON, ("Content-Length", "-1")), body=b""),
]

WEBSOCKET_ORIGINS = (None, "null", "https://evil.example", "http://127.0.0.1:1", "http://localhost")
"""Pages that may not open the websocket; None is a program without one."""


def is_refused(server: WebServer, request: Hostile) -> bool:
    """Whether the guard itself refused it, in its own words where the answer has a body."""
    answer = server.ask(request.method, request.target, request.headers, request.body)
    # A broken size is refused by the server's own parser, before the guard.
    worded = answer.body.startswith("refused: ") or request.method == "HEAD" or request.name == "broken size"
    # A read-only server may have that reason before the other.
    expected = answer.status == request.status or (answer.status == 403 and "is read-only" in answer.body)
    return expected and worded and "version" not in answer.body


def is_answered(server: WebServer, request: Hostile) -> bool:
    """Whether a server does what is asked, or at least takes it for a request like any other."""
    if any(name == "Content-Length" for name, _ in request.headers):
        # It would wait for a body that never comes.
        return False
    try:
        return server.ask(request.method, request.target, request.headers, request.body).status < 400
    except OSError:
        return False


def opens_websocket(server: WebServer, origin: str | None, path: str = "/graphql") -> bool:
    """Whether a page of that origin gets the websocket."""
    try:
        with connect(f"ws://{server.authority}{path}", origin=origin, subprotocols=["graphql-ws"], proxy=None):  # type: ignore[list-item,arg-type]
            return True
    except (InvalidStatus, InvalidHandshake):
        return False


def mutations() -> list[str]:
    """Every mutation of Dagster's own schema."""
    from dagster_graphql.schema import create_schema

    return sorted(create_schema().graphql_schema.mutation_type.fields)


def refuses_mutation(server: WebServer, name: str) -> bool:
    """Whether a server takes neither a mutation nor one that stands beside a query."""
    for query in (f"mutation {{ {name} }}", f"query A {{ version }} mutation B {{ {name} }}"):
        answer = server.ask("POST", "/graphql", [JSON], json.dumps({"query": query}).encode())
        if (answer.status, answer.body[:30]) != (403, "refused: this server is read-o"):
            return False
    return True
