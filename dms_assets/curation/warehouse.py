"""The run-time warehouse: one DuckDB file, which one process at a time can open."""

from __future__ import annotations

from pathlib import Path

import duckdb


class WarehouseBusyError(Exception):
    """Another process has the warehouse open."""


def open_warehouse(warehouse: Path) -> duckdb.DuckDBPyConnection:
    """A connection that reads and writes, in UTC; the file is made if it is not there.

    Raises WarehouseBusyError if another process has it open, duckdb.IOException if it cannot be opened else.
    """
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(warehouse))
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        raise WarehouseBusyError(
            f"another process has {warehouse} open ({error}); let its run end, or stop the other stack that uses this "
            "folder. To read, open the published copy, which is never locked"
        ) from error
    connection.execute("set TimeZone = 'UTC'")
    return connection


def open_published(published: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the read copy, in UTC. Raises FileNotFoundError while nothing was published."""
    if not published.is_file():
        raise FileNotFoundError(f"{published} is not there yet: it is made after the first build of curated tables")
    connection = duckdb.connect(str(published), read_only=True)
    connection.execute("set TimeZone = 'UTC'")
    return connection
