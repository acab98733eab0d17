"""The commit protocol over one table, with folders and with S3."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from dms_assets.lake import validated_table
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.model.load import Stream
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.stored_schema import BreakingSchemaError
from dms_assets.model.table_metadata import ColumnMetadata
from dms_assets.validation.outcome import Group, Reason
from tests.lake.world import (
    NO_KEY,
    World,
    cdc_table,
    event_counts,
    load_table,
    newer,
    rows,
    source_spec,
)

CDC_1, CDC_2, CDC_3 = (f"20260101-00000000{number}.parquet" for number in (1, 2, 3))


def test_a_load_and_changes_become_one_commit(any_world: World) -> None:
    world = any_world
    world.land_load(load_table(rows(3)), load_table(rows(2, first=4)))
    world.land(CDC_1, cdc_table(rows(2, first=10)))
    world.land(CDC_2, cdc_table(rows(1), op="U", seq=7))
    world.loaded(5)
    outcome = world.ingest()
    assert (outcome.rows, outcome.files, outcome.batch, outcome.ops) == (8, 4, 1, {"L": 5, "I": 2, "U": 1})
    assert outcome.committed
    assert [load.rows for load in outcome.loads] == [5]
    assert world.table_rows() == [
        ("I", 10), ("I", 11), ("L", 1), ("L", 2), ("L", 3), ("L", 4), ("L", 5), ("U", 1),
    ]  # fmt: skip
    assert world.listed() == []
    assert len(world.archived()) == 4
    assert event_counts(world.ledger_rows()) == {"accepted": 4}
    assert {row.batch_id for row in world.ledger_rows()} == {outcome.batch_id}
    pinned = world.pinned()
    assert (pinned.snapshot_id, pinned.batch) == (outcome.snapshot_id, 1)
    assert all(check.passed for check in outcome.checks.values())
    assert set(outcome.checks) == set(Group)
    again = world.ingest()
    assert not again.committed
    assert world.pinned() == pinned


def test_rows_carry_what_they_are(world: World) -> None:
    world.land_load(load_table(rows(1)))
    world.land(CDC_1, cdc_table(rows(1, first=2), op="D", seq=5))
    world.loaded(1)
    outcome = world.ingest()
    platform = "_stream, _seq, _commit_at, _position, _load_id, _file, _file_row, _batch, _metadata_version"
    columns = f"_op, id, name, amount, seen_at, {platform}"
    found = world.table_rows(columns)
    load = outcome.loads[0]
    version = world.metadata.version
    assert [row[:2] for row in found] == [("D", 2), ("L", 1)]
    delete, loaded = found
    assert delete[5:7] == (1, f"2026010100000000{5:019d}")
    assert delete[8:] == ("p5", None, world.key(CDC_1), 0, 1, version)
    assert loaded[6:] == (None, load.boundary_at, None, load.load_id, world.key("LOAD00000001.parquet"), 0, 1, version)
    assert load.boundary_seq == ""
    assert load.one_snapshot


def test_changes_wait_for_the_first_load_only(world: World) -> None:
    world.land(CDC_1, cdc_table(rows(1)))
    waiting = world.ingest()
    assert not waiting.committed
    assert any("first load" in item.reason for item in waiting.waiting)
    assert world.listed() == [CDC_1]
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    assert world.ingest().ops == {"L": 2, "I": 1}
    # A reload runs: changes do not wait for it.
    world.state = replace(world.state, state="Table is being reloaded", reloaded=True)  # type: ignore[type-var]
    world.land(CDC_2, cdc_table(rows(1, first=9)))
    assert world.ingest().ops == {"I": 1}


def test_an_empty_table_is_a_complete_load(world: World) -> None:
    world.loaded(0)
    outcome = world.ingest()
    assert outcome.committed
    assert [load.rows for load in world.pinned().loads] == [0]
    assert world.pinned().files == ()
    assert not world.ingest().committed


def test_a_load_waits_for_all_its_rows(world: World) -> None:
    world.land_load(load_table(rows(3)))
    world.loaded(5)
    early = world.ingest()
    assert not early.committed
    assert "3 rows" in early.waiting[0].reason
    assert early.stuck is None
    assert world.listed() == ["LOAD00000001.parquet"]
    world.land("LOAD00000002.parquet", load_table(rows(2, first=4)))
    assert world.ingest().ops == {"L": 5}


def test_a_load_that_misses_rows_is_stuck_after_a_time(world: World) -> None:
    world.spec = source_spec(stuck_load_after_s=1)
    key = "LOAD00000001.parquet"
    world.land(key, load_table(rows(3)))
    newer(world.landing, world.key(key), -60)  # type: ignore[arg-type]
    world.loaded(5)
    outcome = world.ingest()
    assert not outcome.committed
    assert outcome.stuck is not None
    assert "reload" in outcome.stuck.remedy


def test_a_load_is_not_taken_before_two_polls_agree(world: World) -> None:
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    earlier = replace(world.state, state="Full load")  # type: ignore[type-var]
    assert not world.ingest(earlier=earlier).committed
    assert not world.ingest(earlier=None).committed
    assert world.ingest().committed


def test_a_reload_reuses_keys_and_bytes(world: World) -> None:
    content = load_table(rows(2))
    world.land_load(content)
    world.loaded(2)
    assert world.ingest().ops == {"L": 2}
    world.land_load(content)
    world.loaded(2, ago=timedelta(seconds=30), reloaded=True)
    outcome = world.ingest()
    assert outcome.ops == {"L": 2}
    loads = world.pinned().loads
    assert [load.boundary_seq == "" for load in loads] == [True, False]
    assert len({load.load_id for load in loads}) == 2
    assert len(world.table_rows()) == 4


def test_files_left_over_from_an_older_load_are_superseded(world: World) -> None:
    world.land_load(load_table(rows(1)), load_table(rows(1, first=2)))
    newer(world.landing, world.key("LOAD00000002.parquet"), -3600)  # type: ignore[arg-type]
    world.loaded(1)
    outcome = world.ingest()
    assert (outcome.ops, outcome.superseded) == ({"L": 1}, 1)
    assert world.listed() == []
    assert event_counts(world.ledger_rows()) == {"accepted": 1, "superseded": 1}
    assert len([key for key in world.archived() if "/superseded/" in key]) == 1


def test_a_bad_change_file_is_quarantined_and_others_flow(any_world: World) -> None:
    world = any_world
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.land(CDC_1, cdc_table(rows(1, first=2)))
    world.land(CDC_2, cdc_table(rows(1, first=3), op="X"))
    world.land(CDC_3, b"not parquet at all")
    outcome = world.ingest()
    assert outcome.ops == {"L": 1, "I": 1}
    assert sorted(item.reason for item in outcome.rejected) == [Reason.OP, Reason.UNREADABLE]
    assert world.listed() == []
    assert len(outcome.held) == 2
    assert world.quarantine.held_tables() == {world.name: outcome.held}
    assert event_counts(world.ledger_rows()) == {"accepted": 2, "quarantined": 2}
    assert not outcome.checks[Group.OP].passed
    # The next run has nothing to say about them, but the table is still held.
    assert world.ingest().held == outcome.held


def test_a_bad_load_file_makes_the_load_stuck(world: World) -> None:
    world.land_load(load_table(rows(2)), load_table(rows(2, first=3, status=pa.array(["OPEN", "GONE"]))))
    world.loaded(4)
    world.land(CDC_1, cdc_table(rows(1, first=9)))
    outcome = world.ingest()
    assert not outcome.committed
    assert outcome.stuck is not None
    assert [item.reason for item in outcome.rejected] == [Reason.DOMAIN]
    assert world.listed() == [CDC_1, "LOAD00000001.parquet"]
    assert world.ingest().stuck is not None
    # A reload replaces it; what is in quarantine has no more part in anything.
    world.land_load(load_table(rows(2)), load_table(rows(2, first=3)))
    world.start += timedelta(hours=2)
    for number in (1, 2):
        newer(world.landing, world.key(f"LOAD0000000{number}.parquet"), 7200)  # type: ignore[arg-type]
    world.loaded(4)
    outcome = world.ingest()
    assert outcome.ops == {"L": 4, "I": 1}
    assert outcome.held == ()


def test_a_key_twice_in_a_load_is_found_across_files(world: World) -> None:
    world.land_load(load_table(rows(3)), load_table(rows(2, first=3)))
    world.loaded(5)
    outcome = world.ingest()
    assert not outcome.committed
    assert [(item.key, item.reason) for item in outcome.rejected] == [
        (world.key("LOAD00000002.parquet"), Reason.DUPLICATE_KEY)
    ]
    assert outcome.stuck is not None
    assert outcome.checks[Group.UNIQUE].failing == 1


def test_a_table_without_a_key_keeps_every_row(world: World) -> None:
    world.metadata = NO_KEY
    world.land_load(load_table(rows(2)), load_table(rows(2)))
    world.loaded(4)
    world.land(CDC_1, cdc_table(rows(2)))
    world.land(CDC_2, cdc_table(rows(2)))
    world.ingest()
    assert world.table_rows("count(*), count(distinct _change_id)", "all") == [(8, 8)]


def test_a_files_stream_is_that_of_its_time(world: World) -> None:
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    world.land(CDC_1, cdc_table(rows(1, first=2)))
    newer(world.landing, world.key(CDC_1), -1800)  # type: ignore[arg-type]
    world.land(CDC_2, cdc_table(rows(1, first=3)))
    world.land(CDC_3, cdc_table(rows(1, first=4)))
    newer(world.landing, world.key(CDC_3), -7200)  # type: ignore[arg-type]
    world.streams.append(Stream(2, "arn:task", world.start - timedelta(minutes=1)))
    outcome = world.ingest()
    assert world.table_rows("id, _stream", "id") == [(1, 1), (2, 1), (3, 2)]
    assert world.listed() == [CDC_3]
    assert "older than every known stream" in outcome.waiting[0].reason


def test_a_stream_that_began_since_the_run_started_is_seen(world: World) -> None:
    """The task is asked again after landing was listed, or a file of a new stream would be taken for one of the old."""
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    world.land(CDC_1, cdc_table(rows(1, first=2)))
    intake = world.intake()
    world.streams.append(Stream(2, "arn:task", world.start - timedelta(minutes=1)))
    world.ingest(observe=intake.observe)
    assert world.table_rows("id, _stream", "id") == [(1, 1), (2, 2)]


def test_a_zero_row_change_file_is_a_batch(world: World) -> None:
    world.loaded(0)
    world.ingest()
    world.land(CDC_1, cdc_table(rows(0)))
    outcome = world.ingest()
    assert (outcome.batch, outcome.rows, outcome.files) == (2, 0, 1)
    assert world.listed() == []


def test_strangers_are_quarantined_and_hold_nothing(any_world: World) -> None:
    world = any_world
    world.loaded(0)
    for key in ("shop/app/person/readme.txt", "shop/deep/er/app/x"):
        world.landing.put(key, b"?")
    world.landing.put("other/app/person/LOAD00000001.parquet", b"of another source")
    world.land(CDC_1, cdc_table(rows(1)))
    inbox = read_inbox(world.landing, world.spec)
    assert [file.identity.key for file in inbox.tables[world.name]] == [world.key(CDC_1)]
    entries = quarantine_strangers(world.stores, world.spec, inbox.strangers, world.start)
    assert [world.quarantine.report(entry).reason for entry in entries] == [Reason.UNKNOWN_KEY] * 2
    assert world.quarantine.held_tables() == {}
    assert world.listed() == [CDC_1, "LOAD00000001.parquet"]
    assert world.ingest().ops == {"I": 1}


def test_files_of_a_table_that_is_not_declared_wait_until_it_is(any_world: World) -> None:
    world = any_world
    declared = world.spec
    world.spec = declared.model_copy(update={"tables": declared.tables[1:]})
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    world.land(CDC_1, cdc_table(rows(1, first=7)))
    inbox = read_inbox(world.landing, world.spec)
    assert {file.parsed.file_name for file in inbox.undeclared[world.name]} == {"LOAD00000001.parquet", CDC_1}
    assert (inbox.strangers, world.name in inbox.tables) == ((), False)
    world.spec = declared
    assert read_inbox(world.landing, world.spec).undeclared == {}
    assert world.ingest().ops == {"L": 2, "I": 1}


def test_a_new_column_is_taken_on(world: World) -> None:
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    age = ColumnMetadata("age", LogicalType.parse("int16"), "smallint")
    world.metadata = replace(world.metadata, columns=(*world.metadata.columns, age))
    world.land(CDC_1, cdc_table({**rows(1, first=2), "age": pa.array([7], pa.int16())}))
    world.ingest()
    assert world.table_rows("id, age", "id") == [(1, None), (2, 7)]
    assert world.pinned().schema.field("age").type == pa.int16()


def test_a_changed_type_stops_the_table_before_any_work(world: World) -> None:
    world.loaded(0)
    world.ingest()
    columns = [replace(c, type=LogicalType.parse("int64")) if c.name == "id" else c for c in world.metadata.columns]
    world.metadata = replace(world.metadata, columns=tuple(columns))
    world.land(CDC_1, cdc_table(rows(1)))
    with pytest.raises(BreakingSchemaError, match="id: int32 -> int64"):
        world.ingest()
    assert world.listed() == [CDC_1]


def test_a_file_that_is_rewritten_while_it_is_read_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.loaded(0)
    world.ingest()
    world.land(CDC_1, cdc_table(rows(1)))
    download = world.landing.download
    rewritten: list[int] = []

    def rewrite_first(key: str, path: Any, *, if_match: str | None = None) -> Any:
        if not rewritten:
            rewritten.append(1)
            world.land(CDC_1, cdc_table(rows(2, first=5)))
        return download(key, path, if_match=if_match)

    monkeypatch.setattr(world.landing, "download", rewrite_first)
    outcome = world.ingest()
    assert outcome.attempts == 2
    assert world.table_rows() == [("I", 5), ("I", 6)]


def test_a_long_list_of_files_is_kept_in_a_manifest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validated_table, "INLINE_BYTES", 1000)
    world.loaded(0)
    world.ingest()
    for number in range(15):
        world.land(f"20260101-{number:09d}.parquet", cdc_table(rows(1, first=number)))
    outcome = world.ingest()
    assert (outcome.files, outcome.rows) == (15, 15)
    properties = world.catalog.load_table(("shop_app_validated", "person")).properties
    assert "manifest" in properties["dms-assets.committed-files"]
    assert not world.ingest().committed
