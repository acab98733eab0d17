"""Kill the process between any two steps of the protocol, run it again: exactly once, whatever was lost."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dms_assets.model.failpoints import KILLED_STATUS, NAMES
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.ingest_process import ingest_once, ingest_until_idle
from tests.lake.world import World, cdc_table, event_counts, folder_world, load_table, rows

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.lake.ingest_process"])

PLACES = [
    "lake.after_listing=kill",
    "lake.after_validation=kill",
    "lake.after_quarantine_copy=kill",
    "lake.after_quarantine_report=kill",
    "lake.between_archive_copies=kill@1",
    "lake.between_archive_copies=kill@3",
    "lake.before_commit=kill",
    "lake.after_commit=kill",
    "lake.after_ledger=kill",
    "lake.between_deletes=kill@1",
    "lake.between_deletes=kill@3",
]


def facts(world: World) -> dict[str, Any]:
    return {"start": world.start, "streams": world.streams, "state": world.state, "spec": world.spec}


def prepare(world: World) -> None:
    world.land_load(load_table(rows(3)), load_table(rows(2, first=4)))
    world.loaded(5)
    world.land("20260101-000000001.parquet", cdc_table(rows(2, first=10)))
    world.land("20260101-000000002.parquet", cdc_table(rows(1, first=12), op="?"))
    world.land("20260101-000000003.parquet", cdc_table(rows(1, first=1), op="D", seq=9))


def prove(world: World) -> None:
    """Every row once, every file accounted for once, nothing left behind."""
    assert world.table_rows() == [("D", 1), ("I", 10), ("I", 11), *(("L", key) for key in range(1, 6))]
    assert world.listed() == []
    assert len(world.quarantine.entries()) == 1
    assert event_counts(world.ledger_rows()) == {"accepted": 4, "quarantined": 1}
    assert sum(row.rows or 0 for row in world.ledger_rows() if row.event == "accepted") == 8
    assert len(world.archived()) == 4
    assert len(world.pinned().loads) == 1


def test_every_place_of_the_protocol_is_killed_at() -> None:
    assert {place.partition("=")[0] for place in PLACES} == {
        name for name in NAMES if name.startswith("lake.") and name != "lake.after_discard_decision"
    }


@pytest.mark.parametrize("place", PLACES)
def test_killed_and_run_again(world: World, place: str) -> None:
    prepare(world)
    process = PROCESSES.Process(target=ingest_once, args=(world.home, facts(world), place))
    process.start()
    process.join()
    assert process.exitcode == KILLED_STATUS
    world.ingest()
    world.ingest()
    prove(world)


def test_killed_again_and_again(world: World) -> None:
    """Each run dies one step further on."""
    prepare(world)
    for place in PLACES[1::4]:
        process = PROCESSES.Process(target=ingest_once, args=(world.home, facts(world), place))
        process.start()
        process.join()
        assert process.exitcode in {0, KILLED_STATUS}
    world.ingest()
    prove(world)


def test_a_ledger_that_lost_the_announcement_is_filled_from_the_table(world: World) -> None:
    prepare(world)
    process = PROCESSES.Process(target=ingest_once, args=(world.home, facts(world), "lake.after_commit=kill"))
    process.start()
    process.join()
    for meta in list(world.stores.ledger.list("shop/announced/")):
        world.stores.ledger.delete(meta.key, if_match=meta.etag)
    world.ingest()
    accepted = [row for row in world.ledger_rows() if row.event == "accepted"]
    assert Counter({row.key.rpartition("/")[2]: row.rows for row in accepted}) == {
        "20260101-000000001.parquet": 2,
        "20260101-000000003.parquet": 1,
        "LOAD00000001.parquet": 3,
        "LOAD00000002.parquet": 2,
    }
    assert {row.batch for row in accepted} == {1}


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
