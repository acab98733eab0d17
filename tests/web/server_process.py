"""A real web server in a process of its own, as a stack starts it, and requests as raw as an attacker's."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dms_assets.environment import Environment
from dms_assets.stack.parts import PROJECT_ROOT
from dms_assets.stack.process import StackProcess

READY_S = 120.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class WebServer:
    """Where it listens, and its log."""

    port: int
    log: Path

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    def ask(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answer:
        """One request with exactly these headers, and a Host unless one is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            if not any(name.lower() == "host" for name, _ in headers):
                connection.putheader("Host", self.authority)
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None and not any(
                name.lower() in {"content-length", "transfer-encoding"} for name, _ in headers
            ):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read().decode(errors="replace"))
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/server_info").status == 200
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web_server(environment: Environment, workspace: Path, *options: str) -> Iterator[WebServer]:
    """A server on a free port, ready to answer; stopped with all it started."""
    server = WebServer(_free_port(), environment.root / "logs" / f"web{'-'.join(options)}.log")
    command = [sys.executable, "-m", "dms_assets.web.server", "--workspace", str(workspace)]
    command += ["--port", str(server.port), *options]
    process = StackProcess("the web server", command, environment.process_environment(), server.log, PROJECT_ROOT)
    try:
        process.wait_ready(server.answers, READY_S)
        yield server
    finally:
        process.stop()
