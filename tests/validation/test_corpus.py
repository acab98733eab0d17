"""Hostile files: each is quarantined for the reason it deserves, and good files beside it get in."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from dms_assets.lake.quarantine import EntryState
from dms_assets.validation.outcome import Group, Reason
from dms_assets.validation.worker_process import ValidationWorker, WorkerLimits
from tests.lake.world import World, cdc_table, folder_world, rows
from tests.validation.hostile_files import CASES

SMALL = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=10)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A table into whose landing every hostile file fell at once, between good ones; ingested once."""
    with ValidationWorker(SMALL) as worker:
        world = folder_world(tmp_path_factory.mktemp("corpus"), worker)
        world.loaded(0)
        world.land("20260101-000000000.parquet", cdc_table(rows(2)))
        for number, build in enumerate(CASES.values(), 1):
            world.land(f"20260101-{number:09d}.parquet", build()[0])
        world.land("20260102-000000000.parquet", cdc_table(rows(2, first=3)))
        before = psutil.Process().memory_info().rss
        world.outcome = world.ingest()  # type: ignore[attr-defined]
        world.growth = psutil.Process().memory_info().rss - before  # type: ignore[attr-defined]
    return world


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 50


@pytest.mark.parametrize("name", CASES)
def test_quarantined_with_the_expected_reason(judged: World, name: str) -> None:
    number = list(CASES).index(name) + 1
    key = judged.key(f"20260101-{number:09d}.parquet")
    found = {item.key: item for item in judged.outcome.rejected}  # type: ignore[attr-defined]
    assert found[key].reason is CASES[name]()[1], judged.quarantine.report(
        judged.quarantine.entry(found[key].entry_id)
    ).text()


def test_good_neighbours_get_in(judged: World) -> None:
    assert judged.table_rows() == [("I", key) for key in range(1, 5)]
    assert judged.listed() == []
    assert len(judged.quarantine.entries()) == len(CASES)


def test_the_parent_stays_small(judged: World) -> None:
    assert judged.growth < 200 << 20  # type: ignore[attr-defined]


def test_reports_hold_no_values(judged: World) -> None:
    for entry in judged.quarantine.entries():
        report = judged.quarantine.report(entry)
        text = json.dumps(report.to_json()) + report.text()
        for value in ("bbbbbbbbbbb", "2026-02-30", "xxxxxxxxxx", "password1"):
            assert value not in text
        assert entry.state is EntryState.OPEN


def test_a_report_says_where_and_what(judged: World) -> None:
    number = list(CASES).index("too_long") + 1
    found = {item.key: item for item in judged.outcome.rejected}  # type: ignore[attr-defined]
    entry = judged.quarantine.entry(found[judged.key(f"20260101-{number:09d}.parquet")].entry_id)
    report = judged.quarantine.report(entry)
    length = next(outcome for outcome in report.outcomes if outcome.group is Group.LENGTH)
    assert (length.passed, length.failing, length.rows) == (False, 1, (1,))
    assert "name: at most 10 characters" in length.expected
    assert len(length.key_hashes[0]) == 16


def test_all_differences_of_a_schema_are_listed(judged: World, tmp_path: Path) -> None:
    with ValidationWorker() as worker:
        world = folder_world(tmp_path, worker)
        world.loaded(0)
        table = cdc_table(rows(1)).drop_columns(["name"]).append_column("extra", pa.array([1]))
        index = table.schema.get_field_index("id")
        world.land("20260101-000000000.parquet", table.set_column(index, "id", pa.array([1], pa.int64())))
        outcome = world.ingest()
    found = outcome.checks[Group.SCHEMA].found
    for told in ("'name' (string) is missing", "'extra' (INT64", "'id' is INT64"):
        assert told in found


def test_deletes_are_judged_by_their_key_only(world: World) -> None:
    world.loaded(0)
    nothing = {name: pa.nulls(1, array.type) for name, array in rows(1).items() if name != "id"}
    world.land("20260101-000000000.parquet", cdc_table(rows(1, **nothing), op="D"))
    world.land("20260101-000000001.parquet", cdc_table(rows(1, **nothing), op="U"))
    outcome = world.ingest()
    assert outcome.ops == {"D": 1}
    assert [item.reason for item in outcome.rejected] == [Reason.NULLABILITY]


def test_landed_timestamps_may_have_a_zone_or_none(world: World) -> None:
    world.loaded(0)
    for number, zone in enumerate(("UTC", None)):
        seen = pa.array([1_700_000_000_000_000], pa.timestamp("us", tz=zone))
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=number, seen_at=seen)))
    world.ingest()
    assert world.table_rows("count(*), count(distinct seen_at), min(seen_at)::varchar", "all") == [
        (2, 1, "2023-11-14 22:13:20")
    ]
