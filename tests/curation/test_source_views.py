"""Views over exactly the files of a snapshot, typed by the metadata whatever the files hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dms_assets.curation.source_views import create_source_views
from dms_assets.lake.pinned_snapshot import PinnedSnapshot
from dms_assets.model.load import Load
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.stored_schema import stored_schema
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from tests.curation.rendered import NOW

AT = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
VALUES = {
    "boolean": True,
    "int16": -5,
    "int32": 5,
    "int64": 2**60,
    "float32": 0.5,
    "float64": 0.25,
    "decimal(38,9)": Decimal("12345678901234567890.123456789"),
    "string": "a ' b",
    "binary": b"\x00\xff",
    "date": date(2026, 7, 1),
    "time": time(12, 30, 15, 123000),
    "timestamp": AT.replace(tzinfo=None),
    "timestamptz": AT,
}
SQL_TYPES = [
    *("BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(38,9)", "VARCHAR", "BLOB", "DATE"),
    *("TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
]
TABLE = TableMetadata(
    TableName("app", "every type"),
    tuple(ColumnMetadata(name, LogicalType.parse(name), name) for name in VALUES),
    ("int32",),
)
PLATFORM = {
    "_op": "I",
    "_stream": 1,
    "_seq": "1",
    "_commit_at": AT,
    "_position": None,
    "_load_id": None,
    "_file": "f",
    "_file_row": 0,
    "_change_id": b"x",
    "_batch": 1,
    "_metadata_version": "v",
}


def snapshot(table: TableMetadata, *files: Path, loads: tuple[Load, ...] = ()) -> PinnedSnapshot:
    return PinnedSnapshot(("", ""), len(files) or None, tuple(map(str, files)), loads, len(files), stored_schema(table))


def write(file: Path, table: TableMetadata, values: dict[str, object]) -> Path:
    pq.write_table(pa.Table.from_pylist([{**values, **PLATFORM}], schema=stored_schema(table)), file)
    return file


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'")
        yield opened


def shown(connection: duckdb.DuckDBPyConnection, count: int) -> list[tuple[object, ...]]:
    return [row[:count] for row in connection.execute('from office_app_validated."every type"').fetchall()]


def test_every_type_is_the_metadatas_with_files_and_without(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for files in ([], [write(tmp_path / "it's.parquet", TABLE, VALUES)]):
        create_source_views(connection, "office", TABLE, snapshot(TABLE, *files), at=NOW)
        described = connection.execute('describe office_app_validated."every type"').fetchall()
        assert [column[1] for column in described][: len(SQL_TYPES)] == SQL_TYPES
        assert {column[0]: column[1] for column in described}["_commit_at"] == "TIMESTAMP WITH TIME ZONE"
        assert shown(connection, len(VALUES)) == [tuple(VALUES.values())] * len(files)


def test_columns_that_came_or_went_since_a_file_was_written(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    number, text = (
        ColumnMetadata(name, LogicalType.parse(kind), kind) for name, kind in [("n", "int64"), ("t", "string")]
    )
    old = replace(TABLE, columns=(number, text), key=("n",))
    new = replace(TABLE, columns=(ColumnMetadata("z", LogicalType.parse("date"), "date"), number), key=("n",))
    files = [write(tmp_path / "1.parquet", old, {"n": 1, "t": "a"})]
    create_source_views(connection, "office", new, snapshot(new, *files), at=NOW)
    assert shown(connection, 2) == [(None, 1)]
    files.append(write(tmp_path / "2.parquet", new, {"n": 2, "z": date(2026, 1, 1)}))
    create_source_views(connection, "office", new, snapshot(new, *files), at=NOW)
    assert sorted(shown(connection, 2), key=str) == [(None, 1), (date(2026, 1, 1), 2)]


def test_loads_and_the_snapshot_are_recorded(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    load = Load("000001-x", TABLE.name, 1, AT, "", AT, AT, one_snapshot=True, rows=0, files=0)
    file = write(tmp_path / "1.parquet", TABLE, VALUES)
    create_source_views(connection, "office", TABLE, snapshot(TABLE), at=NOW)
    create_source_views(connection, "office", TABLE, snapshot(TABLE, file, loads=(load,)), at=NOW)
    found = connection.execute('from office_app_validated."every type__loads"').fetchall()
    assert found == [("000001-x", 1, AT, "", AT, AT, True, 0)]
    pinned = connection.execute("from platform.pinned_snapshots").fetchall()
    assert pinned == [("office", "app", "every type", 1, 1, 1, NOW)]


def test_a_snapshot_that_cannot_be_read_leaves_the_one_before(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    file = write(tmp_path / "1.parquet", TABLE, VALUES)
    create_source_views(connection, "office", TABLE, snapshot(TABLE, file), at=NOW)
    with pytest.raises(duckdb.IOException, match="gone"):
        create_source_views(connection, "office", TABLE, snapshot(TABLE, file, tmp_path / "gone.parquet"), at=NOW)
    assert len(shown(connection, 1)) == 1
    assert connection.execute("select batch from platform.pinned_snapshots").fetchall() == [(1,)]
