"""An HTTP layer before an emulated S3 that answers as S3 does when it is busy, says no, or loses its answers."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from dms_assets.sample.loopback import HOST, any_free


class S3Fault(Enum):
    """Status and code of an answer, and whether the request takes effect before it."""

    SLOW_DOWN = (503, "SlowDown")
    INTERNAL = (500, "InternalError")
    ABORTED = (409, "OperationAborted")
    CONFLICT = (409, "ConditionalRequestConflict")
    DENIED = (403, "AccessDenied")
    EXPIRED = (400, "ExpiredToken")
    SLOW_CLIENT = (400, "RequestTimeout")
    LOST = (0, "answer lost after the effect")
    HALF = (200, "body cut off half way")
    COPY_FAILED = (200, "error in the body of a 200")

    @property
    def word(self) -> str:
        """As it is counted."""
        return f"{self.value[0]} {self.value[1]}" if self.value[0] >= 400 else self.value[1]


WRITES = {"PUT", "DELETE", "POST"}


@dataclass
class Weather:
    """The share of requests that meets a fault, by fault; the next requests that surely meet one come first.

    `due` are faults that the first requests they fit to meet, one in three: a short spell has all of them.
    """

    shares: dict[S3Fault, float] = field(default_factory=dict)
    next: list[S3Fault] = field(default_factory=list)
    due: list[S3Fault] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break here, that is what it is for; the client's errors are what is looked at."""


class FaultyS3:
    """Forwards to `target`; `page` limits what one listing request returns. Counts faults and requests."""

    def __init__(self, target: tuple[str, int], seed: int = 1, page: int | None = None) -> None:
        self.weather = Weather()
        self.counts: Counter[str] = Counter()
        self.page = page
        self._target = target
        self._random = Random(seed)
        self._lock = threading.Lock()
        self._server = _Server((HOST, any_free()), type("Handler", (_Handler,), {"faulty": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return (HOST, int(self._server.server_address[1]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def planted(self, shares: dict[S3Fault, float], due: Iterable[S3Fault] = ()) -> Iterator[None]:
        """Inside, requests meet faults by chance."""
        self.weather.shares, self.weather.due = shares, list(due)
        try:
            yield
        finally:
            self.weather.shares, self.weather.due = {}, []

    def fault(self, method: str, headers: Any) -> S3Fault | None:
        """What this request meets; only what S3 answers to such a request."""
        with self._lock:
            if self.weather.next:
                return self.weather.next.pop(0)
            for fault in self.weather.due:
                if _fits(fault, method, headers) and self._random.random() < 1 / 3:
                    self.weather.due.remove(fault)
                    return fault
            for fault, share in self.weather.shares.items():
                if _fits(fault, method, headers) and self._random.random() < share:
                    return fault
        return None

    def count(self, name: str) -> None:
        """Take note of what took place."""
        with self._lock:
            self.counts[name] += 1

    def forward(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """The answer of the target."""
        connection = http.client.HTTPConnection(*self._target, timeout=30)
        try:
            connection.request(method, path, body, dict(headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def paged(self, path: str) -> str:
        """A listing request, for a small page."""
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if query.get("list-type") != "2":
            return path
        self.count("further pages of listings" if "continuation-token" in query else "listings")
        if self.page is None:
            return path
        return f"{parts.path}?{urlencode({**query, 'max-keys': self.page})}"

    def copy_condition_fails(self, headers: Any) -> bool:
        """moto ignores `x-amz-copy-source-if-match`; S3 does not."""
        wanted = headers.get("x-amz-copy-source-if-match")
        if wanted is None:
            return False
        source = "/" + headers["x-amz-copy-source"].lstrip("/")
        signed = {name: headers[name] for name in ("Host", "Authorization", "X-Amz-Date")}
        status, found, _ = self.forward("HEAD", source, signed, b"")
        assert status in {200, 404}, f"the emulated S3 says {status}, and the condition cannot be looked at"
        etag = {name.lower(): value for name, value in found}.get("etag", "")
        return status == 200 and etag.strip('"') != unquote(wanted).strip('"')


def _fits(fault: S3Fault, method: str, headers: Any) -> bool:
    if fault is S3Fault.CONFLICT:
        return method == "PUT" and ("If-None-Match" in headers or "If-Match" in headers)
    if fault is S3Fault.COPY_FAILED:
        return "x-amz-copy-source" in headers
    if fault is S3Fault.HALF:
        return method == "GET"
    return method in WRITES if fault in {S3Fault.ABORTED, S3Fault.LOST} else True


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>planted {code}</Message></Error>".encode()


class _Handler(BaseHTTPRequestHandler):
    faulty: FaultyS3
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 the base class's name
        """Counted instead."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.faulty.count("requests")
        fault = self.faulty.fault(self.command, self.headers)
        if fault is not None and fault.value[0] >= 400:
            self.faulty.count(fault.word)
            self._answer(fault.value[0], [("Content-Type", "application/xml")], _error(fault.value[1]))
            return
        if fault is S3Fault.COPY_FAILED:
            self.faulty.count(fault.word)
            self._answer(200, [("Content-Type", "application/xml")], _error("InternalError"))
            return
        if self.faulty.copy_condition_fails(self.headers):
            self._answer(412, [("Content-Type", "application/xml")], _error("PreconditionFailed"))
            return
        status, headers, answer = self.faulty.forward(self.command, self.faulty.paged(self.path), self.headers, body)
        if fault is S3Fault.LOST and status < 300:
            # Counted where it had an effect: what was refused has no answer to lose.
            self.faulty.count(fault.word)
            self._break_off()
        elif fault is S3Fault.HALF and status == 200 and len(answer) > 1:
            self.faulty.count(fault.word)
            self._answer(status, headers, answer, send=len(answer) // 2)
            self._break_off()
        else:
            self._answer(status, headers, answer)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, send: int | None = None) -> None:
        left_out = {"connection", "transfer-encoding", "date", "server"}
        told = {name.lower() for name, _ in headers}
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in left_out and not (name.lower() == "content-length" and self.command != "HEAD"):
                self.send_header(name, value)
        if self.command != "HEAD" or "content-length" not in told:
            self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:send])

    def _break_off(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 the base class's names
