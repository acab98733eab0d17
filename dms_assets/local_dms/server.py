"""The service: HTTP on loopback, tasks in threads, a clean end on SIGTERM."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dms_assets.local_dms.api import wire
from dms_assets.local_dms.api.endpoints import Endpoints
from dms_assets.local_dms.api.events import Events
from dms_assets.local_dms.api.instances import Instances
from dms_assets.local_dms.api.tasks import Tasks
from dms_assets.local_dms.connections import Wiring
from dms_assets.local_dms.lock import exclusive
from dms_assets.local_dms.store import Store
from dms_assets.local_dms.supervisor import Supervisor

log = logging.getLogger("local_dms")

HOST = "127.0.0.1"
READY_FILE = "ready.json"


def application(handlers: Mapping[str, wire.Handler]) -> Starlette:
    """The HTTP side: one path that takes all operations, and one that says the service is there."""

    async def operate(request: Request) -> Response:
        target = request.headers.get("x-amz-target", "")
        body = await request.body()
        try:
            status, answer = await run_in_threadpool(wire.handle, target, body, handlers)
        except Exception as error:  # the answer must be in the protocol's form whatever went wrong
            log.exception("%s", target)
            failure = {"__type": "InternalFailure", "message": f"{type(error).__name__}: {error}"}
            status, answer = 500, json.dumps(failure).encode()
        return Response(answer, status, media_type=wire.CONTENT_TYPE)

    async def health(request: Request) -> Response:  # noqa: ARG001 - the shape of a route
        return PlainTextResponse("Local DMS\n")

    return Starlette(routes=[Route("/", operate, methods=["POST"]), Route("/", health, methods=["GET"])])


def serve(
    state: Path,
    buckets: Path,
    port: int = 0,
    *,
    secrets: Path | None = None,
    s3_endpoint: str | None = None,
    ready_file: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    When it listens, `ready_file` (default: `ready.json` in the state folder) holds {"address", "pid"}, and the same is
    printed. Raises StateInUseError if another process has the state folder, OSError if the port is taken.
    """
    with exclusive(state):
        listener = socket.create_server((HOST, port))
        buckets.mkdir(parents=True, exist_ok=True)
        store = Store(state / "state.db")
        wiring = Wiring(buckets, secrets, s3_endpoint)
        supervisor = Supervisor(store, wiring)
        instances = Instances(store)
        endpoints = Endpoints(store, instances, wiring)
        tasks = Tasks(store, instances, endpoints, supervisor)
        handlers: dict[str, wire.Handler] = {}
        for part in (instances, endpoints, tasks, Events(store)):
            handlers |= part.handlers()
        supervisor.resume_all()
        path = ready_file or state / READY_FILE
        try:
            if threading.current_thread() is threading.main_thread():
                # uvicorn ends on a signal, then raises it again for whoever was there before: that is us, and the
                # work below is not done.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            _announce(path, listener)
            config = uvicorn.Config(application(handlers), log_level="warning", lifespan="off", access_log=False)
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            path.unlink(missing_ok=True)
            supervisor.suspend_all()
            store.close()


def _announce(path: Path, listener: socket.socket) -> None:
    ready = json.dumps({"address": f"http://{HOST}:{listener.getsockname()[1]}", "pid": os.getpid()})
    part = path.with_suffix(".part")
    part.write_text(ready)
    part.rename(path)
    print(ready, flush=True)  # noqa: T201 - the line that a parent process waits for
