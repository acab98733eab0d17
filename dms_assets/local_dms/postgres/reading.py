"""Reading rows and changes from a source as Arrow: the two queries of the data plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import adbc_driver_manager.dbapi
import psycopg
import pyarrow as pa
from psycopg import pq

from dms_assets.local_dms.column import SourceColumn, SourceOptions
from dms_assets.local_dms.decode.decoder import printed_in_loads
from dms_assets.local_dms.gaps import format_lsn
from dms_assets.local_dms.postgres.publication import publication_names
from dms_assets.model.names import TableName, quote

_BATCH_BYTES = 4 << 20
_PRINT_AT_ONCE = 500


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def _batches(connection: adbc_driver_manager.dbapi.Connection, query: str) -> Iterator[Iterator[pa.Array[Any]]]:
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})
        cursor.execute(query)
        reader = cursor.fetch_record_batch()
        yield _read(reader)


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.Array[Any]]:
    """The only column of each batch. What goes wrong behind the first one Arrow raises as errors of its own."""
    try:
        for batch in reader:
            if batch.num_rows:
                yield batch.column(0)
    except (OSError, pa.ArrowException) as error:
        raise adbc_driver_manager.OperationalError(
            str(error), status_code=adbc_driver_manager.AdbcStatusCode.IO
        ) from error


@contextmanager
def at_snapshot(connection: adbc_driver_manager.dbapi.Connection, snapshot: str) -> Iterator[None]:
    """Everything read inside the context is as of an exported snapshot."""
    with connection.cursor() as cursor:
        cursor.execute("begin transaction isolation level repeatable read read only")
        cursor.execute(f"set transaction snapshot {_literal(snapshot)}")
        yield
        cursor.execute("commit")


@contextmanager
def table_rows(
    connection: adbc_driver_manager.dbapi.Connection,
    table: TableName,
    columns: Sequence[SourceColumn],
    options: SourceOptions,
) -> Iterator[Iterator[pa.Array[Any]]]:
    """All rows of a table as `record_send` values, in batches of some megabytes.

    Columns without a decoder, and numbers that become text, are printed by PostgreSQL, with the type's own output
    function.
    """
    expressions = [
        f"pg_catalog.textin({column.type.output}({quote(column.name)})) as {quote(column.name)}"
        if printed_in_loads(column, options)
        else quote(column.name)
        for column in columns
    ]
    rows = f"select {', '.join(expressions)} from {quote(table.schema)}.{quote(table.table)}"
    with _batches(connection, f"select pg_catalog.record_send(r) from ({rows}) r") as batches:
        yield batches


@contextmanager
def log_messages(
    connection: adbc_driver_manager.dbapi.Connection, slot: str, upto_lsn: int, upto_messages: int | None
) -> Iterator[Iterator[pa.Array[Any]]]:
    """pgoutput's messages from the slot's position to `upto_lsn`, whole transactions; the slot stays where it is.

    With `upto_messages` PostgreSQL stops after the transaction that reaches this count.
    """
    publications = ",".join(quote(name) for name in publication_names(slot))
    query = (
        "select data from pg_catalog.pg_logical_slot_peek_binary_changes("
        f"{_literal(slot)}, {_literal(format_lsn(upto_lsn))}, {upto_messages or 'null'}, 'proto_version', '1', "
        f"'binary', 'true', 'publication_names', {_literal(publications)})"
    )
    with _batches(connection, query) as batches:
        yield batches


def print_values(connection: psycopg.Connection[Any], type_oid: int, output: str, values: list[bytes]) -> list[str]:
    """Binary values of a type as the text PostgreSQL prints for them; never NULL."""
    texts: list[str] = []
    for first in range(0, len(values), _PRINT_AT_ONCE):
        part = values[first : first + _PRINT_AT_ONCE]
        marks = ", ".join(f"pg_catalog.textin({output}(${n}))" for n in range(1, len(part) + 1))
        result = connection.pgconn.exec_params(
            f"select {marks}".encode(), part, [type_oid] * len(part), [1] * len(part), 0
        )
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise psycopg.OperationalError(f"the source cannot print its own values: {result.get_error_message()}")
        texts += [(result.get_value(0, place) or b"").decode() for place in range(len(part))]
    return texts
