"""A step that is stopped in the middle of its commit, declared dead, replaced, and goes on: its commit must not count.

Real processes (SIGSTOP, SIGCONT) on a real Iceberg catalogue. A process stops itself at a failpoint, which is what a
machine that is suspended, or a container that is frozen, does to it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from dms_assets.model import failpoints
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World, cdc_table, folder_world, load_table, rows
from tests.processes.waiting import wait_for

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.processes.stopped_step"])
BEFORE_COMMIT = {
    "lake.after_listing": 1,
    "lake.between_fetches": 2,
    "lake.after_validation": 1,
    "lake.between_archive_copies": 2,
    "lake.after_announcement": 1,
    "lake.between_data_files": 1,
    "lake.before_commit": 1,
    "lake.between_table_files": 2,
}
"""Where a step is stopped that has not committed yet, and the how manieth time it comes there."""
AFTER_COMMIT = {"lake.after_commit": 1, "lake.after_batch_rows": 1, "lake.after_ledger": 1, "lake.between_deletes": 2}
PLACES = BEFORE_COMMIT | AFTER_COMMIT
_IDENTIFIER = ("shop_app_validated", "person")
_FILES = 3


@dataclass(frozen=True)
class Zombie:
    """What came of a step that rose again, by what was found afterwards.

    `meanwhile` are the files that its successor committed, `refused` says that the step began again, as the table was
    not what it had read. `extra` and `lost` count rows of the table, `twice` files that the ledger accepted twice,
    `strays` data files that no snapshot names or that are gone, and `left` what is still in landing.
    """

    place: str
    meanwhile: int
    refused: bool
    committed: bool
    extra: int
    lost: int
    twice: int
    strays: int
    left: int

    @property
    def harmless(self) -> bool:
        """Whether it had no effect: none that counts, and nothing left behind."""
        return not (self.extra or self.lost or self.twice or self.strays or self.left)


def _ingest_stopping(home: Path, facts: dict[str, Any], place: str, answer: Any) -> None:
    """Ingest; at `place` the process stops itself, once. Answers with its attempts and whether it committed."""
    failpoints._PLAN[place] = ("kill", PLACES[place])
    vars(failpoints)["os"] = SimpleNamespace(_exit=lambda _: os.kill(os.getpid(), signal.SIGSTOP))
    with ValidationWorker() as worker:
        outcome = folder_world(home, worker, **facts).ingest()
    answer.send((outcome.attempts, outcome.committed))


def rise_again(home: Path, worker: ValidationWorker, place: str) -> Zombie:
    """Stop a step at `place`, let a successor commit its files and one more, let it go on, look at everything."""
    world = folder_world(home, worker)
    world.land_load(load_table(rows(2, first=1000)))
    world.loaded(2)
    world.ingest()
    for number in range(_FILES):
        _land(world, number)
    receiver, sender = PROCESSES.Pipe(duplex=False)
    facts = {"start": world.start, "streams": world.streams, "state": world.state, "spec": world.spec}
    process = PROCESSES.Process(target=_ingest_stopping, args=(world.home, facts, place, sender))
    process.start()
    sender.close()
    step = psutil.Process(process.pid)
    try:
        wait_for(f"the step stops at {place}", lambda: step.status() == psutil.STATUS_STOPPED, 60)
        # Its run counts as dead: a successor takes the same files, and one more.
        _land(world, _FILES)
        meanwhile = world.ingest()
        step.send_signal(signal.SIGCONT)
        attempts, committed = receiver.recv() if receiver.poll(60) else (0, False)
        process.join(60)
        assert process.exitcode == 0, f"the step that went on from {place} ended with {process.exitcode}"
    finally:
        process.kill()
    world.ingest()
    return _found(world, place, meanwhile.files, attempts, committed=committed)


def _land(world: World, number: int) -> None:
    world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=number), seq=number + 1))


def _found(world: World, place: str, meanwhile: int, attempts: int, *, committed: bool) -> Zombie:
    wanted = Counter([("L", 1000), ("L", 1001), *(("I", number) for number in range(_FILES + 1))])
    found = Counter(world.table_rows())
    accepted = Counter((row.key, row.etag) for row in world.ledger_rows() if row.event == "accepted")
    data = {str(path) for path in (world.home / "lake" / "/".join(_IDENTIFIER) / "data").iterdir()}
    return Zombie(
        place,
        meanwhile,
        refused=attempts > 1,
        committed=committed,
        extra=(found - wanted).total(),
        lost=(wanted - found).total(),
        twice=sum(count > 1 for count in accepted.values()),
        strays=len(data ^ set(world.pinned().files)),
        left=len(world.listed()),
    )
