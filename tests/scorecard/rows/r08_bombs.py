"""R8: files that expand without end; the child stays below its limits, the parent stays small."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psutil

from dms_assets.validation.outcome import Reason
from dms_assets.validation.worker_process import ValidationWorker, WorkerLimits
from tests.corpus.corpus import CORPUS
from tests.lake.world import cdc_table, folder_world, rows, source_spec
from tests.scorecard.figure import Budget, Outcome, Row

LIMITS = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=20)
BOMBS = ("dictionary_bomb", "many_columns", "deep", "nested", "footer_length_huge", "too_long_by_far")
CHILD_BYTES, PARENT_BYTES, SECONDS = 1 << 30, 50 << 20, 20


class Peak:
    """The largest resident size of any child of this process while it is watched, in bytes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._over.wait(0.02):
            for child in own.children():
                try:
                    self.bytes = max(self.bytes, child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue


def _one(name: str, folder: Path) -> tuple[Reason | None, int, int, float]:
    """The verdict on a file, the child's peak, by how much the parent grew (bytes), and seconds."""
    with ValidationWorker(LIMITS) as worker:
        world = folder_world(folder / name, worker, spec=source_spec())
        world.loaded(0)
        world.land("20260101-000000000.parquet", cdc_table(rows(1)))
        world.ingest()
        world.land("20260102-000000000.parquet", CORPUS[name].build())
        before, started = psutil.Process().memory_info().rss, time.monotonic()
        with Peak() as peak:
            outcome = world.ingest()
        grown = psutil.Process().memory_info().rss - before
        reason = outcome.rejected[0].reason if outcome.rejected else None
        return reason, peak.bytes, grown, time.monotonic() - started


def measure(budget: Budget) -> Outcome:
    """Files made to exhaust who reads them, each in a process of its own."""
    found = [_one(name, budget.folder) for name in BOMBS]
    reasons = [reason for reason, *_ in found]
    child, parent, seconds = (max(values) for values in list(zip(*found, strict=True))[1:])
    rejected = sum(reason is not None for reason in reasons)
    return Outcome(
        f"{rejected} of {len(BOMBS)} rejected; child {child >> 20} MB, parent +{parent >> 20} MB, {seconds:.0f} s",
        holds=rejected == len(BOMBS) and child <= CHILD_BYTES and parent < PARENT_BYTES and seconds <= SECONDS,
        observed={
            "stopped by a limit": reasons.count(Reason.RESOURCE_LIMIT),
            "rejected by their shape": rejected - reasons.count(Reason.RESOURCE_LIMIT),
        },
    )


ROW = Row(
    "R8",
    "Files made to exhaust their reader: child, parent, time",
    "all rejected, child <= 1 GB (its limit here), parent < 50 MB, 20 s",
    120,
    25,
    measure,
)
