"""Validated tables in the warehouse: views over exactly the files of one snapshot, with the loads beside them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb
import pyarrow as pa

from dms_assets.curation.generate import LOADS, VERSIONS
from dms_assets.lake.pinned_snapshot import PinnedSnapshot
from dms_assets.model.change_columns import COMMIT_AT, PLATFORM_FIELDS
from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.model.table_metadata import TableMetadata

PLATFORM_SCHEMA, PINNED_TABLE, COVERED_TABLE = "platform", "pinned_snapshots", "covered_instants"

_LOAD_COLUMNS = {
    "load_id": "varchar",
    "stream": "bigint",
    "boundary_at": "timestamptz",
    "boundary_seq": "varchar",
    "started_at": "timestamptz",
    "ended_at": "timestamptz",
    "one_snapshot": "boolean",
    "rows": "bigint",
}


def create_source_views(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    metadata: TableMetadata,
    pinned: PinnedSnapshot,
    *,
    at: datetime,
) -> None:
    """Make `<source>_<schema>_validated.<table>` and its `__loads` show one snapshot, and record which; all or nothing.

    Columns are those of the metadata: ones the files lack are null, ones the metadata lacks are not shown. `at` is
    the instant to record. Raises duckdb.Error if a file cannot be read or has a type that does not fit.
    """
    schema = warehouse_schema(source, metadata.name.schema, Layer.VALIDATED)
    table = metadata.name.table
    connection.begin()
    try:
        connection.execute(f"create schema if not exists {quote(schema)}")
        connection.execute(f"create or replace view {quote(schema)}.{quote(table)} as {select_sql(metadata, pinned)}")
        _replace_loads(connection, f"{quote(schema)}.{quote(table + LOADS)}", pinned)
        _record(connection, source, metadata.name, pinned, at)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def select_sql(metadata: TableMetadata, pinned: PinnedSnapshot) -> str:
    """The SELECT of a pinned snapshot in the columns and types of the metadata; no rows while there are no files."""
    columns = _column_types(metadata)
    empty = ", ".join(f"null::{sql_type} as {quote(name)}" for name, sql_type in columns.items())
    rows = f"select {empty} where false"
    if pinned.files:
        files = ", ".join(_text(file) for file in pinned.files)
        # By name and after an empty row set of all columns: files older than a column are without it.
        rows += (
            " union all by name select * from read_parquet("
            f"[{files}], union_by_name = true, hive_partitioning = false, filename = false)"
        )
    shown = ", ".join(f"cast({quote(name)} as {sql_type}) as {quote(name)}" for name, sql_type in columns.items())
    return f"select {shown} from ({rows})"


def applied_batch(connection: duckdb.DuckDBPyConnection, source: str, name: TableName) -> int | None:
    """The highest batch in the table's versions; None while there are none.

    Higher than the pinned snapshot's batch means that the validated table was made anew: its versions need a full
    refresh, since a merge cannot know what is gone.
    """
    schema = warehouse_schema(source, name.schema, Layer.CURATED)
    relation = name.table + VERSIONS
    known = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = ? and table_name = ?", [schema, relation]
    ).fetchone()
    if known is None or known[0] == 0:
        return None
    found = connection.execute(f"select max(_last_batch) from {quote(schema)}.{quote(relation)}").fetchone()
    return found[0] if found else None


def last_commit(connection: duckdb.DuckDBPyConnection, source: str, name: TableName) -> datetime | None:
    """The latest commit time in the validated table as it is bound; None while it is empty."""
    schema = warehouse_schema(source, name.schema, Layer.VALIDATED)
    found = connection.execute(f"select max({COMMIT_AT}) from {quote(schema)}.{quote(name.table)}").fetchone()
    return found[0] if found else None


def _column_types(metadata: TableMetadata) -> dict[str, str]:
    platform = {field.name: _PLATFORM_TYPES[field.type] for field in PLATFORM_FIELDS}
    return {column.name: column.type.sql for column in metadata.columns} | platform


_PLATFORM_TYPES: dict[pa.DataType, str] = {
    pa.string(): "varchar",
    pa.int64(): "bigint",
    pa.binary(): "blob",
    pa.timestamp("us", tz="UTC"): "timestamptz",
}


def _replace_loads(connection: duckdb.DuckDBPyConnection, relation: str, pinned: PinnedSnapshot) -> None:
    columns = ", ".join(f"{quote(name)} {sql_type}" for name, sql_type in _LOAD_COLUMNS.items())
    connection.execute(f"create or replace table {relation} ({columns})")
    rows = [[getattr(load, name) for name in _LOAD_COLUMNS] for load in pinned.loads]
    _insert(connection, relation, rows)


def _record(
    connection: duckdb.DuckDBPyConnection, source: str, name: TableName, pinned: PinnedSnapshot, at: datetime
) -> None:
    relation = f"{quote(PLATFORM_SCHEMA)}.{quote(PINNED_TABLE)}"
    connection.execute(f"create schema if not exists {quote(PLATFORM_SCHEMA)}")
    connection.execute(
        f"create table if not exists {relation} (source varchar, table_schema varchar, table_name varchar,"
        " snapshot_id bigint, batch bigint, files bigint, pinned_at timestamptz)"
    )
    key = [source, name.schema, name.table]
    connection.execute(f"delete from {relation} where source = ? and table_schema = ? and table_name = ?", key)
    _insert(connection, relation, [[*key, pinned.snapshot_id, pinned.batch, len(pinned.files), at]])


def _insert(connection: duckdb.DuckDBPyConnection, relation: str, rows: Iterable[list[object]]) -> None:
    for row in rows:
        connection.execute(f"insert into {relation} values ({', '.join('?' for _ in row)})", row)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
