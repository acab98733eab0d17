"""Up to which instant the curated relations of each table hold every change: what derived tables are built as of.

One row a table in `platform.covered_instants` of the warehouse, written when a build binds the table, read by the dbt
macro `complete_to` and by whoever asks how far the data goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import duckdb

from dms_assets.curation.source_views import COVERED_TABLE, PLATFORM_SCHEMA
from dms_assets.model.load import Load
from dms_assets.model.names import SourceTable, TableName, quote

_RELATION = f"{quote(PLATFORM_SCHEMA)}.{quote(COVERED_TABLE)}"
_KEY = "source = ? and table_schema = ? and table_name = ?"


@dataclass(frozen=True, slots=True)
class Covered:
    """What is recorded of a table; instants are UTC.

    `last_commit` is the latest commit time among the changes that are there, `batch` the last batch of them.
    """

    complete_to: datetime
    last_commit: datetime | None
    batch: int


def complete_to(watermark: datetime | None, before: datetime | None, loads: Iterable[Load]) -> datetime | None:
    """The instant to record for a table: what the watermark says, or what held `before`, whichever is later.

    What was complete stays so. Before the watermark says anything, a table loaded at one snapshot is complete to that.
    None while nothing is known. `before` must be None for a table that was made anew.
    """
    known = [instant for instant in (watermark, before) if instant is not None]
    loaded = list(loads)
    if not known and loaded and all(load.one_snapshot for load in loaded):
        return max(load.boundary_at for load in loaded)
    return max(known, default=None)


def open_covered(connection: duckdb.DuckDBPyConnection) -> dict[SourceTable, Covered]:
    """What is recorded of every table, before a build; makes the table if it is not there.

    What an earlier build recorded and did not live to confirm is taken back: the instant before stands.
    """
    connection.execute(f"create schema if not exists {quote(PLATFORM_SCHEMA)}")
    connection.execute(
        f"create table if not exists {_RELATION} (source varchar, table_schema varchar, table_name varchar,"
        " complete_to timestamptz, last_commit timestamptz, batch bigint, confirmed boolean, before timestamptz)"
    )
    connection.execute(f"delete from {_RELATION} where not confirmed and before is null")
    # Of no batch: which one the versions have is not known any more.
    connection.execute(f"update {_RELATION} set complete_to = before, batch = -1, confirmed = true where not confirmed")
    return read_covered(connection)


def record_covered(
    connection: duckdb.DuckDBPyConnection,
    table: SourceTable,
    covered: Covered | None,
    before: Covered | None,
    *,
    confirmed: bool,
) -> None:
    """Replace what is recorded of a table; None forgets it. Without `confirmed` it holds only for this build."""
    source, name = table
    key = [source, name.schema, name.table]
    connection.execute(f"delete from {_RELATION} where {_KEY}", key)
    if covered is not None:
        values = [covered.complete_to, covered.last_commit, covered.batch, confirmed, before and before.complete_to]
        connection.execute(f"insert into {_RELATION} values (?, ?, ?, ?, ?, ?, ?, ?)", [*key, *values])


def confirm_covered(connection: duckdb.DuckDBPyConnection, tables: Iterable[SourceTable]) -> None:
    """The versions of some tables were built as recorded; what was recorded of others is taken back."""
    for source, name in tables:
        connection.execute(f"update {_RELATION} set confirmed = true where {_KEY}", [source, name.schema, name.table])
    open_covered(connection)


def read_covered(connection: duckdb.DuckDBPyConnection) -> dict[SourceTable, Covered]:
    """What is recorded of every table; nothing in a warehouse that no build has bound yet."""
    there = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = ? and table_name = ?",
        [PLATFORM_SCHEMA, COVERED_TABLE],
    ).fetchone()
    if there is None or there[0] == 0:
        return {}
    rows = connection.execute(
        f"select source, table_schema, table_name, complete_to, last_commit, batch from {_RELATION}"
    ).fetchall()
    return {(source, TableName(schema, table)): Covered(*found) for source, schema, table, *found in rows}
