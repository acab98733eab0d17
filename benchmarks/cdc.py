"""Changes against their limit: `python -m benchmarks.cdc [changes] [rounds]`.

Limit: the server decodes the same log to nothing, `SELECT count(*) FROM pg_logical_slot_peek_binary_changes(...)`,
measured between our runs. Ours: one cycle of the task's stream, to typed Parquet that is durable and visible, with
position and clock stored; "and slot moved" also lets the source forget its log.
"""

from __future__ import annotations

import sys
from typing import Any
from unittest import mock

import psycopg

from benchmarks.setting import FORMAT, TABLE, VALUES, context, database, peak_rss_mb, report, table_of, timed
from dms_assets.local_dms import stream as stream_module
from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.files.naming import ChangeNames
from dms_assets.local_dms.postgres.publication import create_publications
from dms_assets.local_dms.postgres.slot import exporting_slot
from dms_assets.local_dms.store import StreamState
from dms_assets.local_dms.stream import ChangeStream

SLOT = "benchmark"
PER_TRANSACTION = 50
ALL = 10**9
COUNT = (
    "select count(*), sum(length(data)) from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1', "
    "'binary', 'true', 'publication_names', %s)"
)


def workload(connection: psycopg.Connection[Any], rows: int, changes: int) -> None:
    """Transactions of 50 changes: 30 updates, 15 inserts, 5 deletes."""
    transactions = changes // PER_TRANSACTION
    connection.execute(
        f"""
        do $$ begin
        for t in 0..{transactions - 1} loop
            update {TABLE.table} set amount = amount + 1, updated_at = updated_at + interval '1 second'
                where event_id between 40 * (t % {rows // 80}) + 1 and 40 * (t % {rows // 80}) + 30;
            insert into {TABLE.table} select {VALUES}
                from generate_series({rows} + 15::bigint * t + 1, {rows} + 15::bigint * t + 15) g;
            delete from {TABLE.table} where event_id between {rows} - 5 * t - 4 and {rows} - 5 * t;
            commit;
        end loop; end $$"""
    )


def follow(made: TaskContext, state: StreamState, messages_at_once: int) -> None:
    with made.source.connect() as connection, made.source.connect_arrow() as arrow:
        names = ChangeNames(made.target.exists)
        ChangeStream(made, connection, arrow, state, names, messages_at_once).catch_up()


def main(changes: int = 1_000_000, rounds: int = 3) -> None:
    rows = 600_000
    with database(rows) as (source, connection, folder):
        table = table_of(connection)
        create_publications(connection, SLOT, [table])
        with exporting_slot(source, SLOT, temporary=False, timeout_s=60, stopped=lambda: False) as snapshot:
            state = StreamState(0, SLOT, "", 1, snapshot.lsn, 0, 1, {table.oid: (table.name, table.key)})
        workload(connection, rows, changes)
        connection.execute("checkpoint")
        limit: list[float] = []
        ours: dict[str, list[float]] = {"none": [], "gzip": []}
        for _ in range(rounds):
            limit.append(timed(lambda: connection.execute(COUNT, [SLOT, SLOT]).fetchone()))
            for compression, seconds in ours.items():
                made = context(source, folder, table, compression)
                with mock.patch.object(stream_module, "advance_slot"):
                    seconds.append(timed(lambda made=made: follow(made, state, ALL)))
                moved = sum(made.store.statistics("benchmark")[0][name] for name in ("Inserts", "Updates", "Deletes"))
                if moved != changes:
                    raise SystemExit(f"{moved:,} changes arrived instead of {changes:,}")
        made = context(source, folder, table, "none")
        acknowledged = timed(lambda: follow(made, state, 500_000))
        print(f"{changes:,} changes in transactions of {PER_TRANSACTION}. {FORMAT}")
        report("server decodes only", limit, limit, changes, inverse=True)
        for compression, seconds in ours.items():
            report(f"Local DMS, compression {compression}", seconds, limit, changes, inverse=True)
        report("Local DMS, none, and slot moved", [acknowledged], [min(limit)], changes, inverse=True)
        print(f"ratio: share of the limit's speed (owed: at least 0.25). Peak RSS of the process {peak_rss_mb()} MB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
