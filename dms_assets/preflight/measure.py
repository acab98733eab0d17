"""What the values of some columns are: how long, how many digits, how fine. The only rows a preflight reads.

A table up to a size is read whole; of a larger one a random sample of its pages is, and every finding says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from dms_assets.preflight.facts import Column, Measured, Relation

_WHOLE_BYTES = 128 << 20
_TIMEOUT_S = 10
_TELLS_OUT_OF_LINE = 170000
_LENGTH_WITHOUT_PRINTING = {"text", "varchar", "bpchar", "bytea"}
"""Types whose length PostgreSQL knows without reading the value."""

_Parts = dict[str, sql.Composable]


def measure(connection: psycopg.Connection[Any], relation: Relation, columns: Sequence[Column]) -> dict[str, Measured]:
    """Measure the columns that need it; empty if none does. Raises psycopg.Error (QueryCanceled after 10 s)."""
    tells = connection.info.server_version >= _TELLS_OUT_OF_LINE
    parts = {column.name: _parts(column, tells_out_of_line=tells) for column in columns}
    parts = {name: measured for name, measured in parts.items() if measured}
    if not parts:
        return {}
    part = min(1.0, _WHOLE_BYTES / max(relation.size + relation.toast_size, 1))
    sample = sql.SQL("") if part == 1 else sql.SQL(" tablesample system ({})").format(sql.Literal(round(part * 100, 4)))
    query = sql.SQL("select {} from {}{}").format(
        sql.SQL(", ").join(expression for measured in parts.values() for expression in measured.values()),
        sql.Identifier(relation.name.schema, relation.name.table),
        sample,
    )
    with connection.transaction():
        connection.execute(f"set local statement_timeout = '{_TIMEOUT_S}s'")
        row = connection.execute(query).fetchone() or ()
    values = iter(row)
    return {
        name: Measured(part, **{member: value for member in measured if (value := next(values)) is not None})
        for name, measured in parts.items()
    }


def _parts(column: Column, *, tells_out_of_line: bool) -> _Parts:
    name, kind = sql.Identifier(column.name), column.source.type.name
    parts: _Parts = {}
    if column.source.is_lob:
        printed = "" if kind in _LENGTH_WITHOUT_PRINTING else "::text"
        parts["longest"] = sql.SQL("max(octet_length({}{}))::int8").format(name, sql.SQL(printed))
    if column.toastable and tells_out_of_line:
        parts["out_of_line"] = sql.SQL("count(pg_column_toast_chunk_id({}))::int8").format(name)
    if kind == "numeric" and column.source.typmod < 0:
        parts["digits"] = sql.SQL("max(length(regexp_replace({}::text, '[^0-9]', '', 'g')))::int8").format(name)
        parts["scale"] = sql.SQL("max(scale({}))::int8").format(name)
    if kind in {"time", "timetz"}:
        fine = "coalesce(bool_or(extract(microseconds from {})::int8 % 1000 <> 0), false)"
        parts["finer_than_ms"] = sql.SQL(fine).format(name)
    return parts
