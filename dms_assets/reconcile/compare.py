"""Compare a recorded state of the source with curated, now or as of the state's instant: every value of every row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from dms_assets.model.names import Layer, quote, warehouse_schema
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.comparable_text import curated_text
from dms_assets.reconcile.comparison import Comparison, Difference, Fault, TableComparison
from dms_assets.reconcile.source_state import SourceState

MOST_DIFFERENCES = 20
"""Differing keys that are named per table."""

_DUCKDB_SPELLING = {"real": "FLOAT", "varchar": "VARCHAR", "timestamptz": "TIMESTAMP WITH TIME ZONE"}


class WarehouseNotReadableError(OSError):
    """The warehouse file is not there, or another process holds it."""


def compare(
    state: SourceState, warehouse: Path, source: str, tables: Sequence[TableMetadata], *, as_of: bool
) -> Comparison:
    """Compare all `tables`: curated's history at `state.at` (`as_of`), or its current relations.

    Raises WarehouseNotReadableError, or KeyError for a table that `state` does not have.
    """
    started = time.monotonic()
    with open_warehouse(warehouse) as connection:
        found = {
            table.name: compare_table(connection, state, source, table, at=state.at if as_of else None)
            for table in tables
        }
    return Comparison(found, time.monotonic() - started)


def open_warehouse(warehouse: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection that reads nothing but this file and what it names."""
    if not warehouse.is_file():
        raise WarehouseNotReadableError(f"no warehouse at {warehouse}; build curated first, it publishes one")
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        return duckdb.connect(str(warehouse), read_only=True, config=settings)
    except duckdb.IOException as error:
        raise WarehouseNotReadableError(
            f"{warehouse}: {error}; read the published copy, no process writes it"
        ) from error


def compare_table(
    connection: duckdb.DuckDBPyConnection, state: SourceState, source: str, table: TableMetadata, *, at: datetime | None
) -> TableComparison:
    """One table at an instant (aware), or its current state if `at` is None."""
    wrong = fill_sides(connection, state, source, table, at=at)
    if wrong:
        return TableComparison(table.name, at, state.rows[table.name], 0, structure=wrong)
    return verdict(connection, table, at)


def fill_sides(
    connection: duckdb.DuckDBPyConnection,
    state: SourceState,
    source: str,
    table: TableMetadata,
    *,
    at: datetime | None,
    part: str = "true",
) -> tuple[str, ...]:
    """Make the temporary tables `source_side` and `curated_side`, in comparable texts.

    `part` is a condition on these texts for the rows of curated to take. What is wrong with the relation, if anything.
    """
    schema = warehouse_schema(source, table.name.schema, Layer.CURATED)
    relation = f"{table.name.table}_history" if at else table.name.table
    types = relation_types(connection, schema, relation)
    wrong = structure(table, types, f"{schema}.{relation}")
    if wrong:
        return wrong
    texts = ", ".join(
        f"{curated_text(column.name, types[column.name])} as {quote(column.name)}" for column in table.columns
    )
    where = " where valid_from <= ? and ? < valid_to" if at else ""
    rows = f"select {texts} from {quote(schema)}.{quote(relation)}{where}"
    connection.execute(
        f"create or replace temp table curated_side as from ({rows}) where {part}",
        [at, at] if at else [],
    )
    with state.reader(table.name) as recorded:
        connection.register("recorded", recorded)
        connection.execute("create or replace temp table source_side as select * from recorded")
        connection.unregister("recorded")
    return ()


def relation_types(connection: duckdb.DuckDBPyConnection, schema: str, relation: str) -> dict[str, str]:
    """Column types of a table or view of the warehouse; empty if there is none of that name."""
    rows = connection.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_catalog = current_database() and table_schema = ? and table_name = ?",
        [schema, relation],
    ).fetchall()
    return dict(rows)


def structure(table: TableMetadata, types: dict[str, str], relation: str) -> tuple[str, ...]:
    """What is wrong with the relation: it is not there, or a column is not there or of another type."""
    if not types:
        return (f"no relation {relation}",)
    wrong = []
    for column in table.columns:
        expected = _DUCKDB_SPELLING.get(column.type.sql, column.type.sql.upper())
        actual = types.get(column.name)
        if actual is None:
            wrong.append(f"no column {column.name}")
        elif actual != expected:
            wrong.append(f"column {column.name} is {actual}, not {expected}")
    return tuple(wrong)


def verdict(
    connection: duckdb.DuckDBPyConnection, table: TableMetadata, at: datetime | None, *, doubtful_rows: bool = False
) -> TableComparison:
    """Compare the two sides. Of a table without a key, rows of `in_doubt` are no difference if `doubtful_rows`."""
    source_rows, curated_rows = count_rows(connection, "source_side"), count_rows(connection, "curated_side")
    found = partial(TableComparison, table.name, at, source_rows, curated_rows)
    connection.execute(
        "create or replace temp table missing as select * from source_side except all select * from curated_side"
    )
    missing = count_rows(connection, "missing")
    if table.key and not missing and source_rows == curated_rows:
        # As many rows on both sides, and every row of one is on the other: the multisets are equal.
        return found()
    # A log without a key holds every row at least once: copies are no difference, other rows are.
    operator = "except all" if table.key else "except"
    connection.execute(
        f"create or replace temp table extra as select * from curated_side {operator} select * from source_side"
    )
    extra = count_rows(connection, "extra")
    duplicates = 0 if table.key else curated_rows - source_rows + missing - extra
    in_doubt = 0
    if doubtful_rows:
        in_doubt = missing + extra
        for side, without in (("missing", "except all"), ("extra", "except")):
            connection.execute(f"create or replace temp table {side} as from {side} {without} from in_doubt")
        missing, extra = count_rows(connection, "missing"), count_rows(connection, "extra")
        in_doubt -= missing + extra
    different, differences = _differences(connection, table)
    return found(missing - different, extra - different, different, duplicates, in_doubt, differences=differences)


def count_rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """The rows of a table of ours."""
    # All of it: a result that is not read to its end keeps the connection busy.
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


def _differences(connection: duckdb.DuckDBPyConnection, table: TableMetadata) -> tuple[int, tuple[Difference, ...]]:
    """Keys with one row on each side, and the first differing keys of all kinds."""
    names = [column.name for column in table.columns]
    if not table.key:
        return 0, _one_sided(connection, names)
    key = ", ".join(map(quote, table.key))
    pairs = (
        f"(select {key} from missing group by all having count(*) = 1) m"
        f" join (select {key} from extra group by all having count(*) = 1) e using ({key})"
    )
    connection.execute(f"create or replace temp table paired as select {key} from {pairs}")
    sides = ", ".join(f"{side}.{quote(name)}" for name in names for side in ("missing", "extra"))
    rows = connection.execute(
        f"select {sides} from paired join missing using ({key}) join extra using ({key})"
        f" order by {', '.join(f'missing.{quote(name)}' for name in table.key)} limit {MOST_DIFFERENCES}"
    ).fetchall()
    found = [_pair(names, table.key, row) for row in rows]
    for side in ("missing", "extra"):
        connection.execute(
            f"create or replace temp table {side} as select {side}.* from {side} anti join paired using ({key})"
        )
    return count_rows(connection, "paired"), (*found, *_one_sided(connection, table.key))


def _pair(names: Sequence[str], key: Sequence[str], row: tuple[Any, ...]) -> Difference:
    values = {name: (row[2 * index], row[2 * index + 1]) for index, name in enumerate(names)}
    differing = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    return Difference({name: values[name][0] for name in key}, Fault.DIFFERENT, tuple(differing), differing)


def _one_sided(connection: duckdb.DuckDBPyConnection, key: Sequence[str]) -> tuple[Difference, ...]:
    found = []
    for fault in (Fault.MISSING, Fault.EXTRA):
        columns = ", ".join(map(quote, key))
        rows = connection.execute(f"select {columns} from {fault} order by all limit {MOST_DIFFERENCES}").fetchall()
        found += [Difference(dict(zip(key, row, strict=True)), fault) for row in rows]
    return tuple(found)
