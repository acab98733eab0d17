"""Random schemas with names that hurt, and the tables that are made of them in a real PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import psycopg
from psycopg import sql

from tests.identifiers import names

ROWS = 3


@dataclass(frozen=True)
class Table:
    """A table. The first `keys` columns are its key; every column is a text whose values tell its place."""

    name: str
    columns: tuple[str, ...]
    keys: int
    comments: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """A schema. `declared` are the tables that a declaration asks for, `strangers` others beside them."""

    number: int
    name: str
    declared: tuple[Table, ...]
    strangers: tuple[str, ...]

    @property
    def source(self) -> str:
        return f"s{self.number}"


def value(column: int, row: int) -> str:
    """What the column with this number holds in a row."""
    return f"column {column} row {row}"


def random_schema(seed: int) -> Schema:
    """The schema of a seed."""
    random = Random(seed)
    name = f"{random.choice(['app', 'App', 'APP', '1app', '_app'])}_{seed}"
    if random.random() < 0.12:
        name = _schema_name(random, seed)
    tables = [random.choice(names.TABLES)]
    if random.random() < 0.3:
        second = (
            tables[0][:40] + random.choice(names.SUFFIXES) if random.random() < 0.5 else random.choice(names.TABLES)
        )
        tables += [second] if second not in tables else []
    strangers = [names.column_names(random, 1)[0]] if random.random() < 0.4 else []
    strangers += [tables[0].upper()] if random.random() < 0.2 else []
    return Schema(
        seed,
        name,
        tuple(_table(random, table) for table in tables),
        tuple(dict.fromkeys(other for other in strangers if other not in tables)),
    )


def _schema_name(random: Random, seed: int) -> str:
    hurting = names.column_names(random, 1)[0].encode()[:50].decode(errors="ignore")
    return f"{hurting}{seed}" if not hurting.startswith("pg_") else f"x{hurting}{seed}"


def _table(random: Random, name: str) -> Table:
    columns = tuple(names.column_names(random, random.randint(2, 7)))
    comments = tuple(names.comment(random) for _ in columns)
    return Table(name, columns, random.choice([0, 1, 1, 1, 2]), comments)


def create(connection: psycopg.Connection[Any], schema: Schema) -> None:
    """Make the schema with its tables, `ROWS` rows in each declared one."""
    connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema.name)))
    for table in schema.declared:
        relation = sql.Identifier(schema.name, table.name)
        columns = [sql.SQL("{} text").format(sql.Identifier(column)) for column in table.columns]
        key = [sql.SQL(", ").join(map(sql.Identifier, table.columns[: table.keys]))] if table.keys else []
        parts = [*columns, *(sql.SQL("primary key ({})").format(one) for one in key)]
        connection.execute(sql.SQL("create table {} ({})").format(relation, sql.SQL(", ").join(parts)))
        for row in range(ROWS):
            values = [value(number, row) for number in range(len(table.columns))]
            connection.execute(
                sql.SQL("insert into {} values ({})").format(relation, sql.SQL(", ").join(map(sql.Literal, values)))
            )
        for column, text in zip(table.columns, table.comments, strict=True):
            connection.execute(
                sql.SQL("comment on column {}.{} is {}").format(relation, sql.Identifier(column), sql.Literal(text))
            )
    for stranger in schema.strangers:
        connection.execute(
            sql.SQL("create table {} (id integer primary key)").format(sql.Identifier(schema.name, stranger))
        )


def relations(connection: psycopg.Connection[Any]) -> set[tuple[str, str]]:
    """Every relation that somebody made."""
    found = connection.execute(
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'"
        " and c.relkind in ('r', 'v', 'm', 'f', 'S')"
    ).fetchall()
    return {(schema, relation) for schema, relation in found}


def columns_by_place(connection: psycopg.Connection[Any], schema: str, table: str) -> dict[int, str]:
    """What the columns of a table are called now, by their number from 0."""
    found = connection.execute(
        "select a.attnum - 1, a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid"
        " join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname = %s and c.relname = %s and a.attnum > 0 order by 1",
        [schema, table],
    ).fetchall()
    return dict(found)
