"""Kill the process between any two steps of the protocol, run it again: exactly once, whatever was lost."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dms_assets.lake.leftovers import sweep_files, sweep_store
from dms_assets.lake.orphans import sweep_orphans
from dms_assets.lake.quarantine import EntryState
from dms_assets.lake.validated_table import UnknownCommitError, batch_id_of
from dms_assets.model import failpoints
from dms_assets.model.failpoints import KILLED_STATUS, NAMES, FailpointError
from dms_assets.validation.outcome import Reason
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.ingest_process import ingest_once, ingest_until_idle, work
from tests.lake.world import World, cdc_table, event_counts, folder_world, load_table, newer, rows

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.lake.ingest_process"])

IDENTIFIER = ("shop_app_validated", "person")
ELSEWHERE = {"lake.after_decision": "an operator's process; see test_quarantine"}
AGAIN = {
    "lake.between_archive_copies": (1, 3),
    "lake.between_deletes": (1, 3),
    "lake.between_table_files": (1, 2, 3),
    "lake.between_fetches": (1, 3),
    "store.before_visible": (1, 4, 9, 13),
    "store.after_aside": (1, 3),
}
"""Which times of a place that is reached more than once."""
PLACES = [
    (name, nth)
    for name in sorted(NAMES)
    if name.startswith(("lake.", "store.")) and name not in ELSEWHERE
    for nth in AGAIN.get(name, (1,))
]


def facts(world: World) -> dict[str, Any]:
    return {"start": world.start, "streams": world.streams, "state": world.state, "spec": world.spec}


def prepare(world: World) -> None:
    """A loaded table; then a reload over a file of an older load, changes, and everything that is no good."""
    world.land_load(load_table(rows(1, first=90)))
    world.loaded(1, ago=timedelta(minutes=30))
    world.land("20260101-000000001.parquet", cdc_table(rows(1), op="?"))
    world.land("20260101-000000002.parquet", cdc_table(rows(1), op="?"))
    world.land_load(load_table(rows(1, first=90)))
    world.ingest()
    discarded, replayed = world.quarantine.entries()
    world.quarantine.decide(discarded, EntryState.DISCARD, "planted", "me", world.start)
    world.quarantine.decide(replayed, EntryState.REPLAY, "try", "me", world.start)
    world.land_load(load_table(rows(3)), load_table(rows(2, first=4)), load_table(rows(1, first=60)))
    newer(world.landing, world.key("LOAD00000003.parquet"), -1200)  # type: ignore[arg-type]
    world.loaded(5, reloaded=True)
    world.land("20260101-000000011.parquet", cdc_table(rows(2, first=10)))
    world.land("20260101-000000012.parquet", cdc_table(rows(1, first=12), op="?"))
    world.land("20260101-000000013.parquet", cdc_table(rows(1, first=1), op="D", seq=9))
    world.landing.put("shop/app/person/readme.txt", b"?")


def prove(world: World) -> None:
    """Every row once, every file accounted for once, nothing left behind."""
    loaded = [("L", key) for key in (1, 2, 3, 4, 5, 90)]
    assert world.table_rows() == [("D", 1), ("I", 10), ("I", 11), *loaded]
    assert world.listed() == []
    states = Counter((world.quarantine.report(entry).reason, entry.state) for entry in world.quarantine.entries())
    assert states == {
        (Reason.OP, EntryState.DONE): 1,
        (Reason.OP, EntryState.OPEN): 2,
        (Reason.UNKNOWN_KEY, EntryState.OPEN): 1,
    }
    assert all((entry.file is None) == (entry.state is EntryState.DONE) for entry in world.quarantine.entries())
    assert event_counts(world.ledger_rows()) == {
        "accepted": 5,
        "discarded": 1,
        "quarantined": 4,
        "replayed": 1,
        "superseded": 1,
    }
    assert sum(row.rows or 0 for row in world.ledger_rows() if row.event == "accepted") == 9
    assert sorted(key.split("/")[3] for key in world.archived()) == ["accepted"] * 5 + ["discarded", "superseded"]
    assert len(world.pinned().loads) == 2
    prove_clean(world)


def prove_clean(world: World) -> None:
    """After a sweep, no file is left that nobody needs, and every file that somebody needs."""
    later = datetime.now(UTC) + timedelta(minutes=1)
    stores = world.stores
    for store in (stores.landing, stores.archive, stores.quarantine, stores.ledger):
        sweep_store(store, later)  # type: ignore[arg-type]
    sweep_files(stores.scratch, later)
    batch_id = batch_id_of(stores.catalog.load_table(IDENTIFIER))
    world.ledger.forget_announcements(world.name, world.pinned().batch, batch_id, later)
    sweep_orphans(stores.catalog, IDENTIFIER, later)
    data = {str(path) for path in (world.home / "lake" / IDENTIFIER[0] / IDENTIFIER[1] / "data").iterdir()}
    assert data == set(world.pinned().files)
    left = [path for path in world.home.rglob("*") if path.is_file() and {".object-store", "scratch"} & set(path.parts)]
    assert [path for path in left if path.name != "lock"] == []
    assert not list(stores.ledger.list("shop/announced/"))
    assert len(world.table_rows()) == 9, "and the table can be read"
    assert not world.ingest().committed


def test_every_place_of_the_protocol_is_stopped_at() -> None:
    mine = {name for name in NAMES if name.startswith(("lake.", "store."))}
    assert {name for name, _ in PLACES} | ELSEWHERE.keys() == mine


@pytest.mark.parametrize(("name", "nth"), PLACES)
def test_killed_and_run_again(world: World, name: str, nth: int) -> None:
    prepare(world)
    process = PROCESSES.Process(target=ingest_once, args=(world.home, facts(world), f"{name}=kill@{nth}"))
    process.start()
    process.join()
    assert process.exitcode == KILLED_STATUS
    work(world)
    work(world)
    prove(world)


@pytest.mark.parametrize(("name", "nth"), PLACES)
def test_failed_and_run_again(world: World, name: str, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error where the process lives on: a disk that is full, a bucket that refuses."""
    prepare(world)
    monkeypatch.setattr(failpoints, "_PLAN", failpoints.parse(f"{name}=error@{nth}"))
    monkeypatch.setattr(failpoints, "_REACHED", Counter())
    with pytest.raises((FailpointError, UnknownCommitError), match=f"failpoint {name} reached"):
        work(world)
    monkeypatch.undo()
    work(world)
    work(world)
    prove(world)


def test_killed_again_and_again(world: World) -> None:
    """Each run dies one step further on."""
    prepare(world)
    for name in ("after_validation", "between_archive_copies", "before_commit", "after_ledger", "before_expiry"):
        process = PROCESSES.Process(target=ingest_once, args=(world.home, facts(world), f"lake.{name}=kill"))
        process.start()
        process.join()
        assert process.exitcode in {0, KILLED_STATUS}
    work(world)
    prove(world)


def test_a_ledger_that_lost_the_announcement_is_filled_from_the_table(world: World) -> None:
    prepare(world)
    process = PROCESSES.Process(target=ingest_once, args=(world.home, facts(world), "lake.after_commit=kill"))
    process.start()
    process.join()
    for meta in list(world.stores.ledger.list("shop/announced/")):
        world.stores.ledger.delete(meta.key, if_match=meta.etag)
    world.ingest()
    accepted = [row for row in world.ledger_rows() if row.event == "accepted" and row.batch == 2]
    assert {row.key.rpartition("/")[2]: row.rows for row in accepted} == {
        "20260101-000000011.parquet": 2,
        "20260101-000000013.parquet": 1,
        "LOAD00000001.parquet": 3,
        "LOAD00000002.parquet": 2,
    }


def test_two_workers_at_once(tmp_path: Path, worker: ValidationWorker) -> None:
    world = folder_world(tmp_path, worker)
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    world.ingest()
    total = 60
    processes = [PROCESSES.Process(target=ingest_until_idle, args=(world.home, facts(world), 12)) for _ in range(2)]
    for process in processes:
        process.start()
    for number in range(total):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=100 + number), seq=number))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    world.ingest()
    changes = [key for op, key in world.table_rows() if op == "I"]
    assert sorted(changes) == list(range(100, 100 + total))
    assert event_counts(world.ledger_rows()) == {"accepted": total + 1}
    assert len(world.archived()) == total + 1
    assert world.listed() == []
