"""Questions to the read copy of the warehouse, as it is or as of an instant, and never anything but questions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from dms_assets.curation.as_of import as_of_sql
from dms_assets.curation.covered_instants import Covered, read_covered
from dms_assets.curation.generate import VERSIONS
from dms_assets.curation.history_columns import HistoryColumns
from dms_assets.model.names import Layer, SourceTable, TableName, quote, warehouse_schema

_PUBLISHED = "published"
_ASKING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


class NotPublishedError(FileNotFoundError):
    """There is no read copy yet."""


class QueryError(ValueError):
    """A question that cannot be answered: its SQL is wrong, it is no question, or it asks beyond what is known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows with their columns.

    `complete_to` is the instant (UTC) up to which every change of every table that was read is in; None if the
    question reads no table of a source, or nothing is known of one.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    complete_to: datetime | None


def answer(
    published: Path, sql: str, *, as_of: datetime | None = None, history: HistoryColumns | None = None
) -> Answer:
    """The answer to one SELECT (or EXPLAIN, DESCRIBE, SHOW, SUMMARIZE).

    With `as_of` (aware) every current view of a curated table shows what held at that instant; histories and versions
    stay as they are, and derived tables are refused. Nothing can be written, no file and no network be reached. Raises
    NotPublishedError, or QueryError.
    """
    if not published.is_file():
        raise NotPublishedError(
            f"{published} is not there yet: it is made after the first build of curated tables. Start the stack "
            "(`dms-assets dev`) or name its folder with --home"
        )
    name = published.stem
    with _opened(published, name if as_of is None else _PUBLISHED) as connection:
        known = _known(connection)
        if as_of is not None:
            _bind(connection, name, [*known], as_of, history or HistoryColumns())
        # Last: what comes after can undo neither.
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        return _ask(connection, sql, as_of, known)


@contextmanager
def _opened(published: Path, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory with the read copy beside it, to be read only, which is the one in use."""
    with tempfile.TemporaryDirectory(prefix="dms-assets-query-") as scratch:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": scratch,
        }
        connection = duckdb.connect(":memory:", config=config)
        try:
            connection.execute("set TimeZone = 'UTC'")
            path = str(published).replace("'", "''")
            connection.execute(f"attach '{path}' as {quote(name)} (read_only); use {quote(name)}")
            yield connection
        finally:
            connection.close()


def _known(connection: duckdb.DuckDBPyConnection) -> dict[SourceTable, Covered | None]:
    """Every curated table of the read copy, with how far it is complete."""
    covered = read_covered(connection)
    bound = connection.execute(
        "select source, table_schema, table_name from platform.pinned_snapshots where batch > 0"
    ).fetchall()
    return {(table := (source, TableName(schema, name))): covered.get(table) for source, schema, name in bound}


def _bind(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    tables: Sequence[SourceTable],
    as_of: datetime,
    history: HistoryColumns,
) -> None:
    """Use a database in memory, called as the warehouse is, that shows everything of the read copy under its own names,
    current views as of the instant.
    """
    stored = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
    ).fetchall()
    views = connection.execute(
        "select schema_name, view_name, sql from duckdb_views()"
        " where database_name = current_database() and not internal"
    ).fetchall()
    connection.execute(f"attach ':memory:' as {quote(name)}; use {quote(name)}")
    for schema in {schema for schema, *_ in (*stored, *views)}:
        connection.execute(f"create schema if not exists {quote(schema)}")
    for relation in (f"{quote(schema)}.{quote(table)}" for schema, table in stored):
        connection.execute(f"create view {relation} as from {_PUBLISHED}.{relation}")
    current = {(warehouse_schema(source, table.schema, Layer.CURATED), table.table) for source, table in tables}
    shown = [sql for schema, view, sql in views if (schema, view) not in current]
    _create_views(connection, [*shown, *(_as_of_view(connection, table, as_of, history) for table in tables)])


def _create_views(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    """Create views that may read one another, in whatever order that takes."""
    waiting = list(statements)
    while waiting:
        refused = []
        for statement in waiting:
            try:
                connection.execute(statement)
            except duckdb.CatalogException:
                refused.append(statement)
        if len(refused) == len(waiting):
            connection.execute(refused[0])
        waiting = refused


def _as_of_view(
    connection: duckdb.DuckDBPyConnection, table: SourceTable, as_of: datetime, history: HistoryColumns
) -> str:
    source, name = table
    schema = warehouse_schema(source, name.schema, Layer.CURATED)
    columns = connection.execute(
        "select column_name from duckdb_columns() where database_name = ? and schema_name = ? and table_name = ?"
        " order by column_index",
        [_PUBLISHED, schema, name.table],
    ).fetchall()
    held = as_of_sql(source, name, [column for (column,) in columns], as_of, history)
    return f"create view {quote(schema)}.{quote(name.table)} as {held}"


def _ask(
    connection: duckdb.DuckDBPyConnection, sql: str, as_of: datetime | None, known: Mapping[SourceTable, Covered | None]
) -> Answer:
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type not in _ASKING:
            raise QueryError("give one question: a single SELECT, EXPLAIN, DESCRIBE, SHOW or SUMMARIZE")
        read = _read_relations(connection, sql)
        tables = {table: covered for table, covered in known.items() if _versions(table) in read}
        derived = _derived_instants(connection, read)
        if as_of is not None:
            _refuse_unknown(connection, as_of, tables)
            _refuse_derived(as_of, derived)
        found = connection.execute(statements[0])
        columns = tuple(column[0] for column in found.description or ())
        rows = tuple(found.fetchall())
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    instants = [*(covered.complete_to if covered else None for covered in tables.values()), *derived.values()]
    told = [instant for instant in instants if instant is not None]
    return Answer(columns, rows, min(told).astimezone(UTC) if told and len(told) == len(instants) else None)


def _read_relations(connection: duckdb.DuckDBPyConnection, sql: str) -> set[tuple[str, ...]]:
    """Schema and name of the stored tables that a question reads, through views too."""
    names = {name.partition(" AS ")[0] for name in connection.get_table_names(sql, qualified=True)}
    # In which database depends on how the read copy is bound.
    return {tuple(name.split(".")[-2:]) for name in names}


def _versions(table: SourceTable) -> tuple[str, str]:
    source, name = table
    return warehouse_schema(source, name.schema, Layer.CURATED), name.table + VERSIONS


def _derived_instants(
    connection: duckdb.DuckDBPyConnection, read: set[tuple[str, ...]]
) -> dict[tuple[str, str], datetime | None]:
    """What each derived table that is read says it is of; None for an empty one."""
    derived = connection.execute(
        "select distinct schema_name, table_name from duckdb_columns()"
        f" where column_name = 'complete_to' and ends_with(schema_name, '_{Layer.DERIVED.value}')"
    ).fetchall()
    return {
        (schema, name): connection.execute(f"select min(complete_to) from {quote(schema)}.{quote(name)}").fetchall()[0][
            0
        ]
        for schema, name in derived
        if (schema, name) in read
    }


def _refuse_derived(as_of: datetime, derived: Mapping[tuple[str, str], datetime | None]) -> None:
    """A derived table is of the instant it was built as of, and of no other."""
    for (schema, name), instant in derived.items():
        if instant is not None and instant != as_of:
            raise QueryError(
                f"{schema}.{name} is derived, and as of {instant.astimezone(UTC).isoformat()}; it cannot answer as of "
                "another instant: ask the curated tables, or leave --as-of out"
            )


def _refuse_unknown(
    connection: duckdb.DuckDBPyConnection, as_of: datetime, tables: Mapping[SourceTable, Covered | None]
) -> None:
    """Before its first load nothing is known of a table, and after the instant it is complete to, not everything."""
    for (source, name), covered in tables.items():
        if covered is None or as_of > covered.complete_to:
            told = covered.complete_to.astimezone(UTC).isoformat() if covered else "no instant yet"
            raise QueryError(
                f"{name} of source {source} is complete to {told} only; ask as of that instant or an earlier one"
            )
        schema, versions = _versions((source, name))
        first = connection.execute(
            f"select min(_commit_at) from {quote(schema)}.{quote(versions)} where _op = 'LOAD'"
        ).fetchall()[0][0]
        if first is None or as_of < first:
            told = first.astimezone(UTC).isoformat() if first else "is not there yet"
            raise QueryError(f"{name} of source {source} is known from its first load on ({told}), not before")
