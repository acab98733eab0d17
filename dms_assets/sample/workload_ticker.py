"""The sample workload for a stack that lives long: short bursts of work with pauses in between, for ever.

About three thousand transactions a day; what they leave in source, lake and warehouse grows by some ten megabytes.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from pathlib import Path

import psycopg

from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.connection import read_secret
from dms_assets.sample.workload import Workload

log = logging.getLogger("workload")

BURST_S = 4.0
RATE = 3.0
"""Transactions a second within a burst."""
SESSIONS = 2
LIVELY_S = 900.0
"""So long after its start the pauses are short: somebody is looking."""
SHORT_PAUSE_S, PAUSE_S = 45.0, 300.0
RETAINED_LOG_LIMIT = 1 << 30
"""Bytes of log that a replication slot may hold back before the workload rests: it would fill the disk."""


def pause_s(since_start_s: float) -> float:
    """How long to rest after a burst."""
    return SHORT_PAUSE_S if since_start_s < LIVELY_S else PAUSE_S


def retained_log(dsn: str) -> int:
    """Bytes of the source's log that its slots hold back; 0 without slots."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint"
            " from pg_replication_slots"
        ).fetchone()
    return int(row[0]) if row else 0


def burst(dsn: str, stop: threading.Event) -> int:
    """Work for BURST_S seconds or until `stop`; the number of transactions committed."""
    # Another seed each time: the same keys again would only conflict.
    with Workload(dsn, CommitGate(), sessions=SESSIONS, rate=RATE, seed=time.time_ns()) as workload:
        stop.wait(BURST_S)
    return workload.counts()["transactions"]


def tick(secret: Path, stop: threading.Event) -> None:
    """Bursts and pauses until `stop`. A source that does not answer is tried again after the pause."""
    began = time.monotonic()
    while not stop.is_set():
        try:
            # Read every time: the port may be another after a restart of the server.
            dsn = read_secret(secret).dsn
            retained = retained_log(dsn)
            if retained > RETAINED_LOG_LIMIT:
                log.warning("resting: a replication slot holds back %d MB of log; start its task", retained >> 20)
            else:
                log.info("%d transactions", burst(dsn, stop))
        except psycopg.OperationalError as error:
            log.warning("the source does not answer: %s", error)
        stop.wait(pause_s(time.monotonic() - began))


def main(secret: Path) -> None:
    """Tick until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    tick(secret, stop)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    main(Path(sys.argv[1]))
