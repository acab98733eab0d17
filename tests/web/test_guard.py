"""The guard against hostile requests, on the real server process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from dms_assets.environment import Environment
from dms_assets.web.request_rules import MAX_BODY_BYTES, REPORTS
from tests.web.hostile import (
    ASSET,
    HOSTILE,
    JSON,
    QUERY,
    WEBSOCKET_ORIGINS,
    Hostile,
    mutations,
    opens_websocket,
    refuses_mutation,
)
from tests.web.server_process import Answer, WebServer

MUTATION = "mutation { setNuxSeen }"


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


@pytest.mark.parametrize("origin", WEBSOCKET_ORIGINS)
def test_a_websocket_of_another_page_is_refused(server: WebServer, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        next(_start(server, SUBSCRIPTION, origin))
    assert refused.value.response.status_code == 403


def test_a_websocket_elsewhere_is_refused(server: WebServer) -> None:
    assert not opens_websocket(server, server.url, "/other")


def test_our_page_may_open_the_websocket(server: WebServer) -> None:
    assert next(_start(server, SUBSCRIPTION, server.url))["type"] == "connection_ack"


def test_no_mutation_goes_through_a_websocket(server: WebServer, web_home: Environment) -> None:
    *_, last = _start(server, MUTATION, server.url)
    assert last["type"] == "error"


def test_read_only_closes_a_websocket_that_mutates(read_only_server: WebServer) -> None:
    with pytest.raises(ConnectionClosed, match="1008"):
        list(_start(read_only_server, MUTATION, read_only_server.url))


def test_read_only_refuses_every_mutation_there_is(read_only_server: WebServer) -> None:
    names = mutations()
    assert len(names) > 20
    assert [name for name in names if not refuses_mutation(read_only_server, name)] == []


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
