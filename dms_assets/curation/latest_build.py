"""Which build of the warehouse is the latest: one that another has followed must change nothing any more.

A build whose process is stopped for long counts as dead, and another one takes its place. When it goes on it holds
snapshots, and perhaps a copy, that are older than what is there. Every build therefore takes the next number before it
pins anything, and shows it whenever it is about to change what others see, while DuckDB's lock keeps all others out.
"""

from __future__ import annotations

import duckdb

from dms_assets.curation.source_views import PLATFORM_SCHEMA
from dms_assets.model.document_format import check_format
from dms_assets.model.names import quote

FORMAT = 1
"""Of the warehouse: its schemas, and the relations that the platform itself keeps there."""

_RELATION = f"{quote(PLATFORM_SCHEMA)}.{quote('latest_build')}"


class BuildOvertakenError(RuntimeError):
    """A build that another has followed."""

    def __init__(self, build: int, latest: int) -> None:
        super().__init__(
            f"build {build} of the warehouse was taken for dead and followed by build {latest}: it changes nothing any "
            "more, and nothing has to be done"
        )


def begin_build(connection: duckdb.DuckDBPyConnection) -> int:
    """The next number, which is the latest from now on.

    Raises DocumentFormatError for a warehouse that a newer release built, and leaves it as it is.
    """
    connection.execute(f"create schema if not exists {quote(PLATFORM_SCHEMA)}")
    connection.execute(f"create table if not exists {_RELATION} (number bigint, format bigint)")
    connection.execute(f"insert into {_RELATION} select 0, {FORMAT} where not exists (from {_RELATION})")
    ((found,),) = connection.execute(f"select format from {_RELATION}").fetchall()
    check_format(found, FORMAT, "the warehouse")
    connection.execute(f"update {_RELATION} set number = number + 1, format = {FORMAT}")
    return _latest(connection)


def check_latest(connection: duckdb.DuckDBPyConnection, build: int) -> None:
    """Raises BuildOvertakenError if another build has begun since."""
    latest = _latest(connection)
    if latest != build:
        raise BuildOvertakenError(build, latest)


def _latest(connection: duckdb.DuckDBPyConnection) -> int:
    ((number,),) = connection.execute(f"select number from {_RELATION}").fetchall()
    return int(number)
