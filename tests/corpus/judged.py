"""Every hostile file of the corpus in the landing of one table at once, between good ones, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.validation.outcome import Reason
from dms_assets.validation.worker_process import ValidationWorker, WorkerLimits
from tests.corpus.corpus import CORPUS
from tests.lake.world import World, cdc_table, folder_world, rows, source_spec

SMALL = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=10)
NUMBERS = {name: f"20260101-{number:09d}.parquet" for number, name in enumerate(CORPUS, 1)}


@dataclass
class Judged:
    """The table, what became of its files, and by how many bytes the parent grew."""

    world: World
    outcome: TableOutcome
    growth: int

    def reason(self, name: str) -> Reason | None:
        """Why a file of the corpus was rejected; None if it was not."""
        key = self.world.key(NUMBERS[name])
        return next((item.reason for item in self.outcome.rejected if item.key == key), None)

    def text(self, name: str) -> str:
        """The report on a file of the corpus."""
        key = self.world.key(NUMBERS[name])
        found = [item.entry_id for item in self.outcome.rejected if item.key == key]
        return self.world.quarantine.report(self.world.quarantine.entry(found[0])).text() if found else "accepted"

    @property
    def neighbours(self) -> list[tuple[str, int]]:
        """Operation and key of the rows of the good files beside."""
        return [row for row in self.world.table_rows() if row[1] > 900_000 and row[1] < 2**30]


def judge_corpus(folder: Path, limits: WorkerLimits = SMALL) -> Judged:
    """Let everything fall into landing, and ingest once."""
    with ValidationWorker(limits) as worker:
        world = folder_world(folder, worker, spec=source_spec(ordered_files=True))
        world.loaded(0)
        world.land("20260101-000000000.parquet", cdc_table(rows(2, first=900_001)))
        for name, file in CORPUS.items():
            world.land(NUMBERS[name], file.build())
        world.land("20260102-000000000.parquet", cdc_table(rows(2, first=900_003)))
        before = psutil.Process().memory_info().rss
        outcome = world.ingest()
        return Judged(world, outcome, psutil.Process().memory_info().rss - before)


GOOD_NEIGHBOURS = [("I", 900_000 + number) for number in range(1, 5)]
