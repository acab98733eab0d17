"""The workload does every kind of work, counts what it committed, and leaves nothing half done."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.workload import Workload
from dms_assets.sample.workload_counts import WorkloadCounts, WorkloadTally

pytestmark = pytest.mark.postgres


def scalar(server: EmbeddedPostgres, query: str) -> int:
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


def test_every_kind_of_work_is_committed_within_seconds(sample: EmbeddedPostgres) -> None:
    audit = "select count(*) from probation.audit_event where action <> 'MISTAKE' and occurred_at > '2026-03-03'"
    touched = "select sum(touched) from probation.migrated_value"
    before = scalar(sample, touched)
    workload = Workload(sample.dsn, CommitGate(), sessions=4, rate=400, seed=3).start()
    deadline = time.monotonic() + 30
    while workload.counts().missing and time.monotonic() < deadline:
        assert workload.running
        time.sleep(0.05)
    counts = workload.stop()
    assert not counts.missing
    assert not workload.running
    # What is counted is what is there: nothing rolled back, nothing forgotten.
    assert scalar(sample, touched) - before == counts["awkward_value_touch"]
    assert scalar(sample, audit) >= counts["keyless_insert"] > 0
    assert scalar(sample, "select count(*) from probation.audit_event where action = 'MISTAKE'") == 0
    assert scalar(sample, "select count(*) from pg_stat_activity where application_name like 'workload-%'") == 0


def test_rate_is_kept(sample: EmbeddedPostgres) -> None:
    started = time.monotonic()
    with Workload(sample.dsn, CommitGate(), sessions=2, rate=40, seed=4) as workload:
        while workload.counts()["transactions"] < 30:
            time.sleep(0.02)
    assert 0.5 < time.monotonic() - started < 5


def test_what_stops_a_session_reaches_the_caller(sample: EmbeddedPostgres) -> None:
    workload = Workload(sample.dsn.replace("/probation", "/nowhere"), CommitGate()).start()
    with pytest.raises(psycopg.OperationalError, match="nowhere"):
        workload.stop()
    with pytest.raises(ValueError, match="above zero"):
        Workload(sample.dsn, CommitGate(), rate=0)


def test_counts_of_many_threads_add_up() -> None:
    tally = WorkloadTally()
    threads = [threading.Thread(target=lambda: [tally.add({"merge": 1}) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.counts()["merge"] == 2_000
    assert (tally.counts() - WorkloadCounts({"merge": 1_500}))["merge"] == 500
    assert "merge" not in tally.counts().missing
