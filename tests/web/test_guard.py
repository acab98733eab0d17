"""The guard against hostile requests, on the real server process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from dms_assets.environment import Environment
from dms_assets.web.request_rules import MAX_BODY_BYTES, REPORTS
from tests.web.server_process import Answer, WebServer

JSON = ("Content-Type", "application/json")
QUERY = json.dumps({"query": "{ version }"}).encode()
ASSET = "shop/curated/app/person"
MUTATION = "mutation { setNuxSeen }"
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


@pytest.mark.parametrize("request_", HOSTILE, ids=lambda request: request.name)
def test_a_hostile_request_is_refused(server: WebServer, request_: Hostile) -> None:
    answer = server.ask(request_.method, request_.target, request_.headers, request_.body)
    assert answer.status == request_.status, answer.body
    assert "version" not in answer.body
    if request_.name != "broken size" and request_.method != "HEAD":
        # Ours, not an accident further in: one line, with what to do.
        assert answer.body.startswith("refused: ")
        assert "; " in answer.body
        assert answer.body.count("\n") == 1


def test_a_body_that_grows_is_cut_off(server: WebServer) -> None:
    chunk = b"%x\r\n%s\r\n" % (2**20, b" " * 2**20)
    body = chunk * (MAX_BODY_BYTES // 2**20 + 1) + b"0\r\n\r\n"
    answer = server.ask("POST", "/graphql", [JSON, ("Transfer-Encoding", "chunked")], body)
    assert answer.status == 413


def test_refusals_are_logged_in_one_line(server: WebServer) -> None:
    server.ask("GET", "/tell%0Ame", [("Host", "evil.example")])
    lines = server.log.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if "/tell" in line]
    assert len(told) == 1
    assert "evil.example" in told[0]
    assert "--allow-host" in told[0]


OWN = [
    ("by a program", (JSON,)),
    ("with a charset", (("Content-Type", "application/json; charset=utf-8"),)),
    ("by the page", (JSON, ("Origin", "{origin}"), ("Sec-Fetch-Site", "same-origin"))),
]


@pytest.mark.parametrize(("name", "headers"), OWN, ids=lambda value: value if isinstance(value, str) else "")
def test_own_requests_are_answered(server: WebServer, name: str, headers: tuple[tuple[str, str], ...]) -> None:
    own = [(key, value.format(origin=server.url)) for key, value in headers]
    answer = server.ask("POST", "/graphql?op=Version", own, QUERY)
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["data"]["version"] == dg.__version__


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "localhost:8080", "127.0.0.1:1"])
def test_loopback_names_are_ours_on_any_port(server: WebServer, host: str) -> None:
    """A tunnel has another port."""
    assert server.ask("GET", "/platform/static/platform.css", [("Host", host)]).status == 200


@pytest.mark.parametrize("path", ["/asset-groups~group%3A%22a_b%22/a%2Fb", "/assets/a%2Fb/c%25d", "/runs?q%5B0%5D=x"])
def test_addresses_that_the_ui_makes_can_be_opened_again(server: WebServer, path: str) -> None:
    assert server.ask("GET", path).status == 200


def test_a_link_from_elsewhere_opens_a_page(server: WebServer) -> None:
    followed = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    assert server.ask("GET", f"/assets/{ASSET}", followed).status == 200


@pytest.mark.parametrize("target", ["/", "/platform", "/graphql", "/nothing/such", "/server_info", "/manifest.json"])
def test_every_answer_has_the_security_headers(server: WebServer, target: str) -> None:
    headers = server.ask("GET", target).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "https:" not in headers["content-security-policy"]
    assert "feature-policy" not in headers


def test_a_script_may_be_a_worker_of_the_ui(server: WebServer) -> None:
    script = re.search(r'src="(/_next/[^"]+\.js)"', server.ask("GET", "/").body)
    assert script is not None
    policy = server.ask("GET", script[1]).headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy


def _graphql(server: WebServer, query: str, **variables: Any) -> Answer:
    return server.ask("POST", "/graphql", [JSON], json.dumps({"query": query, "variables": variables}).encode())


def _start(server: WebServer, query: str, origin: str | None) -> Iterator[dict[str, Any]]:
    """The messages that answer a query sent over the websocket."""
    url = f"ws://{server.authority}/graphql"
    with connect(url, origin=origin, subprotocols=["graphql-ws"], proxy=None) as socket:  # type: ignore[list-item,arg-type]
        socket.send(json.dumps({"type": "connection_init"}))
        yield json.loads(socket.recv(timeout=20))
        socket.send(json.dumps({"type": "start", "id": "1", "payload": {"query": query}}))
        yield json.loads(socket.recv(timeout=20))


SUBSCRIPTION = "subscription { locationStateChangeEvents { event { message } } }"


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:1", "http://localhost"])
def test_a_websocket_of_another_page_is_refused(server: WebServer, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        next(_start(server, SUBSCRIPTION, origin))
    assert refused.value.response.status_code == 403


def test_a_websocket_elsewhere_is_refused(server: WebServer) -> None:
    with pytest.raises(InvalidStatus), connect(f"ws://{server.authority}/other", origin=server.url, proxy=None):  # type: ignore[arg-type]
        pass


def test_our_page_may_open_the_websocket(server: WebServer) -> None:
    assert next(_start(server, SUBSCRIPTION, server.url))["type"] == "connection_ack"


def test_no_mutation_goes_through_a_websocket(server: WebServer, web_home: Environment) -> None:
    *_, last = _start(server, MUTATION, server.url)
    assert last["type"] == "error"


def test_read_only_closes_a_websocket_that_mutates(read_only_server: WebServer) -> None:
    with pytest.raises(ConnectionClosed, match="1008"):
        list(_start(read_only_server, MUTATION, read_only_server.url))


def _mutations() -> list[str]:
    from dagster_graphql.schema import create_schema

    return sorted(create_schema().graphql_schema.mutation_type.fields)


def test_read_only_refuses_every_mutation_there_is(read_only_server: WebServer) -> None:
    names = _mutations()
    assert len(names) > 20
    for name in names:
        for query in (f"mutation {{ {name} }}", f"query A {{ version }} mutation B {{ {name} }}"):
            answer = _graphql(read_only_server, query)
            assert (answer.status, answer.body[:30]) == (403, "refused: this server is read-o"), name


def test_the_same_mutation_passes_where_it_may(server: WebServer) -> None:
    """The one before is refused for what it is, not for how it is asked."""
    assert _graphql(server, MUTATION).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'[{"query": "mutation { setNuxSeen }"}]',
        b'{"query": ["mutation"]}',
        b'{"query": "mutation {"}',
        b"{",
    ],
)
def test_read_only_takes_no_body_it_cannot_judge(read_only_server: WebServer, body: bytes) -> None:
    assert read_only_server.ask("POST", "/graphql", [JSON], body).status == 400


def test_read_only_sees_through_escapes(read_only_server: WebServer) -> None:
    escaped = b'{"query": "\\u006dutation { setNuxSeen }"}'
    assert read_only_server.ask("POST", "/graphql", [JSON], escaped).status == 403


def test_read_only_answers_queries_that_speak_of_mutations(read_only_server: WebServer) -> None:
    answer = _graphql(read_only_server, "query mutation { version }")
    assert json.loads(answer.body)["data"]["version"] == dg.__version__


@pytest.mark.parametrize("endpoint", REPORTS)
def test_read_only_takes_no_reports(server: WebServer, read_only_server: WebServer, endpoint: str) -> None:
    target, body = f"{endpoint}/{ASSET}", b'{"check_name": "c", "passed": true, "data_version": "1"}'
    refused = read_only_server.ask("POST", target, [JSON], body)
    assert (refused.status, "read-only" in refused.body) == (403, True)
    assert server.ask("POST", target, [JSON], body).status == 200
