"""Make the sample source: its schema, then every table by COPY. The same seed and scale give the same bytes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from dms_assets.sample.tables import SAMPLE_TABLES, Counts, Row, Value

SCHEMA = "probation"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class SampleReport:
    """Rows loaded per table, and how long it took in seconds."""

    rows: dict[str, int]
    seconds: float

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


def create_sample(dsn: str, *, scale: float = 1.0, seed: int = 1) -> SampleReport:
    """Create schema `probation` and load it, in one transaction: all of it is there, or nothing.

    Raises psycopg.errors.DuplicateSchema if it exists, ValueError for a scale that is not above zero.
    """
    started = time.monotonic()
    counts = Counts.at(scale)
    rows: dict[str, int] = {}
    with psycopg.connect(dsn) as connection:
        connection.execute(resources.files(__package__).joinpath("schema.sql").read_bytes())
        # The rows are consistent as made; checking every reference again would double the time.
        connection.execute("set local session_replication_role = replica")
        for table in SAMPLE_TABLES:
            generator = random.Random(f"{seed}/{table.name}")  # noqa: S311  made-up data, no secret
            columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
            target = sql.Identifier(SCHEMA, table.name)
            rows[table.name] = _copy(connection, target, columns, table.rows(generator, counts))
        _advance_identities(connection)
        connection.commit()
        connection.autocommit = True
        connection.execute("analyze")
    return SampleReport(rows, time.monotonic() - started)


def drop_sample(dsn: str) -> None:
    """Remove the schema and all in it; nothing if it is not there."""
    with psycopg.connect(dsn) as connection:
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(SCHEMA)))


def _copy(
    connection: psycopg.Connection[Any], target: sql.Identifier, columns: sql.Composed, rows: Iterable[Row]
) -> int:
    count = 0
    statement = sql.SQL("copy {} ({}) from stdin").format(target, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for lines in _chunks(rows):
            copy.write("".join(lines))
            count += len(lines)
    return count


def _chunks(rows: Iterable[Row]) -> Iterator[list[str]]:
    lines: list[str] = []
    size = 0
    for row in rows:
        line = "\t".join(["\\N" if value is None else copy_text(value) for value in row]) + "\n"
        lines.append(line)
        size += len(line)
        if size > _CHUNK:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines


def copy_text(value: Value) -> str:
    """A value as COPY's text format writes it (null excepted)."""
    match value:
        case str():
            return value.translate(_ESCAPES)
        case bool():
            return "t" if value else "f"
        case datetime():
            return value.isoformat(" ")
        case bytes():
            return f"\\\\x{value.hex()}"
        case list():
            return ("{" + ",".join(_element(item) for item in value) + "}").translate(_ESCAPES)
        case int() | float() | date() | UUID():
            return str(value)
    raise TypeError(f"no COPY text for a {type(value).__name__}")


def _element(item: str) -> str:
    quoted = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _advance_identities(connection: psycopg.Connection[Any]) -> None:
    """Let generated keys go on after the loaded ones."""
    columns = connection.execute(
        "select table_name, column_name from information_schema.columns"
        " where table_schema = %s and is_identity = 'YES'",
        (SCHEMA,),
    ).fetchall()
    for table, column in columns:
        connection.execute(
            sql.SQL("select setval(pg_get_serial_sequence({}, {}), max({})) from {}").format(
                sql.Literal(f"{SCHEMA}.{table}"),
                sql.Literal(column),
                sql.Identifier(column),
                sql.Identifier(SCHEMA, table),
            )
        )
