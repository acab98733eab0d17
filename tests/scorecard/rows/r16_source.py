"""R16: what a capture does to its source: no statement fails, none waits for us, latency and kept log are told."""

from __future__ import annotations

import contextlib

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service, mappings, until
from tests.local_dms.source_load import Watch, control, felt, pgbench
from tests.scorecard.figure import Budget, Outcome, Row

SCALE = 5
KEPT_LIMIT_MB = 1_000


def measure(budget: Budget) -> Outcome:
    """pgbench alone, then beside the full load and the changes of its own tables."""
    seconds = 8 if budget.quick else 30
    with EmbeddedPostgres(budget.folder / "server" / "data") as postgres:
        info = postgres.connection_info
        address = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)
        pgbench(postgres, budget.folder / "init", "-i", "-q", "-s", str(SCALE))
        seen = control(postgres.dsn)
        with Service(budget.folder / "dms", address) as service:
            felt(postgres, budget.folder / "warm", 3, budget.seed)
            alone = felt(postgres, budget.folder / "alone", seconds, budget.seed)
            arn = service.task("bench", table_mappings=mappings("public"))
            with Watch(postgres.dsn) as watch, contextlib.ExitStack() as stack:
                service.client.start_replication_task(
                    ReplicationTaskArn=arn, StartReplicationTaskType="start-replication"
                )
                stack.callback(service.stop, arn)
                beside = felt(postgres, budget.folder / "beside", seconds, budget.seed)
                until(lambda: all(t["TableState"] == "Table completed" for t in service.statistics(arn).values()))
            statistics = service.statistics(arn)
    captured = sum(one["Updates"] + one["Inserts"] for one in statistics.values())
    loaded = sum(one["FullLoadRows"] for one in statistics.values())
    failed, kept = alone.failed + beside.failed, watch.kept / 1e6
    return Outcome(
        f"{failed} failed, {watch.blocked} blocked of {beside.transactions:,} transactions; p95 {alone.p95_ms:.1f} ms "
        f"alone, {beside.p95_ms:.1f} ms beside load and changes; kept log {kept:.0f} MB at the most",
        holds=failed == 0 and watch.blocked == 0 and kept < KEPT_LIMIT_MB,
        observed={
            "transactions beside the capture": beside.transactions,
            "rows loaded meanwhile": loaded,
            "changes captured meanwhile": captured,
            "looks for blocked statements": watch.looks,
            "a lock of ours is seen": seen,
        },
        seeds=[budget.seed],
    )


ROW = Row(
    "R16",
    "Load and capture beside a busy source: failed or blocked statements, latency, kept log",
    "0 failed, 0 blocked",
    100,
    35,
    measure,
    alone=True,
)
