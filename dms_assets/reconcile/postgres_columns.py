"""The columns of a PostgreSQL source as its catalogue has them, domains resolved: the source's side of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import TableMetadata

_COLUMNS = """
with recursive typed as (
    select n.nspname, c.relname, a.attname, a.atttypid as type, a.atttypmod as typmod
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any(%(schemas)s) and c.relname = any(%(tables)s) and a.attnum > 0 and not a.attisdropped
    union all
    select t.nspname, t.relname, t.attname, d.typbasetype, d.typtypmod
    from typed t join pg_catalog.pg_type d on d.oid = t.type where d.typtype = 'd'
)
select t.nspname, t.relname, t.attname, b.typname, t.typmod
from typed t join pg_catalog.pg_type b on b.oid = t.type where b.typtype <> 'd'
"""


_HIDDEN = """
select row_security_active(c.oid) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = %s
"""


class HiddenRowsError(PermissionError):
    """Row security may keep rows of a table from the user that reads it."""

    def __init__(self, name: TableName) -> None:
        super().__init__(
            f"row security may hide rows of {name} from the platform's user: a load would be short of them, and so "
            "would what it is compared with; on the source: ALTER ROLE <the user in the secret> BYPASSRLS, then reload "
            "the table if it was loaded meanwhile"
        )


class SourceChangedError(LookupError):
    """The source has not the tables or columns that the metadata says."""


@dataclass(frozen=True, slots=True)
class PostgresColumn:
    """A column to compare: base type and modifier (-1: none) in the source, canonical type in the lake."""

    name: str
    base_type: str
    typmod: int
    logical: LogicalType


def postgres_columns(
    connection: psycopg.Connection[Any], tables: Sequence[TableMetadata]
) -> dict[TableName, list[PostgresColumn]]:
    """The columns of each table, in the metadata's order. Raises SourceChangedError if one is not there."""
    arguments = {
        "schemas": sorted({table.name.schema for table in tables}),
        "tables": sorted({table.name.table for table in tables}),
    }
    rows = connection.execute(_COLUMNS, arguments).fetchall()
    found = {(TableName(schema, table), column): (base, typmod) for schema, table, column, base, typmod in rows}
    result: dict[TableName, list[PostgresColumn]] = {}
    for table in tables:
        absent = [column.name for column in table.columns if (table.name, column.name) not in found]
        if absent:
            raise SourceChangedError(
                f"the source has no column {', '.join(absent)} in table {table.name}, but its metadata has; "
                "reflect the source again"
            )
        result[table.name] = [
            PostgresColumn(column.name, *found[table.name, column.name], column.type) for column in table.columns
        ]
    return result


def check_all_rows_shown(connection: psycopg.Connection[Any], name: TableName) -> None:
    """Raises HiddenRowsError if the user of the connection may not see every row of a table, which has to be there."""
    row = connection.execute(_HIDDEN, [name.schema, name.table]).fetchone()
    if row is not None and row[0]:
        raise HiddenRowsError(name)
