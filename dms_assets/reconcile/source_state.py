"""The whole state of the source at one instant: every value of every table as comparable text, one file per table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.model.names import TableName, quote
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.comparable_text import source_text
from dms_assets.reconcile.normalisation import SOURCE_SESSION
from dms_assets.reconcile.postgres_columns import PostgresColumn, postgres_columns

_INDEX = "state.json"
Condition = Callable[[Sequence[PostgresColumn]], str]
"""The SQL of a condition on a table, from its columns."""


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """A snapshot of the source that stays readable: by `connection`, and by others under its exported name.

    `at` is the source's clock when it was taken (UTC); `lsn` is the end of its log then: whatever the snapshot
    shows lies before it.
    """

    at: datetime
    lsn: str
    name: str
    connection: psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class SourceState:
    """A recorded state: rows per table, files in `folder`."""

    at: datetime
    lsn: str
    folder: Path
    rows: dict[TableName, int]

    def table(self, name: TableName) -> pa.Table:
        """The comparable texts of one table; column names as in the source. Raises KeyError if it was not recorded."""
        with self.reader(name) as batches:
            return batches.read_all()

    @contextmanager
    def reader(self, name: TableName) -> Iterator[pa.RecordBatchReader]:
        """The comparable texts of one table batch by batch, so that memory stays flat. Raises as `table` does."""
        if name not in self.rows:
            raise KeyError(f"table {name} was not recorded in {self.folder}")
        # ParquetFile takes the path as it is; read_table would look for a data set below it.
        with pq.ParquetFile(_file(self.folder, name)) as file:
            yield pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())

    @classmethod
    def open(cls, folder: Path) -> SourceState:
        """A state recorded before. Raises FileNotFoundError if `folder` holds none."""
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        rows = {TableName.parse(name): count for name, count in index["rows"].items()}
        return cls(datetime.fromisoformat(index["at"]), index["lsn"], folder, rows)


def take_snapshot(connection: psycopg.Connection[Any]) -> SourceSnapshot:
    """Begin a read-only transaction on an idle connection, at one snapshot, and export it: two round trips."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    row = connection.execute(
        "select clock_timestamp(), pg_current_wal_insert_lsn()::text, pg_export_snapshot()"
    ).fetchone()
    assert row is not None  # noqa: S101  a select without a table has one row
    return SourceSnapshot(row[0].astimezone(UTC), row[1], row[2], connection)


@contextmanager
def source_snapshot(dsn: str) -> Iterator[SourceSnapshot]:
    """A snapshot of a source, until the block ends."""
    with psycopg.connect(dsn) as connection:
        yield take_snapshot(connection)
        connection.rollback()


def read_source(
    dsn: str,
    snapshot: SourceSnapshot,
    tables: Sequence[TableMetadata],
    folder: Path,
    only: Mapping[TableName, Condition] | None = None,
) -> SourceState:
    """Record the tables as the snapshot shows them; of those in `only`, the rows of a condition.

    Raises SourceChangedError if a table or column is gone, NoComparisonError for a type without a rule.
    """
    # It imports polars, which must not be in the process that runs are forked from.
    import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped] # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    columns = postgres_columns(snapshot.connection, tables)
    rows: dict[TableName, int] = {}
    with adbc.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
        for setting in SOURCE_SESSION:
            cursor.execute(setting)
        cursor.execute("begin isolation level repeatable read read only")
        cursor.execute(f"set transaction snapshot '{snapshot.name}'")
        for table in tables:
            query = _select(table.name, columns[table.name])
            if only and table.name in only:
                query += f" where {only[table.name](columns[table.name])}"
            cursor.execute(query)
            rows[table.name] = _write(cursor.fetch_record_batch(), _file(folder, table.name))
        cursor.execute("commit")
    index = {"at": snapshot.at.isoformat(), "lsn": snapshot.lsn, "rows": {str(name): n for name, n in rows.items()}}
    (folder / _INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return SourceState(snapshot.at, snapshot.lsn, folder, rows)


def _select(name: TableName, columns: list[PostgresColumn]) -> str:
    texts = ", ".join(f"{source_text(column)} as {quote(column.name)}" for column in columns)
    return f"select {texts} from {quote(name.schema)}.{quote(name.table)}"


def _write(batches: pa.RecordBatchReader, path: Path) -> int:
    schema = pa.schema([pa.field(name, pa.string()) for name in batches.schema.names])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
            rows += batch.num_rows
    return rows


def _file(folder: Path, name: TableName) -> Path:
    return folder / f"{name}.parquet"
