"""Reloads beside the stream: changes go on, requests are not lost, one table's error is that table's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.failpoints import KILLED_STATUS
from dms_assets.model.sequence import boundary_sequence
from tests.local_dms.conftest import GATE
from tests.local_dms.service import Service, folded, mappings, until
from tests.local_dms.source_tables import rows

pytestmark = pytest.mark.postgres

QUICK: dict[str, Any] = {"CdcMinFileSize": 1}


def test_changes_flow_while_a_reload_runs_and_a_second_request_is_another_load(
    limited: Service, tables: psycopg.Connection[Any]
) -> None:
    arn = limited.task("beside", **QUICK)
    limited.run(arn)
    tables.execute("update app.slow set note = 'before the boundary' where id = 1")
    tables.execute("select pg_advisory_lock(%s)", [GATE])
    limited.reload(arn, "slow")
    until(lambda: limited.state(arn, "slow") == "Table is being reloaded")
    first = limited.statistics(arn)["slow"]["FullLoadStartTime"]
    tables.execute("update app.slow set note = 'after the boundary' where id = 2")
    tables.execute("update app.t set note = 'other' where id = 3")
    until(lambda: limited.changes("beside", "t"))
    until(lambda: len(limited.changes("beside", "slow")) == 2)
    assert limited.state(arn, "slow") == "Table is being reloaded"
    sequences = {row["note"]: row["dms_change_seq"] for row in limited.changes("beside", "slow")}
    assert sequences["before the boundary"] < boundary_sequence(first) <= sequences["after the boundary"]
    # Asked for while the load runs: its snapshot does not have what came since.
    limited.reload(arn, "slow")
    tables.execute("select pg_advisory_unlock(%s)", [GATE])
    until(lambda: limited.statistics(arn)["slow"]["FullLoadStartTime"] > first)
    limited.loaded(arn)
    limited.stop(arn)
    boundary = boundary_sequence(limited.statistics(arn)["slow"]["FullLoadStartTime"])
    after = [row for row in limited.changes("beside", "slow") if row["dms_change_seq"] >= boundary]
    assert after == []
    assert folded(limited.loads("beside", "slow"), after) == rows(tables, "slow")
    limited.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_stop_during_a_reload_loads_the_table_when_it_goes_on(
    limited: Service, tables: psycopg.Connection[Any]
) -> None:
    arn = limited.task("halted", **QUICK)
    limited.run(arn)
    first = limited.statistics(arn)["slow"].get("FullLoadStartTime")
    tables.execute("select pg_advisory_lock(%s)", [GATE])
    limited.reload(arn, "slow")
    until(lambda: limited.state(arn, "slow") == "Table is being reloaded")
    limited.client.stop_replication_task(ReplicationTaskArn=arn)
    tables.execute("select pg_advisory_unlock(%s)", [GATE])
    limited.wait(arn, "replication_task_stopped")
    tables.execute("update app.t set note = 'meanwhile' where id = 1")
    limited.run(arn, "resume-processing")
    assert limited.statistics(arn)["slow"]["FullLoadStartTime"] > first
    limited.stop(arn)
    assert folded(limited.loads("halted", "slow"), []) == rows(tables, "slow")
    assert folded(limited.loads("halted", "t"), limited.changes("halted", "t")) == rows(tables, "t")
    limited.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_stop_while_a_reload_waits_for_its_snapshot_writes_what_is_there(
    shared: Service, source: psycopg.Connection[Any], address: SourceAddress
) -> None:
    """A new stream may follow, and begins behind it."""
    for table in ("t", "u"):
        source.execute(f"create table app.{table} (id integer primary key, note text)".encode())
    arn = shared.task("unread")
    shared.run(arn)
    with psycopg.connect(address.uri()) as other:
        other.execute("insert into app.t values (1, 'open')")
        shared.reload(arn, "t")
        until(lambda: source.execute("select from pg_replication_slots where temporary").fetchone() is not None)
        source.execute("insert into app.u values (1, 'while it waits')")
        shared.stop(arn)
        assert [row["note"] for row in shared.changes("unread", "u")] == ["while it waits"]
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_stop_writes_commits_that_did_not_wait_for_the_disk(shared: Service, source: psycopg.Connection[Any]) -> None:
    source.execute("create table app.t (id integer primary key)")
    arn = shared.task("async")
    shared.run(arn)
    source.execute("set synchronous_commit = off")
    for number in range(5):
        source.execute("insert into app.t values (%s)", [number])
        shared.stop(arn)
        assert [row["id"] for row in shared.changes("async", "t")] == list(range(number + 1))
        shared.run(arn, "resume-processing")
    shared.stop(arn)
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_stop_during_the_first_load_writes_what_is_there(limited: Service, tables: psycopg.Connection[Any]) -> None:
    arn = limited.task("early")
    tables.execute("select pg_advisory_lock(%s)", [GATE])
    limited.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: limited.state(arn, "slow") == "Full load")
    tables.execute("update app.t set note = 'during the load' where id = 1")
    limited.client.stop_replication_task(ReplicationTaskArn=arn)
    tables.execute("select pg_advisory_unlock(%s)", [GATE])
    limited.wait(arn, "replication_task_stopped")
    assert [row["note"] for row in limited.changes("early", "t")] == ["during the load"]
    limited.run(arn, "resume-processing")
    limited.stop(arn)
    for table in ("slow", "t"):
        # The load is a later one, and begins after all changes that were written.
        assert folded(limited.loads("early", table), []) == rows(tables, table)
    limited.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_table_that_cannot_be_loaded_is_suspended_and_a_reload_resumes_it(
    limited: Service, tables: psycopg.Connection[Any]
) -> None:
    tables.execute("revoke select on app.slow from loader")
    arn = limited.task("suspended", **QUICK)
    limited.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: limited.state(arn, "t") == "Table completed")
    assert limited.state(arn, "slow") == "Table error"
    assert limited.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 1
    told = [message for message in limited.events() if "Table app.slow" in message]
    assert "permission denied for table slow" in told[-1]
    assert "reload it (ReloadTables)" in told[-1]
    tables.execute("update app.slow set note = 'left out' where id = 1")
    tables.execute("update app.t set note = 'flows' where id = 1")
    until(lambda: limited.changes("suspended", "t"))
    assert limited.describe(arn)["Status"] == "running"
    # A restart of the task leaves it suspended: only a reload makes up for what was left out.
    limited.stop(arn)
    limited.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    limited.wait(arn, "replication_task_running")
    assert limited.state(arn, "slow") == "Table error"
    tables.execute("grant select on app.slow to loader")
    limited.reload(arn, "slow")
    until(lambda: limited.state(arn, "slow") == "Table completed")
    tables.execute("update app.slow set note = 'flows again' where id = 2")
    until(lambda: limited.changes("suspended", "slow"))
    limited.stop(arn)
    changes = limited.changes("suspended", "slow")
    assert [row["note"] for row in changes] == ["flows again"]
    assert folded(limited.loads("suspended", "slow"), changes) == rows(tables, "slow")
    limited.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_change_that_cannot_be_written_suspends_its_table_and_no_other(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute("create table app.u (id integer primary key, note text)")
    arn = shared.task("collides", **QUICK)
    shared.run(arn)
    source.execute("insert into app.t values (1, 'good')")
    until(lambda: shared.changes("collides", "t"))
    # A column with the name of one that the mappings add.
    source.execute("alter table app.t add dms_change_seq text")
    with source.transaction():
        source.execute("insert into app.u values (1, 'good')")
        source.execute("insert into app.t values (2, 'left out')")
    until(lambda: shared.changes("collides", "u"))
    until(lambda: shared.state(arn, "t") == "Table error")
    assert [row["id"] for row in shared.changes("collides", "t")] == [1]
    assert shared.describe(arn)["Status"] == "running"
    source.execute("alter table app.t drop dms_change_seq")
    shared.reload(arn, "t")
    until(lambda: shared.state(arn, "t") == "Table completed")
    source.execute("insert into app.t values (3, 'good')")
    until(lambda: len(shared.changes("collides", "t")) == 2)
    shared.stop(arn)
    assert folded(shared.loads("collides", "t"), shared.changes("collides", "t")) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


@pytest.mark.parametrize(
    ("policy", "status", "state"), [("SUSPEND_TABLE", "running", "Table error"), ("STOP_TASK", "failed", "")]
)
def test_the_policy_for_truncation_decides(
    shared: Service, source: psycopg.Connection[Any], policy: str, status: str, state: str
) -> None:
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute("create table app.u (id integer primary key, note text)")
    name = f"cut-{policy[:4].lower()}"
    settings = {"TargetMetadata": {"LobMaxSize": 1}, "ErrorBehavior": {"DataTruncationErrorPolicy": policy}}
    arn = shared.task(name, settings=settings, **QUICK)
    shared.run(arn)
    source.execute("insert into app.t values (1, repeat('x', 2000))")
    source.execute("insert into app.u values (1, 'short')")
    until(lambda: shared.describe(arn)["Status"] == status and (not state or shared.state(arn, "t") == state))
    assert not shared.changes(name, "t")
    assert any("LobMaxSize (1 KB)" in message for message in shared.events())
    if status == "running":
        until(lambda: shared.changes(name, "u"))
        shared.stop(arn)
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_stop_task_is_a_policy_too(limited: Service, tables: psycopg.Connection[Any]) -> None:
    tables.execute("revoke select on app.slow from loader")
    arn = limited.task("strictly", settings={"ErrorBehavior": {"TableErrorPolicy": "STOP_TASK"}})
    limited.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: limited.describe(arn)["Status"] == "failed")
    assert "TableErrorPolicy STOP_TASK" in limited.describe(arn)["LastFailureMessage"]
    limited.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_task_whose_secret_is_gone_fails_with_the_reason(
    services: Callable[..., Service], source: psycopg.Connection[Any], address: SourceAddress
) -> None:
    source.execute("create table app.t (id integer primary key)")
    service = services()
    secret = service.home / "secrets" / "app__dms.json"
    secret.parent.mkdir(exist_ok=True)
    values = {"host": address.host, "port": address.port, "username": address.user, "password": address.password}
    secret.write_text(json.dumps({**values, "dbname": address.database}))
    arn = service.task("secretless")
    document = service.describe(arn)
    service.client.modify_endpoint(
        EndpointArn=document["SourceEndpointArn"],
        PostgreSQLSettings={
            "SecretsManagerSecretId": "app/dms",
            "SecretsManagerAccessRoleArn": "arn:aws:iam::1:role/r",
        },
    )
    service.test_connection(document["ReplicationInstanceArn"], document["SourceEndpointArn"])
    secret.unlink()
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: service.describe(arn)["Status"] == "failed", 5)
    assert "Secret app/dms does not exist" in service.describe(arn)["LastFailureMessage"]
    assert any("Secret app/dms does not exist" in message for message in service.events())


def test_an_idle_source_keeps_little_log(shared: Service, source: psycopg.Connection[Any]) -> None:
    """Only tables that are not captured change: the log is let go of all the same, while the task runs."""
    segment = 16 << 20
    source.execute("create table app.t (id integer primary key)")
    source.execute("create schema if not exists elsewhere")
    source.execute("create table if not exists elsewhere.noise (n integer)")
    arn = shared.task("idling")
    shared.run(arn)
    slot = f"local_dms_{arn.rsplit(':', 1)[-1].lower()}"
    held = "select pg_current_wal_lsn() - restart_lsn from pg_replication_slots where slot_name = %s"
    written = source.execute("select pg_current_wal_lsn() - '0/0'").fetchone()[0]  # type: ignore[index]
    for _ in range(6):
        source.execute("insert into elsewhere.noise values (1)")
        source.execute("select pg_switch_wal()")
    assert source.execute("select pg_current_wal_lsn() - '0/0'").fetchone()[0] - written >= 5 * segment  # type: ignore[index]
    deadline = time.monotonic() + 30
    while (kept := source.execute(held, [slot]).fetchone()[0]) >= 2 * segment:  # type: ignore[index]
        assert time.monotonic() < deadline, f"{kept} bytes of log are held"
        source.execute("checkpoint")
        time.sleep(0.1)
    shared.stop(arn)
    assert not shared.changes("idling", "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_reload_that_waits_for_an_open_transaction_lets_changes_through(
    shared: Service, source: psycopg.Connection[Any], address: SourceAddress
) -> None:
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute("create table app.u (id integer primary key, note text)")
    arn = shared.task("waits", settings={"FullLoadSettings": {"TransactionConsistencyTimeout": 1}}, **QUICK)
    shared.run(arn)
    with psycopg.connect(address.uri()) as other:
        other.execute("insert into app.t values (1, 'open')")
        shared.reload(arn, "t")
        until(lambda: any("A reload waits for its snapshot" in message for message in shared.events()))
        assert any(f"process {other.info.backend_pid}" in message for message in shared.events())
        source.execute("insert into app.u values (1, 'through')")
        until(lambda: shared.changes("waits", "u"))
        assert shared.describe(arn)["Status"] == "running"
        assert not shared.statistics(arn)["t"]["FullLoadReloaded"]
        other.commit()
    until(lambda: shared.statistics(arn)["t"]["FullLoadReloaded"])
    shared.loaded(arn)
    shared.stop(arn)
    assert folded(shared.loads("waits", "t"), []) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_table_that_is_added_is_loaded_on_resume_and_one_that_is_removed_is_left_out(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    for table in ("t", "u", "w"):
        source.execute(f"create table app.{table} (id integer primary key, note text)".encode())
        source.execute(f"insert into app.{table} values (1, 'row')".encode())
    without_w = _excluding("w")
    arn = shared.task("grows", table_mappings=without_w, **QUICK)
    shared.run(arn)
    first = shared.describe(arn)["ReplicationTaskStats"]["FreshStartDate"]
    source.execute("insert into app.w values (2, 'before it is declared')")
    shared.stop(arn)
    source.execute("insert into app.u values (2, 'not wanted any more')")
    source.execute("insert into app.t values (2, 'while stopped')")
    shared.client.modify_replication_task(ReplicationTaskArn=arn, TableMappings=_excluding("u"))
    shared.run(arn, "resume-processing")
    assert set(shared.statistics(arn)) == {"t", "w"}
    assert shared.describe(arn)["ReplicationTaskStats"]["FreshStartDate"] == first
    for table in ("t", "u", "w"):
        source.execute(f"insert into app.{table} values (3, 'after')".encode())
    until(lambda: shared.changes("grows", "w"))
    shared.stop(arn)
    assert [row["id"] for row in shared.loads("grows", "w")] == [1, 2]
    assert folded(shared.loads("grows", "w"), shared.changes("grows", "w")) == rows(source, "w")
    assert folded(shared.loads("grows", "t"), shared.changes("grows", "t")) == rows(source, "t")
    assert shared.changes("grows", "u") == []
    # Made anew under its name, it is another table: loaded again.
    source.execute("drop table app.w")
    source.execute("create table app.w (id integer primary key, note text)")
    source.execute("insert into app.w values (7, 'new')")
    shared.run(arn, "resume-processing")
    shared.stop(arn)
    assert folded(shared.loads("grows", "w"), []) == rows(source, "w")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


@pytest.mark.parametrize("place", ["local_dms.before_boundary", "local_dms.during_load"])
def test_a_kill_while_an_added_table_is_taken_in_leaves_it_to_be_loaded(
    services: Callable[..., Service], source: psycopg.Connection[Any], place: str
) -> None:
    for table in ("t", "w"):
        source.execute(f"create table app.{table} (id integer primary key, note text)".encode())
        source.execute(f"insert into app.{table} values (1, 'row')".encode())
    service = services()
    arn = service.task("grown", table_mappings=_excluding("w"), **QUICK)
    service.run(arn)
    service.stop(arn)
    service.client.modify_replication_task(ReplicationTaskArn=arn, TableMappings=mappings("app"))
    first = service.statistics(arn)["t"]["FullLoadStartTime"]
    service.end()
    service = services(f"{place}=kill")
    source.execute("insert into app.t values (2, 'meanwhile')")
    source.execute("insert into app.w values (2, 'meanwhile')")
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    assert service.killed() == KILLED_STATUS
    source.execute("insert into app.w values (3, 'while it was dead')")
    service = services()
    until(lambda: service.state(arn, "w") == "Table completed")
    source.execute("update app.w set note = 'after' where id = 1")
    until(lambda: any(row["Op"] == "U" for row in service.changes("grown", "w")))
    service.stop(arn)
    # Changes of before its load are there too, and lie before its boundary.
    boundary = boundary_sequence(service.statistics(arn)["w"]["FullLoadStartTime"].astimezone(UTC))
    later = [row for row in service.changes("grown", "w") if row["dms_change_seq"] >= boundary]
    assert len(later) < len(service.changes("grown", "w"))
    assert folded(service.loads("grown", "w"), later) == rows(source, "w")
    assert folded(service.loads("grown", "t"), service.changes("grown", "t")) == rows(source, "t")
    assert service.statistics(arn)["t"]["FullLoadStartTime"] == first
    service.client.delete_replication_task(ReplicationTaskArn=arn)


def _excluding(table: str) -> str:
    rule = {
        "rule-type": "selection",
        "rule-action": "exclude",
        "object-locator": {"schema-name": "app", "table-name": table},
    }
    return mappings("app", rule)
