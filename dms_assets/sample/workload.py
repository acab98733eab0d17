"""A live workload on the sample source: several sessions, a rate, a gate for their commits, counters of the work."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self

import psycopg

from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.session_work import NothingToDoError, Work
from dms_assets.sample.transactions import MIX, Transaction, give_up
from dms_assets.sample.workload_counts import WorkloadCounts, WorkloadTally

_RETRIES = 10
_LONGEST_PAUSE_S = 0.004
_CONFLICTS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    # Two sessions wanted one key, or one renamed a key that another was about to refer to.
    psycopg.errors.UniqueViolation,
    psycopg.errors.ForeignKeyViolation,
)


class Workload:
    """Runs transactions from `start` to `stop`, `rate` a second over all of `sessions` threads.

    The choice of work follows from `seed`; how the sessions interleave does not.
    """

    def __init__(self, dsn: str, gate: CommitGate, *, sessions: int = 4, rate: float = 150.0, seed: int = 1) -> None:
        if sessions < 1 or rate <= 0:
            raise ValueError(
                f"{sessions} sessions at {rate} transactions a second is no workload; give both above zero"
            )
        self._dsn = dsn
        self._gate = gate
        self._interval_s = sessions / rate
        self._tally = WorkloadTally()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(f"{seed}/{n}",), name=f"workload-{n}", daemon=True)
            for n in range(sessions)
        ]

    def start(self) -> Self:
        """Start the sessions; returns at once. A workload runs once."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, timeout_s: float = 30.0) -> WorkloadCounts:
        """Let every session end its transaction, and return what was done.

        Raises what stopped a session early, if anything did, and TimeoutError if one does not end.
        """
        self._stop.set()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        if alive := [thread.name for thread in self._threads if thread.is_alive()]:
            raise TimeoutError(f"sessions {', '.join(alive)} do not end; look for lock waits in pg_stat_activity")
        self.check()
        return self.counts()

    def counts(self) -> WorkloadCounts:
        """What was done so far; subtract two to see what was done in between."""
        return self._tally.counts()

    def check(self) -> None:
        """Raise what stopped a session, if anything did."""
        if self._failure is not None:
            raise self._failure

    @property
    def running(self) -> bool:
        """Whether all sessions are at work."""
        return self._failure is None and all(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _guarded(self, seed: str) -> None:
        try:
            with psycopg.connect(self._dsn, application_name=threading.current_thread().name) as connection:
                _Session(connection, self._gate, self._tally, random.Random(seed)).run(self._stop, self._interval_s)  # noqa: S311
        except BaseException as error:  # noqa: BLE001  handed to the thread that calls stop or check
            self._failure = error
            self._stop.set()


class _Session:
    """One user at one connection."""

    def __init__(
        self, connection: psycopg.Connection[Any], gate: CommitGate, tally: WorkloadTally, rng: random.Random
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._tally = tally
        self._rng = rng

    def run(self, stop: threading.Event, interval_s: float) -> None:
        offenders, practitioners = self._sizes()
        transactions, weights = zip(*MIX, strict=True)
        due = time.monotonic() + self._rng.random() * interval_s
        while not stop.wait(max(0.0, due - time.monotonic())):
            # A session that fell behind does not catch up in a burst.
            due = max(due + interval_s, time.monotonic() - 1.0)
            (transaction,) = self._rng.choices(transactions, weights)
            with self._connection.cursor() as cursor:
                self._attempt(transaction, Work(cursor, self._rng, offenders, practitioners))

    def _sizes(self) -> tuple[int, int]:
        row = self._connection.execute(
            "select (select max(offender_id) from probation.offender),"
            " (select max(practitioner_id) from probation.practitioner)"
        ).fetchone()
        self._connection.rollback()
        if row is None or None in row:
            raise RuntimeError("the sample tables are empty; load the sample before the workload")
        return int(row[0]), int(row[1])

    def _attempt(self, transaction: Transaction, work: Work) -> None:
        """One transaction, repeated while it conflicts with others; raises the conflict if it does not go away."""
        for attempt in range(_RETRIES + 1):
            try:
                done = transaction(work)
                # Between the last statement and the commit others go on, so commits come in another order than work.
                time.sleep(self._rng.random() * _LONGEST_PAUSE_S)
                if transaction is give_up:
                    self._connection.rollback()
                    self._tally.add({"rollback": 1})
                else:
                    self._commit(Counter(done))
            except _CONFLICTS:
                self._connection.rollback()
                self._tally.add({"retry": 1})
                if attempt == _RETRIES:
                    raise
            except NothingToDoError:
                self._connection.rollback()
                self._tally.add({"nothing_to_do": 1})
                return
            else:
                return

    def _commit(self, done: Counter[str]) -> None:
        with self._gate.commit() as together:
            self._connection.commit()
        done["transactions"] += 1
        done["concurrent_commits"] += together > 1
        self._tally.add(done)
