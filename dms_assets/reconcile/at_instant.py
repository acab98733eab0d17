"""Compare a recorded state of a live source with curated as of that instant, except what is in doubt.

A snapshot taken at T is not exactly the commits up to T: a commit has its time before others see it. Keys that changed
around T are in doubt; they are left out, and named, to be compared again at a later instant.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.comparable_text import curated_text
from dms_assets.reconcile.compare import count_rows, fill_sides, relation_types, structure, verdict
from dms_assets.reconcile.comparison import TableComparison
from dms_assets.reconcile.digests import Digests, curated_bucket, curated_digests
from dms_assets.reconcile.keys import Key
from dms_assets.reconcile.source_state import SourceState

MOST_DOUBTFUL = 100_000
"""Keys in doubt that are kept to be compared again; more stay in doubt."""


@dataclass(frozen=True, slots=True)
class InstantComparison:
    """What is surely so at an instant, and what is in doubt: how many keys, and the first of them.

    `surely` counts all rows on both sides, and differences of keys that are not in doubt.

    `doubtful_buckets` are the buckets of all keys in doubt.
    """

    surely: TableComparison
    in_doubt: int
    keys: tuple[Key, ...] = ()
    doubtful_buckets: frozenset[int] = frozenset()


def compare_at_instant(
    connection: duckdb.DuckDBPyConnection,
    state: SourceState,
    source: str,
    table: TableMetadata,
    doubt: timedelta,
    *,
    keys: Sequence[Key] | None = None,
    buckets: Collection[int] | None = None,
) -> InstantComparison:
    """One table at `state.at`; only some keys or buckets of it, where given. `doubt` is the time on both sides of it.

    Rows of a table without a key are in doubt one by one, and only where they differ.
    """
    part = _part(connection, table, keys, buckets)
    wrong = fill_sides(connection, state, source, table, at=state.at, part=part)
    if wrong:
        return InstantComparison(TableComparison(table.name, state.at, state.rows[table.name], 0, structure=wrong), 0)
    _fill_doubt(connection, source, table, _around(state.at, doubt), part)
    if not table.key:
        found = verdict(connection, table, state.at, doubtful_rows=True)
        return InstantComparison(found, found.in_doubt)
    names = _names(table)
    source_rows, curated_rows = count_rows(connection, "source_side"), count_rows(connection, "curated_side")
    for side in ("source_side", "curated_side"):
        connection.execute(f"create or replace temp table {side} as from {side} anti join in_doubt using ({names})")
    doubtful = connection.execute(f"select {names} from in_doubt order by all limit {MOST_DOUBTFUL}").fetchall()
    touched = connection.execute(f"select distinct {curated_bucket(table.key)} from in_doubt").fetchall()
    return InstantComparison(
        replace(verdict(connection, table, state.at), source_rows=source_rows, curated_rows=curated_rows),
        count_rows(connection, "in_doubt"),
        tuple(doubtful),
        frozenset(bucket for (bucket,) in touched),
    )


def curated_digests_at(
    connection: duckdb.DuckDBPyConnection, source: str, table: TableMetadata, at: datetime
) -> tuple[Digests, tuple[str, ...]]:
    """The digests of a table's history as of an instant, and what is wrong with the relation, if anything is."""
    schema = warehouse_schema(source, table.name.schema, Layer.CURATED)
    relation = f"{table.name.table}_history"
    types = relation_types(connection, schema, relation)
    wrong = structure(table, types, f"{schema}.{relation}")
    if wrong:
        return {}, wrong
    texts = ", ".join(f"{curated_text(c.name, types[c.name])} as {quote(c.name)}" for c in table.columns)
    instant = f"timestamptz '{at.isoformat()}'"
    where = f"valid_from <= {instant} and {instant} < valid_to"
    query = f"select {texts} from {quote(schema)}.{quote(relation)} where {where}"
    return curated_digests(connection, table, query), ()


def doubtful_buckets(
    connection: duckdb.DuckDBPyConnection, source: str, table: TableMetadata, at: datetime, doubt: timedelta
) -> frozenset[int]:
    """The buckets that have a key in doubt at an instant."""
    _fill_doubt(connection, source, table, _around(at, doubt))
    rows = connection.execute(f"select distinct {curated_bucket(table.key)} from in_doubt").fetchall()
    return frozenset(bucket for (bucket,) in rows)


def big_tables(
    connection: duckdb.DuckDBPyConnection, source: str, tables: Sequence[TableMetadata], rows: int
) -> set[TableName]:
    """The tables with a key that have at least so many versions of rows, by DuckDB's own estimate."""
    estimates = {
        (schema, name): size
        for schema, name, size in connection.execute(
            "select schema_name, table_name, estimated_size from duckdb_tables()"
        ).fetchall()
    }
    return {
        table.name
        for table in tables
        if table.key
        and estimates.get(
            (warehouse_schema(source, table.name.schema, Layer.CURATED), f"{table.name.table}_versions"), 0
        )
        >= rows
    }


def _part(
    connection: duckdb.DuckDBPyConnection,
    table: TableMetadata,
    keys: Sequence[Key] | None,
    buckets: Collection[int] | None,
) -> str:
    """The condition on comparable texts for what is to be compared."""
    if keys is not None:
        columns = [pa.array(values, pa.string()) for values in zip(*keys, strict=True)]
        connection.register("given", pa.table(columns, names=list(table.key)))
        connection.execute("create or replace temp table compared as from given")
        connection.unregister("given")
        return f"({_names(table)}) in (select {_names(table)} from compared)"
    if buckets is not None:
        return f"{curated_bucket(table.key)} in ({', '.join(map(str, sorted(buckets)))})"
    return "true"


def _around(at: datetime, doubt: timedelta) -> tuple[datetime, datetime]:
    return (at - doubt, at + doubt)


def _names(table: TableMetadata) -> str:
    return ", ".join(map(quote, table.key))


def _fill_doubt(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    table: TableMetadata,
    window: tuple[datetime, datetime],
    part: str = "true",
) -> None:
    """The temporary table `in_doubt`: keys that changed in a window of time, or rows where there is no key."""
    schema = warehouse_schema(source, table.name.schema, Layer.CURATED)
    relation = f"{table.name.table}_versions"
    types = relation_types(connection, schema, relation)
    names = table.key or tuple(column.name for column in table.columns)
    texts = ", ".join(f"{curated_text(name, types[name])} as {quote(name)}" for name in names)
    connection.execute(
        f"create or replace temp table in_doubt as from (select distinct {texts} from {quote(schema)}.{quote(relation)}"
        f" where _op in ('I', 'U', 'D') and _commit_at between ? and ?) where {part}",
        window,
    )
