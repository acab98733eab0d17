"""Kills, restarts, lost slots: nothing is lost, what comes again is the same, what cannot go on says why."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.failpoints import KILLED_STATUS
from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import rows

pytestmark = pytest.mark.postgres

Start = Callable[..., Service]


@pytest.fixture
def table(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    source.execute("create table app.t (id integer primary key, n numeric(10,2), note text)")
    source.execute("insert into app.t select g, g, 'row ' || g from generate_series(1, 500) g")
    return source


def _change(source: psycopg.Connection[Any], step: int) -> None:
    with source.transaction():
        source.execute("update app.t set n = n + %s where id %% 7 = %s", [step, step])
        source.execute("delete from app.t where id = %s", [100 + step])
        source.execute("insert into app.t values (%s, 1, 'new')", [1000 + step])
    source.execute("update app.t set id = id + 5000 where id = %s", [200 + step])


def _go_on(services: Start, arn: str, source: psycopg.Connection[Any], step: int) -> Service:
    service = services()
    assert service.describe(arn)["Status"] == "running"
    _change(source, step)
    service.stop(arn)
    return service


@pytest.mark.parametrize(
    ("failpoint", "redelivers"),
    [("local_dms.before_confirm", True), ("local_dms.between_files", True), ("local_dms.before_advance", False)],
)
def test_a_kill_between_write_and_confirm(
    services: Start, table: psycopg.Connection[Any], failpoint: str, redelivers: bool
) -> None:
    # The load publishes a file too: it is the first to pass the place between files.
    nth = 2 if failpoint.endswith("between_files") else 1
    service = services(f"{failpoint}=kill@{nth}")
    arn = service.task("kill")
    service.run(arn)
    fresh_start = service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"]
    _change(table, 1)
    assert service.killed() == KILLED_STATUS
    delivered = {row["dms_change_seq"] for row in service.changes("kill", "t")}
    assert delivered
    service = _go_on(services, arn, table, 2)
    changes = service.changes("kill", "t")
    again = len(changes) - len({row["dms_change_seq"] for row in changes})
    assert (again > 0) == redelivers
    assert (again == len(delivered)) == redelivers
    copies: dict[str, set[str]] = {}
    for row in changes:
        copies.setdefault(row["dms_change_seq"], set()).add(json.dumps(row, default=str))
    assert all(len(contents) == 1 for contents in copies.values())
    assert folded(service.loads("kill", "t"), changes) == rows(table, "t")
    assert service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"] == fresh_start


def test_a_clean_end_flushes_and_a_start_goes_on(services: Start, table: psycopg.Connection[Any]) -> None:
    service = services()
    arn = service.task("clean", CdcMaxBatchInterval=3600)
    service.run(arn)
    _change(table, 1)
    assert service.end() == 0
    assert service.changes("clean", "t")
    assert folded(service.loads("clean", "t"), service.changes("clean", "t")) == rows(table, "t")
    service = _go_on(services, arn, table, 2)
    changes = service.changes("clean", "t")
    assert len(changes) == len({row["dms_change_seq"] for row in changes})
    assert folded(service.loads("clean", "t"), changes) == rows(table, "t")


def test_a_stop_that_was_asked_for_while_the_task_began_survives_a_kill(
    services: Start, table: psycopg.Connection[Any]
) -> None:
    service = services()
    arn = service.task("stopping")
    service.run(arn)
    service.stop(arn)
    service.end()
    _change(table, 1)
    service = services("local_dms.before_confirm=kill@1")
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    service.client.stop_replication_task(ReplicationTaskArn=arn)
    assert service.killed() == KILLED_STATUS
    service = services()
    service.wait(arn, "replication_task_stopped")
    # What was there when it was asked to stop is written: a new stream would begin behind it.
    assert folded(service.loads("stopping", "t"), service.changes("stopping", "t")) == rows(table, "t")
    service.run(arn, "resume-processing")
    _change(table, 2)
    service.stop(arn)
    assert folded(service.loads("stopping", "t"), service.changes("stopping", "t")) == rows(table, "t")


def test_a_kill_during_the_load_loads_the_rest_as_a_reload(services: Start, table: psycopg.Connection[Any]) -> None:
    table.execute("create table app.u (id integer primary key)")
    table.execute("insert into app.u select generate_series(1, 10)")
    service = services("local_dms.during_load=kill@1")
    arn = service.task("mid")
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    assert service.killed() == KILLED_STATUS
    _change(table, 1)
    service = services()
    service.loaded(arn)
    _change(table, 2)
    service.stop(arn)
    assert all(row["FullLoadReloaded"] for row in service.statistics(arn).values())
    assert len(service.loads("mid", "u")) == 10
    assert folded(service.loads("mid", "t"), service.changes("mid", "t")) == rows(table, "t")


def test_resume_after_stop_keeps_the_stream_and_reload_target_begins_one(
    services: Start, table: psycopg.Connection[Any]
) -> None:
    service = services()
    arn = service.task("again")
    service.run(arn)
    first = service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"]
    service.stop(arn)
    _change(table, 1)
    service.run(arn, "resume-processing")
    service.stop(arn)
    assert service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"] == first
    assert service.describe(arn)["RecoveryCheckpoint"].startswith("checkpoint:V1#1#")
    assert folded(service.loads("again", "t"), service.changes("again", "t")) == rows(table, "t")
    service.run(arn, "reload-target")
    assert service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"] > first
    assert folded(service.loads("again", "t"), []) == rows(table, "t")
    service.stop(arn)


def _failure(service: Service, arn: str) -> str:
    until(lambda: service.describe(arn)["Status"] == "failed")
    return service.describe(arn)["LastFailureMessage"]


def test_a_missing_slot_fails_the_task(services: Start, table: psycopg.Connection[Any]) -> None:
    service = services()
    arn = service.task("slotless")
    service.run(arn)
    service.stop(arn)
    table.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    message = _failure(service, arn)
    assert "missing on the source" in message
    assert "reload-target" in message
    service.run(arn, "reload-target")
    service.stop(arn)


def test_another_database_is_never_a_silent_baseline(services: Start, table: psycopg.Connection[Any]) -> None:
    service = services()
    arn = service.task("restored")
    service.run(arn)
    service.stop(arn)
    service.end()
    with sqlite3.connect(service.home / "state" / "state.db") as state:
        (document,) = state.execute("select document from stream where task = ?", [arn]).fetchone()
        changed = json.dumps({**json.loads(document), "timeline": 7})
        state.execute("update stream set document = ? where task = ?", [changed, arn])
    service = services()
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    message = _failure(service, arn)
    assert "Stream broken (other timeline)" in message
    assert "timeline" in message


def test_wrong_credentials_fail_with_a_remedy_and_show_no_password(
    services: Start, table: psycopg.Connection[Any], address: SourceAddress
) -> None:
    service = services()
    arn = service.task("password")
    table.execute("drop role if exists reader")
    table.execute("create role reader login replication superuser password 'right'")
    source_arn = service.describe(arn)["SourceEndpointArn"]
    service.client.modify_endpoint(EndpointArn=source_arn, Username="reader", Password="right")
    service.test_connection(service.describe(arn)["ReplicationInstanceArn"], source_arn)
    table.execute("alter role reader password 'other'")
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    message = _failure(service, arn)
    assert "password authentication failed" in message
    assert "check the user name and password" in message
    assert "right" not in (service.home / "log").read_text()
    assert "Password" not in json.dumps(service.client.describe_endpoints()["Endpoints"], default=str)
    table.execute("drop role reader")


def test_an_open_transaction_is_named_when_a_slot_waits_for_it(
    services: Start, table: psycopg.Connection[Any], address: SourceAddress
) -> None:
    service = services()
    settings = {"FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING", "TransactionConsistencyTimeout": 1}}
    arn = service.task("blocked", settings=settings)
    with psycopg.connect(address.uri()) as other:
        other.execute("insert into app.t values (-1, 0, '')")
        service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
        message = _failure(service, arn)
        assert f"process {other.info.backend_pid}" in message
        other.rollback()


def test_a_second_process_on_the_state_is_refused(services: Start) -> None:
    service = services()
    second = subprocess.run(service.command(), capture_output=True, text=True, check=False, timeout=30)
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert str(service.process.pid if service.process else "") in second.stderr


def test_a_source_that_goes_away_for_a_moment(services: Start, table: psycopg.Connection[Any]) -> None:
    service = services()
    arn = service.task("moment")
    service.run(arn)
    ours = "application_name = 'local-dms' and pid <> pg_backend_pid()"

    def interrupted() -> bool:
        table.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
        return any("trying again" in message for message in service.events())

    until(interrupted)
    _change(table, 1)
    until(lambda: service.changes("moment", "t"))
    service.stop(arn)
    assert folded(service.loads("moment", "t"), service.changes("moment", "t")) == rows(table, "t")
