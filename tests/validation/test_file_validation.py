"""One file's verdict: deletes, zones, places of rows over many batches, and what is said of order."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.table_metadata import Added
from dms_assets.validation.messages import TableTask
from dms_assets.validation.outcome import Group, Reason
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import PERSON, World, cdc_table, folder_world, load_table, rows, source_spec


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


def test_a_delete_is_judged_by_its_key_and_by_all_rules_on_it(world: World) -> None:
    """A key that is wrong would delete nothing, silently."""
    world.loaded(0)
    nothing = {name: pa.nulls(1, array.type) for name, array in rows(1).items()}
    world.land("20260101-000000000.parquet", cdc_table(nothing, op="D"))
    assert [item.reason for item in world.ingest().rejected] == [Reason.KEY]


def test_rows_are_named_by_their_place_in_the_file_over_all_its_batches(world: World) -> None:
    world.loaded(0)
    count = 300_000
    names = ["n"] * count
    for bad in (5, 150_000, count - 1):
        names[bad] = "far too long for it"
    world.land("20260101-000000000.parquet", cdc_table(rows(count, name=pa.array(names))))
    (failed,) = world.ingest().checks[Group.LENGTH].failed
    assert failed.outcome.rows == (5, 150_000, count - 1)
    assert failed.outcome.failing == 3
    assert len(set(failed.outcome.key_hashes)) == 3


def test_order_within_a_file_is_demanded_only_where_it_is_promised(world: World, worker: ValidationWorker) -> None:
    seqs = pa.array([f"2026010100000000{number:019d}" for number in (3, 1, 2)])
    table = cdc_table(rows(3))
    table = table.set_column(table.schema.get_field_index("dms_change_seq"), "dms_change_seq", seqs)
    world.loaded(0)
    world.land("20260101-000000000.parquet", table)
    free = world.ingest()
    assert free.checks[Group.ORDER].passed
    assert "3 rows, 1 not above the row before" in free.checks[Group.ORDER].found
    assert free.steps_back == 1
    strict = folder_world(world.home / "strict", worker, spec=source_spec(ordered_files=True))
    strict.loaded(0)
    strict.land("20260101-000000000.parquet", table)
    rejected = strict.ingest()
    assert [item.reason for item in rejected.rejected] == [Reason.ORDER]
    assert rejected.checks[Group.ORDER].failed[0].outcome.rows == (1,)


def test_a_commit_clock_that_goes_back_is_told_and_stops_nothing(world: World) -> None:
    stamps = pa.array([f"2026-01-01 00:00:0{second}.000000" for second in (5, 3, 4)])
    table = cdc_table(rows(3))
    index = table.schema.get_field_index("dms_timestamp")
    world.loaded(0)
    world.land("20260101-000000000.parquet", table.set_column(index, "dms_timestamp", stamps))
    outcome = world.ingest()
    assert outcome.rows == 3
    assert "commit time goes back 1 times, by 2.000000 s at most" in outcome.checks[Group.ORDER].found


KNOWN_AFTER, KNOWN_BEFORE = datetime(2026, 1, 2, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC)
"""When it was known that a column is there: after the changes of `cdc_table`, and before them."""


def test_changes_from_before_a_column_was_added_are_taken_in_without_it(world: World) -> None:
    world.loaded(0)
    for number, lacks in enumerate((["amount"], ["amount", "seen_at"], [], ["seen_at"])):
        data = cdc_table(rows(1, first=number), seq=number + 1).drop_columns(lacks)
        world.land(f"20260101-{number:09d}.parquet", data)
    sets = (frozenset({"amount"}), frozenset({"amount", "seen_at"}))
    outcome = world.ingest(added=tuple(Added(columns, KNOWN_AFTER) for columns in sets))
    assert outcome.rejected == []
    assert world.table_rows("id, amount is null, seen_at is null", "id") == [
        (0, True, False),
        (1, True, True),
        (2, False, False),
        # Both became known at once, and it was written between their additions.
        (3, False, True),
    ]


def test_changes_that_should_have_the_column_are_rejected_for_want_of_it(world: World) -> None:
    """A task that leaves a column out by mistake is not taken for an old one."""
    world.loaded(0)
    added = (Added(frozenset({"amount"}), KNOWN_BEFORE), Added(frozenset({"amount", "seen_at"}), KNOWN_BEFORE))
    world.land("20260101-000000000.parquet", cdc_table(rows(1)).drop_columns(["amount"]))
    world.land("20260101-000000001.parquet", cdc_table(rows(1)).drop_columns(["name"]))
    world.land("20260101-000000002.parquet", cdc_table(rows(1)).drop_columns(["seen_at"]))
    rejected = world.ingest(added=added).rejected
    assert [item.reason for item in rejected] == [Reason.SCHEMA] * 3
    texts = [world.quarantine.report(entry).text() for entry in world.quarantine.entries()]
    assert sorted("column 'amount' (decimal(10,2)) is missing" in text for text in texts) == [False, False, True]
    assert world.listed() == []


def test_a_load_without_a_column_is_rejected_at_any_time(world: World) -> None:
    world.land_load(load_table(rows(1)).drop_columns(["amount"]))
    world.loaded(1)
    outcome = world.ingest(added=(Added(frozenset({"amount"}), KNOWN_AFTER),))
    assert [item.reason for item in outcome.rejected] == [Reason.SCHEMA]


def test_what_files_are_judged_by_reaches_the_worker_unchanged() -> None:
    task = TableTask(
        PERSON,
        (),
        LandingColumns(),
        unique_positions=True,
        ordered_files=True,
        added=(Added(frozenset({"name"}), KNOWN_AFTER),),
    )
    assert TableTask.from_json(task.to_json()) == task
