"""A table that the first release wrote, taken further: a load, inserts and a delete of then, files of now."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.schema import Schema

from dms_assets.lake.ledger_rebuild import batch_rows
from dms_assets.lake.validated_table import read_base
from dms_assets.model.load import Stream
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.table_metadata import ColumnMetadata
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import PERSON, World, cdc_table, folder_world, load_table, rows

STORED = Path(__file__).parent / "release_1" / "table"
TABLE: dict[str, Any] = json.loads((STORED / "table.json").read_text(encoding="utf-8"))


@pytest.fixture
def world(tmp_path: Path, worker: ValidationWorker) -> World:
    """The table as it was: schema, properties and snapshots as stored, data files as written."""
    streams = [Stream(ordinal, arn, datetime.fromisoformat(at)) for ordinal, arn, at in TABLE["streams"]]
    world = folder_world(tmp_path, worker, streams=streams, start=datetime.fromisoformat(TABLE["started_at"]))
    namespace, name = TABLE["identifier"]
    world.catalog.create_namespace(namespace)
    schema = Schema.model_validate(TABLE["schema"])
    table = world.catalog.create_table((namespace, name), schema, properties=TABLE["properties"])
    for snapshot in TABLE["snapshots"]:
        copies = [shutil.copy(STORED / file, tmp_path / file) for file in snapshot["files"]]
        uris = [Path(copy).as_uri() for copy in copies]
        table.add_files(uris, snapshot_properties=snapshot["summary"], check_duplicate_files=False)
    world.loaded(3)
    return world


@pytest.fixture(scope="module")
def worker() -> Any:
    with ValidationWorker() as running:
        yield running


def _change_ids(world: World, key: int) -> list[bytes]:
    files = list(world.pinned().files)
    query = "select _change_id from read_parquet(?, union_by_name => true) where id = ? and _op = 'I'"
    with duckdb.connect() as connection:
        return [bytes(row[0]) for row in connection.execute(query, [files, key]).fetchall()]


def test_what_is_in_it_is_known(world: World) -> None:
    table = world.catalog.load_table(tuple(TABLE["identifier"]))
    base = read_base(table)
    assert base.batch == 2
    assert [(load.rows, load.stream) for load in base.loads] == [(3, 1)]
    assert len(base.committed) == 2
    assert world.table_rows() == [("D", 1), ("I", 4), ("I", 5), ("L", 1), ("L", 2), ("L", 3)]
    rebuilt = batch_rows(table, world.spec, world.name, base, datetime.now(UTC))
    assert sorted(row.key.rpartition("/")[2] for row in rebuilt) == [
        "20260101-000000001.parquet",
        "20260101-000000002.parquet",
    ]


def test_it_takes_in_more_and_a_change_of_then_has_the_name_it_had(world: World) -> None:
    world.land("20260101-000000003.parquet", cdc_table(rows(2, first=6), seq=30))
    # Delivered again, in another file, as after a restart of the task.
    world.land("20260101-000000004.parquet", cdc_table(rows(2, first=4), seq=10))
    outcome = world.ingest()
    assert (outcome.batch, outcome.rows, outcome.rejected) == (3, 4, [])
    assert outcome.loads == (), "the load of then is not taken for a new one"
    old, again = _change_ids(world, 4)
    assert old == again
    assert len({_change_ids(world, key)[0] for key in (4, 5, 6, 7)}) == 4
    assert not world.ingest().committed


def test_a_column_is_added_to_it(world: World) -> None:
    more = ColumnMetadata("city", LogicalType.parse("string"), "text")
    world.metadata = replace(PERSON, columns=(*PERSON.columns, more))
    world.land("20260101-000000003.parquet", cdc_table({**rows(1, first=6), "city": pa.array(["Leeds"])}, seq=30))
    assert world.ingest().rows == 1
    assert world.table_rows("id, city", "id") == [(key, "Leeds" if key == 6 else None) for key in (1, 1, 2, 3, 4, 5, 6)]


def test_a_reload_replaces_the_load_of_then(world: World) -> None:
    world.start = datetime.now(UTC).replace(microsecond=0)
    world.loaded(2, reloaded=True)
    world.land_load(load_table(rows(2, first=20)))
    outcome = world.ingest()
    assert [(load.rows, load.stream) for load in outcome.loads] == [(2, 1)]
    loads = read_base(world.catalog.load_table(tuple(TABLE["identifier"]))).loads
    assert [load.rows for load in loads] == [3, 2]
