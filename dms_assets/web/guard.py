"""The guard: a plain ASGI application around the web server, for HTTP and websockets alike."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dms_assets.web.read_only import judge_message, judge_request
from dms_assets.web.request_rules import GRAPHQL, Head, Policy, Refusal, judge, too_large

_LOG = logging.getLogger(__name__)
POLICY_VIOLATION = 1008
TOO_BIG = 1009
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# For what brings no policy of its own: data, images, style sheets. Nothing of it is a page.
_NO_PAGE = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# A script may be a worker's, which has the policy it came with; the UI's workers import further scripts.
_SCRIPT = f"{_NO_PAGE}; script-src 'self'; connect-src 'self'"


class Guard:
    """Answers what `request_rules` allows, refuses the rest in one line and logs it."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of a server."""
        if scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = _head(scope)
        refusal = judge(self._policy, head)
        if refusal is None and head.method == "POST":
            try:
                body = await _read(receive, self._policy.max_body)
            except ClientDisconnect:
                return
            if body is None:
                refusal = too_large(self._policy)
            else:
                receive = _replay(body, receive)
                if self._policy.read_only and head.below(GRAPHQL):
                    refusal = judge_request(body)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        _tell(head, refusal)
        text = f"{refusal}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
        # What is left of the body is not read, so the connection cannot be used again.
        headers += [(b"cache-control", b"no-store"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head.method == "HEAD" else text})

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = _head(scope)
        refusal = judge(self._policy, head)
        if refusal is not None:
            _tell(head, refusal)
            await receive()
            # Before it is accepted: the handshake is answered with 403.
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.reason[:100]})
            return

        async def checked() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            text, data = message.get("text"), message.get("bytes")
            if len(text or "") + len(data or b"") > self._policy.max_body:
                found, code = too_large(self._policy), TOO_BIG
            else:
                refused = judge_message(text) if self._policy.read_only else None
                if refused is None:
                    return message
                found, code = refused, POLICY_VIOLATION
            _tell(head, found)
            await send({"type": "websocket.close", "code": code, "reason": found.reason[:100]})
            return {"type": "websocket.disconnect", "code": code}

        await self._app(scope, checked, send)


def _head(scope: Scope) -> Head:
    return Head(
        kind=scope["type"],
        method=scope.get("method", "GET"),
        path=scope["path"],
        raw_path=scope.get("raw_path") or scope["path"].encode(),
        query=scope.get("query_string", b""),
        headers=scope["headers"],
    )


def _tell(head: Head, refusal: Refusal) -> None:
    # What comes from outside is shown escaped and cut; never the query, which may hold anything.
    _LOG.warning("%s %s %a: %s", head.kind, head.method[:10], head.path[:200], str(refusal)[:400])


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body, None if it is longer than `limit` bytes. Raises ClientDisconnect if its sender goes away."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body that was read already, then whatever else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> MutableMapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return next_message


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            # The stock server's older spelling of Permissions-Policy; browsers complain of both.
            del headers["Feature-Policy"]
            for name, value in _HEADERS.items():
                headers[name] = value
            script = "javascript" in headers.get("content-type", "")
            headers.setdefault("Content-Security-Policy", _SCRIPT if script else _NO_PAGE)
        await send(message)

    return sending
