"""Hostile deliveries: whole loads, keys used again, late and out-of-order files, names, and files without end."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dms_assets.lake.landing import read_inbox
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.model.landed_file import parse_key
from dms_assets.validation.outcome import Reason
from dms_assets.validation.worker_process import ValidationWorker, WorkerLimits
from tests.lake.conftest import worker, world
from tests.lake.world import World, cdc_table, folder_world, load_table, parquet, rows

__all__ = ["worker", "world"]
FIRST = "20260101-000000001.parquet"


def _load(**columns: Any) -> pa.Table:
    return load_table(rows(3, **columns))


def _with(table: pa.Table, name: str, values: list[str | None]) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))


LOADS: dict[str, tuple[Callable[[], pa.Table], Reason]] = {
    "key_twice": (lambda: _load(id=pa.array([1, 2, 1], pa.int32())), Reason.DUPLICATE_KEY),
    "null_key": (lambda: _load(id=pa.array([1, None, 3], pa.int32())), Reason.KEY),
    "sequence_in_a_load": (lambda: _with(_load(), "dms_change_seq", ["", "0" * 35, ""]), Reason.SEQUENCE),
    "time_unreadable": (lambda: _with(_load(), "dms_timestamp", ["2026-01-01"] * 3), Reason.SEQUENCE),
    "null_where_not_allowed": (lambda: _load(status=pa.array(["OPEN", None, "OPEN"])), Reason.NULLABILITY),
    "too_long": (lambda: _load(name=pa.array(["a", "b" * 11, "c"])), Reason.LENGTH),
    "not_in_enum": (lambda: _load(status=pa.array(["OPEN", "GONE", "OPEN"])), Reason.DOMAIN),
    "declared_check": (lambda: _load(amount=pa.array([1, -1, 1], pa.decimal128(10, 2))), Reason.DECLARED),
    "changes_named_as_a_load": (lambda: cdc_table(rows(3), op="U"), Reason.OP),
    "missing_column": (lambda: _load().drop_columns(["amount"]), Reason.SCHEMA),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_hostile_load_never_becomes_visible(world: World, name: str) -> None:
    build, reason = LOADS[name]
    world.land_load(build())
    world.loaded(3)
    outcome = world.ingest()
    assert [item.reason for item in outcome.rejected] == [reason]
    assert not outcome.committed
    assert outcome.stuck is not None


def test_a_load_with_an_op_column_is_right(world: World) -> None:
    table = _load()
    world.land_load(table.add_column(0, "Op", pa.array(["I"] * 3)))
    world.loaded(3)
    assert world.ingest().rows == 3


def test_a_key_used_again_with_hostile_bytes_and_then_with_good_ones(world: World) -> None:
    """A file is (key, ETag, time): each delivery is judged for itself."""
    world.loaded(0)
    verdicts = []
    for content in (parquet(cdc_table(rows(1))), b"hostile", parquet(cdc_table(rows(1, first=2), seq=2)), b"hostile 2"):
        world.land(FIRST, content)
        outcome = world.ingest()
        verdicts.append((outcome.files, [item.reason for item in outcome.rejected]))
    assert verdicts == [(1, []), (0, [Reason.UNREADABLE]), (1, []), (0, [Reason.UNREADABLE])]
    assert world.table_rows() == [("I", 1), ("I", 2)]
    assert len(world.quarantine.entries()) == 2
    assert world.listed() == []


def test_late_and_out_of_order_files_get_in_and_keep_their_place(world: World) -> None:
    world.loaded(0)
    world.land("20260101-000000009.parquet", cdc_table(rows(1, first=9), seq=90))
    world.ingest()
    # Written later, of earlier changes: one under an earlier name, one under a later one.
    world.land("20260101-000000001.parquet", cdc_table(rows(1, first=1), seq=10))
    world.land("20260101-000000010.parquet", cdc_table(rows(1, first=2), seq=20))
    outcome = world.ingest()
    assert (outcome.files, outcome.rejected) == (2, [])
    assert world.table_rows("id", "_seq") == [(1,), (2,), (9,)]


def test_the_same_bytes_under_two_names_are_taken_twice_and_count_as_one_change(world: World) -> None:
    world.loaded(0)
    for number in (1, 2):
        world.land(f"20260101-00000000{number}.parquet", cdc_table(rows(2)))
    world.ingest()
    assert world.table_rows("count(*), count(distinct _change_id)", "all") == [(4, 2)]


def test_rows_without_end_are_stopped_by_the_clock(tmp_path: Path) -> None:
    """Millions of rows in some hundred kilobytes: right, every one of them, and never done."""
    table = cdc_table(rows(200_000, **_constant(200_000)))
    for name in ("Op", "dms_timestamp", "dms_change_seq", "dms_stream_position"):
        table = _with(table, name, [table[name][0].as_py()] * table.num_rows)
    body = io.BytesIO()
    with pq.ParquetWriter(body, table.schema, compression="zstd", store_schema=False) as writer:
        for _ in range(40):
            writer.write_table(table)
    assert len(body.getvalue()) < 1 << 20
    limits = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=2)
    with ValidationWorker(limits) as small:
        own = folder_world(tmp_path, small)
        own.loaded(0)
        own.land(FIRST, body.getvalue())
        own.land("20260101-000000002.parquet", cdc_table(rows(1)))
        outcome = own.ingest()
    assert [item.reason for item in outcome.rejected] == [Reason.RESOURCE_LIMIT]
    assert own.table_rows() == [("I", 1)]


def _constant(count: int) -> dict[str, Any]:
    return {name: pa.concat_arrays([array] * count) for name, array in rows(1).items()}


@pytest.mark.parametrize(
    "key",
    [
        "shop/app/person/../../other/person/LOAD00000001.parquet",
        "shop/app//LOAD00000001.parquet",
        "shop/app/LOAD00000001.parquet",
        "shop/app/person/LOAD1.parquet",
        "shop/app/person/LOAD0000000G.parquet",
        "shop/app/person/load00000001.parquet",
        "shop/app/person/LOAD00000001.parquet.gz",
        "shop/app/person/LOAD00000001.parquet ",
        "shop/app/person/LOAD00000001.parquet\n",
        "shop/app/person/20260101-000000001",
        "shop/app/person/20260101-00000000\uff11.parquet",
        "shop/app/person/2026/01/01/20260101-000000001.parquet",
        "shop/app/person\0/20260101-000000001.parquet",
        "shop/app/./20260101-000000001.parquet",
        "shop/app/" + "p" * 1000 + "/20260101-000000001.parquet",
        "other/app/person/20260101-000000001.parquet",
        "shopp/app/person/20260101-000000001.parquet",
        "SHOP/app/person/20260101-000000001.parquet",
        "shop/app/person/",
        "shop",
        "",
    ],
)
def test_a_name_that_dms_does_not_write_is_no_file_of_a_table(key: str) -> None:
    assert parse_key(key, "shop") is None


@pytest.mark.parametrize(
    "key",
    [
        "shop/app/per son/20260101-000000001.parquet",
        "shop/app/per+son/20260101-000000001.parquet",
        "shop/app/person%2F/20260101-000000001.parquet",
        "shop/app/persoń/20260101-000000001.parquet",
        "shop/app/[*?]/20260101-000000001.parquet",
        "shop/app/person';drop table x--/20260101-000000001.parquet",
        "shop/app/<script>/20260101-000000001.parquet",
        "shop/app/Person/20260101-000000001.parquet",
        "shop/person/app/20260101-000000001.parquet",
    ],
)
def test_a_name_that_hurts_is_no_declared_table(world: World, key: str) -> None:
    """Such a file stays where it is, and is shown: nobody but its name says what it is of."""
    world.landing.put(key, parquet(cdc_table(rows(1))))
    inbox = read_inbox(world.landing, world.spec)
    assert not any(inbox.tables.values())
    assert [file.identity.key for files in inbox.undeclared.values() for file in files] == [key]
    assert quarantine_strangers(world.stores, world.spec, inbox.strangers, world.start) == []
    world.loaded(0)
    assert world.ingest().files == 0


@pytest.mark.parametrize("table", ["downloads", "workload", "load00000001", "person_2026"])
def test_the_name_of_a_table_does_not_make_its_changes_a_load(table: str) -> None:
    parsed = parse_key(f"shop/app/{table}/20260101-000000001.parquet", "shop")
    assert parsed is not None
    assert (parsed.table.table, parsed.kind.value) == (table, "CDC")
