"""Full load against its limit: `python -m benchmarks.load [rows] [rounds]`.

Limit: `psql` COPY binary of the same table to nothing, measured between our runs. Ours: the task's own load, at an
exported snapshot, to typed Parquet that is durable and visible.
"""

from __future__ import annotations

import sys

from benchmarks.setting import FORMAT, context, database, peak_rss_mb, psql_copy, report, table_of, timed
from dms_assets.local_dms.context import TaskContext, now
from dms_assets.local_dms.load import load_table
from dms_assets.local_dms.postgres.catalog import SourceTable
from dms_assets.local_dms.postgres.reading import at_snapshot
from dms_assets.local_dms.postgres.slot import exporting_slot


def load(made: TaskContext, table: SourceTable) -> None:
    with (
        exporting_slot(made.source, "benchmark", temporary=True, timeout_s=60, stopped=made.stop.is_set) as snapshot,
        made.source.connect_arrow() as connection,
        at_snapshot(connection, snapshot.name),
    ):
        load_table(made, connection, table, now())


def main(rows: int = 1_000_000, rounds: int = 3) -> None:
    with database(rows) as (source, connection, folder):
        table = table_of(connection)
        limit: list[float] = []
        ours: dict[str, list[float]] = {"none": [], "gzip": []}
        psql_copy(source)
        for _ in range(rounds):
            limit.append(timed(lambda: psql_copy(source)))
            for compression, seconds in ours.items():
                made = context(source, folder, table, compression)
                seconds.append(timed(lambda made=made: load(made, table)))
        print(f"full load of {rows:,} rows. {FORMAT}")
        report("psql COPY binary > /dev/null", limit, limit, rows, inverse=False)
        for compression, seconds in ours.items():
            report(f"Local DMS, compression {compression}", seconds, limit, rows, inverse=False)
        print(f"ratio: times the limit (owed: at most 2.5). Peak RSS of the process {peak_rss_mb()} MB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
