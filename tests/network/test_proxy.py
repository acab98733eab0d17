"""The proxy's faults are real, and Local DMS's connections notice those that nobody tells of."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dms_assets.local_dms.faults import RecoverableError
from dms_assets.local_dms.postgres import source
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.loopback import HOST, any_free
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.network.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets."""
    with socket.create_server((HOST, any_free())) as listener:

        def serve(one: socket.socket) -> None:
            with one:
                try:
                    while data := one.recv(100):
                        one.sendall(data)
                except ConnectionError:
                    return

        def accept() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(one,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)


def _call(one: socket.socket) -> float:
    began = time.monotonic()
    one.sendall(b"?")
    assert one.recv(1) == b"?"
    return time.monotonic() - began


def test_what_is_planted_takes_place_and_ends(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy:
        with socket.create_connection((HOST, proxy.port)) as one:
            assert _call(one) < 0.2
            with proxy.latency(0.3):
                assert _call(one) >= 0.3
            assert _call(one) < 0.2
            with proxy.resets(1.0), pytest.raises(ConnectionError):
                _call(one)
        with proxy.refusing(), socket.create_connection((HOST, proxy.port)) as one, pytest.raises(ConnectionError):
            _call(one)
        with socket.create_connection((HOST, proxy.port)) as one:
            assert _call(one) < 0.2
    assert proxy.counts["connections reset"] == 1
    assert proxy.counts["connections refused"] == 1


def test_in_a_hole_nobody_is_told_and_nothing_is_lost(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy, socket.create_connection((HOST, proxy.port)) as one:
        _call(one)
        with proxy.hole():
            one.settimeout(0.3)
            one.sendall(b"?")
            with pytest.raises(TimeoutError):
                one.recv(1)
            with pytest.raises(TimeoutError):
                socket.create_connection((HOST, proxy.port), timeout=0.3)
        one.settimeout(10)
        assert one.recv(1) == b"?"


@pytest.mark.postgres
@pytest.mark.parametrize("waiting", [False, True], ids=["sending", "waiting for an answer"])
def test_a_source_that_falls_silent_is_given_up(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, *, waiting: bool
) -> None:
    monkeypatch.setattr(source, "_DEAD_AFTER_S", 2)
    info = postgres.connection_info
    with Proxy((info.host, info.port)) as proxy:
        address = SourceAddress(HOST, proxy.port, info.dbname, info.username, info.password)
        began = time.monotonic()
        with pytest.raises(RecoverableError, match="timed out"):
            _into_a_hole(address, proxy, waiting=waiting)
    assert time.monotonic() - began < 15
    assert proxy.counts["connections in a hole"] == 1


def _into_a_hole(address: SourceAddress, proxy: Proxy, *, waiting: bool) -> None:
    with address.connect() as connection:
        if waiting:
            threading.Timer(0.2, proxy._do, [proxy._swallow]).start()
            connection.execute("select pg_sleep(60)")
        else:
            proxy._do(proxy._swallow)
            connection.execute("select 1")
