"""Tables too big to compare row by row: digests of buckets of their keys, computed where the rows are.

A row's digest is the MD5 of its comparable texts, each with its length; a bucket's is the count of its rows and the
sums of both halves of theirs, so that no order matters. The first digits of the digest of the key name the bucket.
PostgreSQL and DuckDB agree on all of this; MD5 is there to find faults, not to keep out who would make them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import duckdb

from dms_assets.model.names import quote
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.reconcile.comparable_text import source_text
from dms_assets.reconcile.normalisation import SOURCE_SESSION
from dms_assets.reconcile.postgres_columns import PostgresColumn
from dms_assets.reconcile.source_state import Condition, SourceSnapshot

BUCKET_DIGITS = 3
BUCKETS = 16**BUCKET_DIGITS
_HALF = 15
"""Hexadecimal digits of half a row's digest: 60 bits, a number that is positive everywhere."""

Digests = dict[int, tuple[int, int, int]]
"""Bucket -> rows, sum of the first halves, sum of the second halves; only buckets that have rows."""


def _row_text(texts: Sequence[str]) -> str:
    return " || ".join(f"coalesce(length({text}) || ':' || {text}, '-')" for text in texts)


def _source_md5(texts: Sequence[str]) -> str:
    return f"md5(convert_to({_row_text(texts)}, 'UTF8'))"


def _source_number(text: str, first: int, digits: int) -> str:
    return f"('x' || substr({text}, {first}, {digits}))::bit({4 * digits})::bigint"


def source_bucket(columns: Sequence[PostgresColumn], key: Sequence[str]) -> str:
    """PostgreSQL expression of a row's bucket, on the table's columns."""
    texts = {column.name: source_text(column) for column in columns}
    return _source_number(_source_md5([f"({texts[name]})" for name in key]), 1, BUCKET_DIGITS)


def in_buckets(key: Sequence[str], buckets: Collection[int]) -> Condition:
    """The condition that a row's key is in one of some buckets. Raises ValueError for no bucket."""
    if not buckets:
        raise ValueError("no bucket is named; leave the table out instead")
    listed = ", ".join(str(bucket) for bucket in sorted(buckets))
    return lambda columns: f"{source_bucket(columns, key)} in ({listed})"


def source_digests(snapshot: SourceSnapshot, table: TableMetadata, columns: Sequence[PostgresColumn]) -> Digests:
    """The digests of a table as a snapshot shows it: one sequential scan in the source, and a row for each bucket.

    Raises NoComparisonError for a type without a rule.
    """
    for setting in SOURCE_SESSION:
        snapshot.connection.execute(setting.encode())
    texts = ", ".join(f"{source_text(column)} as {quote(column.name)}" for column in columns)
    names = [quote(column.name) for column in columns]
    key = _source_number(_source_md5([quote(name) for name in table.key]), 1, BUCKET_DIGITS)
    halves = ", ".join(f"sum({_source_number('row_md5', first, _HALF)})::text" for first in (1, _HALF + 1))
    query = (
        # The offset keeps the planner from writing each text out wherever it is used.
        f"with texts as (select {texts} from {quote(table.name.schema)}.{quote(table.name.table)} offset 0),"
        f" hashed as (select {key} as bucket, {_source_md5(names)} as row_md5 from texts offset 0)"
        f" select bucket, count(*), {halves} from hashed group by bucket"
    )
    return _digests(snapshot.connection.execute(query.encode()).fetchall())


def curated_digests(connection: duckdb.DuckDBPyConnection, table: TableMetadata, query: str) -> Digests:
    """The digests of what a query of comparable texts gives in DuckDB."""
    names = [quote(column.name) for column in table.columns]
    halves = ", ".join(f"sum(('0x' || substr(row_md5, {first}, {_HALF}))::bigint)" for first in (1, _HALF + 1))
    rows = connection.execute(
        f"with hashed as (select {curated_bucket(table.key)} as bucket, md5({_row_text(names)}) as row_md5"
        f" from ({query})) select bucket, count(*), {halves} from hashed group by bucket"
    ).fetchall()
    return _digests(rows)


def curated_bucket(key: Sequence[str]) -> str:
    """DuckDB expression of a row's bucket, on columns of comparable texts."""
    return f"('0x' || substr(md5({_row_text([quote(name) for name in key])}), 1, {BUCKET_DIGITS}))::bigint"


def _digests(rows: Sequence[Sequence[Any]]) -> Digests:
    return {int(bucket): (int(count), int(first), int(second)) for bucket, count, first, second in rows}


def differing_buckets(one: Digests, other: Digests) -> dict[int, int]:
    """The buckets that differ, with the rows of the larger side."""
    none = (0, 0, 0)
    return {
        bucket: max(one.get(bucket, none)[0], other.get(bucket, none)[0])
        for bucket in one.keys() | other.keys()
        if one.get(bucket) != other.get(bucket)
    }
