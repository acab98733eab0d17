"""Changes of a table's definition. `{t}` is the table; what each does to rows that nobody touches is said here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What the statement does to the values of rows for which the log has no change."""

    NONE = "rows stay as they are"
    REWRITES = "rows change without a word in the log"
    SHAPE = "rows get other columns"
    TYPE = "a column gets another type"
    MOVES = "rows go by another table's name"
    UNTOLD = "rows get a column that the task was not told to leave out"
    REFUSED = "PostgreSQL refuses it for a table that is published"


@dataclass(frozen=True)
class Ddl:
    """`alone` cannot run inside a transaction; `table` is what the table is called afterwards.

    `typed` is the column that has another type then.
    """

    name: str
    statement: str
    effect: Effect
    alone: bool = False
    table: str = "{t}"
    typed: str = ""


CASES = [
    Ddl("add a column", "alter table {t} add x text", Effect.NONE),
    Ddl("add a column with a constant", "alter table {t} add x text default 'x'", Effect.REWRITES),
    Ddl("add a column, volatile default", "alter table {t} add x text default gen_random_uuid()", Effect.REWRITES),
    Ddl("add a serial column", "alter table {t} add x bigserial", Effect.REWRITES),
    Ddl("add a stored generated column", "alter table {t} add x int generated always as (n + 1) stored", Effect.UNTOLD),
    Ddl("drop a column", "alter table {t} drop a", Effect.NONE),
    Ddl("drop a column, add one of its name", "alter table {t} drop a, add a integer", Effect.TYPE, typed="a"),
    Ddl("drop a column, add one of its name and type", "alter table {t} drop a, add a text", Effect.REWRITES),
    Ddl("rename a column", "alter table {t} rename a to z", Effect.SHAPE),
    Ddl(
        "swap two columns' names",
        "alter table {t} rename a to c; alter table {t} rename b to a; alter table {t} rename c to b",
        Effect.REWRITES,
    ),
    Ddl("widen a number", "alter table {t} alter n type bigint", Effect.TYPE, typed="n"),
    Ddl("change values with a type", "alter table {t} alter n type bigint using n * 10", Effect.TYPE, typed="n"),
    Ddl("number to text", "alter table {t} alter n type text using 'n:' || n", Effect.TYPE, typed="n"),
    Ddl("limit a text", "alter table {t} alter a type varchar(100)", Effect.NONE),
    Ddl("not null", "alter table {t} alter a set not null", Effect.NONE),
    Ddl("truncate", "truncate {t}", Effect.REWRITES),
    Ddl("set unlogged", "alter table {t} set unlogged", Effect.REFUSED),
    Ddl("set logged", "alter table {t} set logged", Effect.NONE),
    Ddl("vacuum full", "vacuum full {t}", Effect.NONE, alone=True),
    Ddl("cluster", "alter table {t} cluster on {t}_pkey", Effect.NONE),
    Ddl("another primary key", "alter table {t} drop constraint {t}_pkey, add primary key (id, n)", Effect.NONE),
    Ddl("replica identity full", "alter table {t} replica identity full", Effect.NONE),
    Ddl("rename the table", "alter table {t} rename to {t}_new", Effect.MOVES, table="{t}_new"),
    Ddl("index and comment", "create index on {t} (a); comment on table {t} is 'c'", Effect.NONE),
]
"""More than twenty, the harmless ones too: those must not be flagged."""

QUICK = frozenset(
    {
        "add a column",
        "add a column with a constant",
        "add a stored generated column",
        "drop a column",
        "rename a column",
        "swap two columns' names",
        "widen a number",
        "truncate",
        "set unlogged",
        "another primary key",
        "rename the table",
    }
)
"""Names of cases for a reduced run: all effects are among them."""
