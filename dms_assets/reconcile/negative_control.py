"""Show that the comparison can fail: change one value and drop one row in a copy, and it must report exactly these."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from dms_assets.model.logical_type import Kind
from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.reconcile.comparable_text import curated_text
from dms_assets.reconcile.compare import compare, relation_types
from dms_assets.reconcile.comparison import Comparison, Fault
from dms_assets.reconcile.source_state import SourceState

_CHANGED: dict[Kind, str] = {
    Kind.STRING: "{column} || 'x'",
    Kind.INT64: "xor({column}, 1::bigint)",
    Kind.INT32: "xor({column}, 1::integer)",
    Kind.INT16: "xor({column}, 1::smallint)",
    Kind.BOOLEAN: "not {column}",
    Kind.FLOAT64: "case when {column} = 0.25 then 0.5 else 0.25 end",
    Kind.FLOAT32: "case when {column} = 0.25 then 0.5 else 0.25 end",
}


class NoControlError(LookupError):
    """No table allows the control: one with a key, two rows, and a column beside the key that has a value."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Two faults in one table; keys are comparable texts by column."""

    table: TableName
    changed_column: str
    changed_key: dict[str, str]
    dropped_key: dict[str, str]


@dataclass(frozen=True, slots=True)
class NegativeControl:
    """What was planted and what was found."""

    planted: Planted
    comparison: Comparison

    @property
    def exact(self) -> bool:
        """Whether the comparison found exactly the planted faults, and nothing in any other table."""
        table = self.planted.table
        if [found.table for found in self.comparison.unequal] != [table]:
            return False
        found = self.comparison.tables[table]
        faults = [(difference.fault, difference.key, difference.columns) for difference in found.differences]
        return (found.different, found.missing, found.extra) == (1, 1, 0) and faults == [
            (Fault.DIFFERENT, self.planted.changed_key, (self.planted.changed_column,)),
            (Fault.MISSING, self.planted.dropped_key, ()),
        ]


def negative_control(
    state: SourceState,
    warehouse: Path,
    source: str,
    tables: Sequence[TableMetadata],
    scratch: Path,
    *,
    as_of: bool = False,
) -> NegativeControl:
    """Plant one changed value and one dropped row in a copy of the warehouse below `scratch`, and compare.

    The warehouse itself is only read. Means something where `compare` finds everything equal. Raises NoControlError.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    # The same file name: views of the warehouse name their own catalogue, which is called after the file.
    copy = scratch / warehouse.name
    shutil.copyfile(warehouse, copy)
    try:
        with duckdb.connect(str(copy)) as connection:
            planted = _plant(connection, source, tables, state.at if as_of else None)
        return NegativeControl(planted, compare(state, copy, source, tables, as_of=as_of))
    finally:
        copy.unlink()


def _plant(
    connection: duckdb.DuckDBPyConnection, source: str, tables: Sequence[TableMetadata], at: datetime | None
) -> Planted:
    for table in tables:
        for column in table.columns if table.key else ():
            if column.name not in table.key and column.type.kind in _CHANGED:
                planted = _plant_in(connection, source, table, column, at)
                if planted is not None:
                    return planted
    raise NoControlError("no table has a key, two rows and a value beside the key; load some data first")


def _plant_in(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    table: TableMetadata,
    column: ColumnMetadata,
    at: datetime | None,
) -> Planted | None:
    schema = warehouse_schema(source, table.name.schema, Layer.CURATED)
    relation = f"{table.name.table}_history" if at else table.name.table
    types = relation_types(connection, schema, relation)
    target, name = f"{quote(schema)}.{quote(relation)}", quote(column.name)
    keys = [curated_text(key, types[key]) for key in table.key]
    valid, instant = ("valid_from <= ? and ? < valid_to", [at, at]) if at else ("true", [])
    rows = connection.execute(
        f"select {', '.join(keys)} from {target} where {name} is not null and {valid} order by all limit 2", instant
    ).fetchall()
    if len(rows) < 2:
        return None
    _materialise(connection, schema, relation)
    this_row = f"{' and '.join(f'{key} = ?' for key in keys)} and {valid}"
    new = _CHANGED[column.type.kind].format(column=name)
    connection.execute(f"update {target} set {name} = {new} where {this_row}", [*rows[0], *instant])
    connection.execute(f"delete from {target} where {this_row}", [*rows[1], *instant])
    changed, dropped = (dict(zip(table.key, row, strict=True)) for row in rows)
    return Planted(table.name, column.name, changed, dropped)


def _materialise(connection: duckdb.DuckDBPyConnection, schema: str, relation: str) -> None:
    """Make a relation of the copy a table that can be changed, whatever it was."""
    target = f"{quote(schema)}.{quote(relation)}"
    connection.execute(f"create temp table planted as select * from {target}")
    views = connection.execute(
        "select 1 from duckdb_views() where database_name = current_database() and schema_name = ? and view_name = ?",
        [schema, relation],
    ).fetchall()
    connection.execute(f"drop {'view' if views else 'table'} {target}")
    connection.execute(f"create table {target} as select * from planted")
