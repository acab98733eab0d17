"""Small tables of the tests' source: made, and read as Local DMS's rows are."""

from __future__ import annotations

from typing import Any

import psycopg


def make(source: psycopg.Connection[Any], *tables: str, count: int = 20) -> None:
    """Tables of a key and a note, with some rows."""
    for table in tables:
        source.execute(f"create table app.{table} (id integer primary key, note text)".encode())
        source.execute(f"insert into app.{table} select g, 'row' from generate_series(1, {count}) g".encode())


def rows(source: psycopg.Connection[Any], table: str) -> dict[Any, dict[str, Any]]:
    """What a table holds, by its column `id`."""
    cursor = source.execute(f"select * from app.{table}".encode())
    names = [column.name for column in cursor.description or []]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["id"]: row for row in found}
