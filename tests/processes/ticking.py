"""Work on the source that goes on whatever dies: bursts, a pause, and another try where the source does not answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.workload import Workload

_BURST_S = 4.0


class Ticking:
    """Bursts of the sample workload at a rate (transactions a second) with pauses; `dsn` is asked before each.

    What a burst does follows from `seed` and its number.
    """

    def __init__(self, dsn: Callable[[], str], *, seed: int, pause_s: float = 15.0, rate: float = 3.0) -> None:
        self._dsn, self._seed, self._pause_s, self._rate = dsn, seed, pause_s, rate
        self._bursts = 0
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, name="ticking", daemon=True)
        self.busy = False
        self.transactions = 0
        """Of the bursts that nothing cut short."""
        self.broken = 0
        """Bursts that the source cut short, or did not answer to."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """No further burst. Raises what ended the work early."""
        self._stop.set()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure

    def _guarded(self) -> None:
        try:
            while not self._stop.wait(self._pause_s):
                try:
                    self._burst()
                except psycopg.OperationalError:
                    self.broken += 1
                finally:
                    self.busy = False
        except BaseException as error:  # noqa: BLE001 handed to the thread that stops it
            self._failure = error

    def _burst(self) -> None:
        # Another seed each time: the same keys again would only conflict.
        self._bursts += 1
        seed = self._seed * 1_000_000 + self._bursts
        workload = Workload(self._dsn(), CommitGate(), sessions=2, rate=self._rate, seed=seed)
        with workload:
            ends = time.monotonic() + _BURST_S
            while time.monotonic() < ends and not self._stop.wait(0.1):
                workload.check()
                self.busy = workload.counts()["transactions"] > 0
        self.transactions += workload.counts()["transactions"]
