"""Local DMS behind a bad line to its source, while somebody writes to the source directly; compared when it is well."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.sequence import hundredths, time_digits
from dms_assets.sample.loopback import HOST
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service, folded, until
from tests.network.proxy import Proxy

LATENCY_S, RESET_SHARE = 0.5, 0.05
_PAUSE_S = 0.02
_LOADED = 2_000
_TOLD = re.compile(r"cannot be reached: (.*); trying again")
ATTEMPT_EVERY_S = 1.0
"""Connections in a span in which none lives: one a second at most, and some for the pauses that begin short."""


@dataclass(frozen=True)
class Spans:
    """How long each fault lasts, in seconds. `hole` beyond half a minute is noticed by the client.

    `round_trip` is how slow the line is in the first span.
    """

    latency: float
    resets: float
    refusing: float
    hole: float
    round_trip: float = LATENCY_S


class _Writer:
    """Commits transactions to the source without the proxy, until it is stopped."""

    def __init__(self, dsn: str, seed: int) -> None:
        self._dsn = dsn
        self._random = Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self.transactions = 0

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _write(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stop.wait(_PAUSE_S):
                self._transaction(connection)
                self.transactions += 1

    def _transaction(self, connection: psycopg.Connection[Any]) -> None:
        draw = self._random
        with connection.transaction():
            for _ in range(draw.randrange(1, 6)):
                key = draw.randrange(1, 2 * _LOADED)
                if draw.random() < 0.2:
                    connection.execute("delete from app.item where id = %s", (key,))
                else:
                    connection.execute(
                        "insert into app.item values (%s, %s, %s) on conflict (id) do update "
                        "set amount = excluded.amount, note = excluded.note",
                        (key, draw.randrange(10**6), "n" * draw.randrange(200)),
                    )
                connection.execute("insert into app.journal (item) values (%s)", (key,))


def prepare(dsn: str) -> None:
    """Two tables: one whose rows change, and a journal, of which every row must come exactly once."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists app cascade")
        connection.execute("create schema app")
        connection.execute("create table app.item (id integer primary key, amount integer, note text)")
        connection.execute("create table app.journal (id bigserial primary key, item integer)")
        connection.execute(
            "insert into app.item select g, g, repeat('x', 100) from generate_series(1, %s) g", (_LOADED,)
        )
        connection.execute("insert into app.journal (item) select g from generate_series(1, %s) g", (_LOADED,))


class SourceLine:
    """One task of a service that reaches its source through a proxy."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, seed: int) -> None:
        self.seen: Counter[str] = Counter()
        self._seed = seed
        self._folder = folder
        self._dsn = postgres.dsn
        info = postgres.connection_info
        self._address = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)

    def run(self, spans: Spans) -> Counter[str]:
        """What took place. Raises AssertionError if a row is lost, doubled or wrong, or connections are without end."""
        prepare(self._dsn)
        with Proxy((self._address.host, self._address.port), self._seed) as proxy:
            behind = replace(self._address, host=HOST, port=proxy.port)
            with Service(self._folder, behind) as service:
                arn = service.task("line")
                writer = _Writer(self._dsn, self._seed)
                with writer.writing():
                    self._through(proxy, service, arn, spans)
                until(lambda: self._journal(service) == self._wanted(), 120)
                service.stop(arn)
                self._prove(service, arn)
        self.seen["transactions written meanwhile"] = writer.transactions
        self.seen.update(proxy.counts)
        return self.seen

    def _through(self, proxy: Proxy, service: Service, arn: str, spans: Spans) -> None:
        with proxy.latency(spans.round_trip):
            # The load too is over the slow line.
            service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
            service.wait(arn, "replication_task_running")
            time.sleep(spans.latency)
        self._spanned("reset", proxy.resets(RESET_SHARE), service, spans.resets)
        self._spanned("refused", proxy.refusing(), service, spans.refusing, self._bounded(proxy, spans.refusing))
        self._spanned("hole", proxy.hole(), service, spans.hole, self._bounded(proxy, spans.hole))

    def _spanned(
        self,
        name: str,
        fault: AbstractContextManager[None],
        service: Service,
        seconds: float,
        bounded: AbstractContextManager[None] | None = None,
    ) -> None:
        """Let a fault last; afterwards wait until what was written in it is captured."""
        before = len(self._told(service))
        with bounded or self._bounded(None, seconds), fault:
            time.sleep(seconds)
        wanted = self._wanted()
        until(lambda: wanted <= self._journal(service), 120)
        told = self._told(service)[before:]
        self.seen[f"{name}: attempts given up and begun again"] = len(told)
        self.seen.update(f"{name}: a timeout told" for text in told if "timed out" in text or "timeout" in text)

    @contextmanager
    def _bounded(self, proxy: Proxy | None, seconds: float) -> Iterator[None]:
        before = proxy.counts["connections"] if proxy else 0
        yield
        if proxy:
            made = proxy.counts["connections"] - before
            assert made <= seconds / ATTEMPT_EVERY_S + 8, f"{made} connections in {seconds} s without any that lives"

    def _told(self, service: Service) -> list[str]:
        return [found[1] for text in service.events() if (found := _TOLD.search(text))]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn) as connection:
            return connection.execute(query.encode()).fetchall()

    def _wanted(self) -> set[int]:
        return {row[0] for row in self._rows("select id from app.journal")}

    def _journal(self, service: Service) -> set[int]:
        found = service.loads("line", "journal") + service.changes("line", "journal")
        return {row["id"] for row in found}

    def _boundary(self, service: Service, arn: str) -> str:
        """The first sequence behind the journal's load: a load that was begun again stands inside the stream."""
        one = service.statistics(arn)["journal"]
        if not one["FullLoadReloaded"]:
            return ""
        self.seen["loads begun again"] += 1
        return time_digits(hundredths(one["FullLoadStartTime"]))

    def _prove(self, service: Service, arn: str) -> None:
        loads, changes = service.loads("line", "journal"), service.changes("line", "journal")
        once = {row["dms_change_seq"]: row["id"] for row in changes}
        self.seen["changes delivered again"] = len(changes) - len(once)
        assert max(Counter(once.values()).values()) == 1, "changes came twice"
        boundary = self._boundary(service, arn)
        found = Counter([row["id"] for row in loads] + [key for seq, key in once.items() if seq >= boundary])
        assert {key for key, count in found.items() if count > 1} == set(), "rows of load and changes came twice"
        assert set(found) == self._wanted(), "rows were lost"
        state = folded(service.loads("line", "item"), service.changes("line", "item"))
        source = {row[0]: row for row in self._rows("select id, amount, note from app.item")}
        assert {key: tuple(row.values()) for key, row in state.items()} == source
        self.seen["rows equal to the source"] = len(source) + len(found)
