"""DDL of a source under work: what rewrites rows unseen by the log, what adds a column, what changes no row.

Each waits a moment for the table, and is left out if a load or a comparison has it locked.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from tests.simulation.columns import SMALL
from tests.simulation.schema import Column, Table, rewritten_column
from tests.simulation.sessions import Sessions, relation
from tests.simulation.steps import Do, Step

MOST_COLUMNS = 6
"""Beyond so many besides the key, none is added."""
_NAMED_BY_ALL = "alter table {table} replica identity full"
QUIET: tuple[LiteralString, ...] = (
    "vacuum full {table}",
    "create index on {table} ((1))",
    "alter table {table} add check (true)",
    "alter table {table} alter column {column} set statistics 7",
    "alter table {table} set (fillfactor = 60)",
    "comment on column {table}.{column} is 'seen'",
)
"""Statements that change no row, though the first writes all of them into another file."""


def break_log(sessions: Sessions, step: Step) -> bool:
    """TRUNCATE, or a rewrite that changes values: neither is in the change log. Whether rows were hit."""
    table = sessions.tables[step.table]
    text = rewritten_column(table)
    if not table.keys or (step.do is Do.REWRITE and text is None):
        return False
    count = sql.SQL("select count(*) from {}").format(relation(table))
    if step.do is Do.TRUNCATE:
        statement = sql.SQL("truncate {}").format(relation(table))
    else:
        assert text is not None
        column = sql.Identifier(text.name)
        statement = sql.SQL("alter table {} alter column {} type text using {} || '!'").format(
            relation(table), column, column
        )
    sessions.end_all()
    rows = sessions.admin.execute(count).fetchone()
    return _took_place(sessions, statement) and bool(rows and rows[0])


def add_column(sessions: Sessions, step: Step) -> bool:
    """Add a column that may be null; later statements give it values."""
    table, random = sessions.tables[step.table], Random(step.seed)
    if len(table.columns) - len(table.keys) > MOST_COLUMNS:
        return False
    kind = random.choice(sorted(SMALL))
    column = Column(f"added {len(table.columns)}", kind, SMALL[kind])
    statement = sql.SQL("alter table {} add column {} {}").format(
        relation(table), sql.Identifier(column.name), sql.SQL(cast("LiteralString", kind))
    )
    if not _took_place(sessions, statement):
        return False
    sessions.tables[step.table] = replace(table, columns=(*table.columns, column))
    return True


def change_no_row(sessions: Sessions, step: Step) -> bool:
    """Something about a table that is none of its rows or columns: its files, indexes, checks, replica identity."""
    table = sessions.tables[step.table]
    chosen = Random(step.seed).choice([_NAMED_BY_ALL, *QUIET] if _may_be_named_by_all(table) else QUIET)
    column = sql.Identifier(table.columns[0].name)
    if not _took_place(sessions, sql.SQL(chosen).format(table=relation(table), column=column)):
        return False
    if chosen == _NAMED_BY_ALL:
        sessions.tables[step.table] = replace(table, full_identity=True)
    return True


def _may_be_named_by_all(table: Table) -> bool:
    """A table without a key would be another kind of table then: no log of inserts any more."""
    return bool(table.keys) and not table.full_identity


def _took_place(sessions: Sessions, statement: sql.Composed) -> bool:
    # Any open transaction that has touched the table would keep it from happening.
    sessions.end_all()
    try:
        sessions.admin.execute(statement)
    except psycopg.errors.LockNotAvailable:
        return False
    return True
