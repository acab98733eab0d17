"""A TCP proxy on loopback that delays, resets, refuses and swallows, and counts what it did.

A hole is a real one: while it lasts, the kernel drops what arrives for the proxy's side of a connection (a socket
filter that passes nothing), so the peer's segments and probes are not even acknowledged. Linux only.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from types import TracebackType
from typing import Any, Self

from dms_assets.sample.loopback import HOST, any_free

_CHUNK = 1 << 16
_AHEAD = 64
"""Chunks under way in one direction at most; a sender beyond that waits, as on a real line."""
_END_S = 5
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_RETURN = 0x06


class Proxy:
    """Forwards connections to `target`. Faults hold inside of the contexts that plant them, for all connections."""

    def __init__(self, target: tuple[str, int], seed: int = 1) -> None:
        self._target = target
        self._random = Random(seed)
        self._latency_s = 0.0
        self._reset_share = 0.0
        self._refuses = False
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._listener = socket.create_server((HOST, any_free()))
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self.counts: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @contextmanager
    def latency(self, seconds: float) -> Iterator[None]:
        """Every round trip takes so long at least."""
        self._latency_s = seconds
        try:
            yield
        finally:
            self._latency_s = 0.0

    @contextmanager
    def resets(self, share: float) -> Iterator[None]:
        """This share of chunks does not arrive: both ends of the connection are reset instead."""
        self._reset_share = share
        try:
            yield
        finally:
            self._reset_share = 0.0

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody gets in: open connections are reset at once, new ones when they come."""
        self._refuses = True
        self._do(self._drop_all)
        try:
            yield
        finally:
            self._refuses = False

    @contextmanager
    def hole(self) -> Iterator[None]:
        """Nothing arrives and nobody is told: neither data nor acknowledgements nor handshakes get through."""
        self._do(self._swallow)
        try:
            yield
        finally:
            self._do(self._let_through)

    def _do(self, call: Any) -> None:
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._listener))
        try:
            self._loop.run_forever()
        finally:
            server.close()
            self._open.set()
            for line in list(self._lines):
                line.reset()
            if tasks := asyncio.all_tasks(self._loop):
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=_END_S))
            self._loop.close()

    def _drop_all(self) -> None:
        for line in list(self._lines):
            self.counts["connections cut off"] += 1
            line.reset()

    def _swallow(self) -> None:
        self._open.clear()
        self.counts["holes"] += 1
        self.counts["connections in a hole"] += len(self._lines)
        for one in (self._listener, *(line.socket for line in self._lines)):
            _drop_what_arrives(one)

    def _let_through(self) -> None:
        for one in (self._listener, *(line.socket for line in self._lines)):
            with suppress(OSError):  # closed meanwhile
                one.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        if self._refuses:
            self.counts["connections refused"] += 1
            _reset(writer)
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        line = _Line(writer, far_writer)
        self._lines.add(line)
        try:
            await asyncio.gather(self._pump(reader, far_writer, line), self._pump(far_reader, writer, line))
        except OSError:
            line.reset()  # one end is gone, by itself or by us: the other is to know
        finally:
            self._lines.discard(line)
            line.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        """One direction: chunks leave in order, each after its time."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_AHEAD)
        delivery = asyncio.ensure_future(self._deliver(under_way, writer))
        try:
            while chunk := await reader.read(_CHUNK):
                if self._random.random() < self._reset_share:
                    self.counts["connections reset"] += 1
                    line.reset()
                    return
                if self._latency_s:
                    self.counts["chunks delayed"] += 1
                await under_way.put((self._loop.time() + self._latency_s / 2, chunk))
            await under_way.put((0.0, b""))
            await delivery
        finally:
            delivery.cancel()

    async def _deliver(self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await chunks.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._open.wait()
            if not chunk:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()


class _Line:
    """One connection through the proxy: the side of who connected, and that of the target."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._ends = (near, far)
        self.socket: socket.socket = near.get_extra_info("socket")

    def reset(self) -> None:
        """End both sides with a reset."""
        for end in self._ends:
            _reset(end)

    def close(self) -> None:
        """End both sides in order."""
        for end in self._ends:
            end.close()


def _reset(end: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # closed already
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()


def _drop_what_arrives(one: socket.socket) -> None:
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))
