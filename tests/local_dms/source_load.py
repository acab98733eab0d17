"""pgbench beside a capture: what its users felt, who was blocked by us, and how much log the slot held."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.postgres_cluster import binary

_BLOCKED = """
select count(*) from pg_stat_activity waiting cross join lateral unnest(pg_blocking_pids(waiting.pid)) holder(pid)
join pg_stat_activity held on held.pid = holder.pid
where held.application_name = 'local-dms' and waiting.application_name <> 'local-dms'
"""
_KEPT = "select coalesce(max(pg_current_wal_flush_lsn() - restart_lsn), 0)::int8 from pg_replication_slots"
_EVERY_S = 0.05


def pgbench(postgres: EmbeddedPostgres, folder: Path, *arguments: str) -> str:
    """Run it; what it printed. Raises CalledProcessError if a client was aborted."""
    info = postgres.connection_info
    folder.mkdir(parents=True, exist_ok=True)
    where = ["-h", info.host, "-p", str(info.port), "-U", info.username]
    done = subprocess.run(
        [str(binary("pgbench")), *where, *arguments, info.dbname],
        env={**os.environ, "PGPASSWORD": info.password},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@dataclass(frozen=True)
class Felt:
    """What clients of the source felt over some seconds."""

    transactions: int
    failed: int
    p95_ms: float


def felt(postgres: EmbeddedPostgres, folder: Path, seconds: int, seed: int) -> Felt:
    """Four clients for some seconds: latencies from pgbench's own log of transactions."""
    run = ["-c", "4", "-j", "1", "-n", "-T", str(seconds), f"--random-seed={seed}", "--log", "--failures-detailed"]
    told = pgbench(postgres, folder, *run)
    failed = re.search(r"number of failed transactions: (\d+)", told)
    assert failed is not None, told
    lines = [line.split() for path in folder.glob("pgbench_log.*") for line in path.read_text().splitlines()]
    latencies = sorted(int(line[2]) for line in lines if line[2].isdigit())
    return Felt(len(latencies), int(failed.group(1)), latencies[int(len(latencies) * 0.95)] / 1000)


@dataclass
class Watch:
    """Looks twenty times a second: statements that wait for a lock of ours, and log that slots hold."""

    dsn: str
    looks: int = 0
    blocked: int = 0
    kept: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self._stop.wait(_EVERY_S):
                self.blocked += _one(connection, _BLOCKED)
                self.kept = max(self.kept, _one(connection, _KEPT))
                self.looks += 1


def _one(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


def control(dsn: str) -> int:
    """How often a lock is seen that somebody of our name really holds: the watch must be able to tell."""
    with (
        psycopg.connect(dsn, application_name="local-dms") as holder,
        psycopg.connect(dsn, autocommit=True) as waiting,
        Watch(dsn) as watch,
    ):
        holder.execute("lock table pgbench_branches in access exclusive mode")
        waiting.execute("set lock_timeout = '1s'")
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            waiting.execute("update pgbench_branches set filler = 'x'")
    return watch.blocked
