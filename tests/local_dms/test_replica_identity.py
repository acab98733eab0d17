"""A captured table whose rows the log cannot name any more: the source goes on, and the table says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.local_dms.tables import OUR_MEMBERS
from dms_assets.model.failpoints import KILLED_STATUS
from tests.local_dms.conftest import GATE
from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import make, rows

pytestmark = pytest.mark.postgres

WITHIN_S = 10.0
QUICK: dict[str, Any] = {"CdcMinFileSize": 1}
LOSSES = {
    "nothing": (
        "alter table app.t replica identity nothing",
        "alter table app.t replica identity default",
        "REPLICA IDENTITY NOTHING",
    ),
    "no-key": (
        "alter table app.t drop constraint t_pkey",
        "alter table app.t add primary key (id)",
        "no primary key",
    ),
    "index-gone": (
        "drop index app.t_other",
        "alter table app.t replica identity default",
        "its replica identity is an index that does not hold the key, or is gone",
    ),
}
STATEMENTS = ("update app.t set note = 'changed' where id = 1", "delete from app.t where id = 2")


def _make(source: psycopg.Connection[Any], loss: str = "") -> None:
    make(source, "t", "u")
    if loss == "index-gone":
        source.execute("create unique index t_other on app.t (id)")
        source.execute("alter table app.t replica identity using index t_other")


def _told(service: Service, words: str) -> list[str]:
    return [message for message in service.events() if "Table app.t" in message and words in message]


def _refused(source: psycopg.Connection[Any], statement: str) -> bool:
    """Run a statement; whether PostgreSQL refuses it for want of an identity."""
    try:
        source.execute(statement.encode())
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        return "does not have a replica identity" in str(error)
    return False


@pytest.mark.parametrize("loss", LOSSES)
def test_a_table_that_loses_its_identity_harms_the_source_for_moments_and_says_so(
    shared: Service, source: psycopg.Connection[Any], loss: str
) -> None:
    _make(source, loss)
    name = f"lost-{loss}"
    arn = shared.task(name, **QUICK)
    shared.run(arn)
    source.execute("insert into app.t values (100, 'before')")
    until(lambda: shared.changes(name, "t"))
    spoil, restore, reason = LOSSES[loss]
    source.execute(spoil.encode())
    began = time.monotonic()
    # It takes place: the source's own statement is refused, and then it is not any more.
    assert _refused(source, STATEMENTS[0])
    until(lambda: not _refused(source, STATEMENTS[0]), WITHIN_S)
    assert time.monotonic() - began < WITHIN_S
    assert not _refused(source, STATEMENTS[1])
    until(lambda: shared.state(arn, "t") == "Table error")
    assert len(until(lambda: _told(shared, reason))) == 1
    assert "reload it (ReloadTables)" in _told(shared, reason)[0]
    assert "IdentityLost" not in shared.statistics(arn)["t"]
    # The others flow, and nothing of this one does.
    source.execute("update app.u set note = 'flows' where id = 1")
    source.execute("insert into app.t values (101, 'lost')")
    until(lambda: shared.changes(name, "u"))
    assert [row["id"] for row in shared.changes(name, "t")] == [100]
    assert shared.describe(arn)["Status"] == "running"
    assert shared.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 1
    # A reload alone would look right and lose updates: it is refused.
    shared.reload(arn, "t")
    until(lambda: len(_told(shared, reason)) == 2)
    assert shared.state(arn, "t") == "Table error"
    source.execute(restore.encode())
    shared.reload(arn, "t")
    until(lambda: shared.state(arn, "t") == "Table completed")
    before = len(shared.changes(name, "t"))
    source.execute("update app.t set note = 'after' where id = 3")
    source.execute("delete from app.t where id = 4")
    until(lambda: len(shared.changes(name, "t")) == before + 2)
    shared.stop(arn)
    assert folded(shared.loads(name, "t"), shared.changes(name, "t")) == rows(source, "t")
    assert folded(shared.loads(name, "u"), shared.changes(name, "u")) == rows(source, "u")
    # Nothing of it broke the stream: it goes on where it was.
    shared.run(arn, "resume-processing")
    shared.stop(arn)
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_an_identity_lost_while_the_task_was_stopped_is_found_when_it_goes_on(
    services: Callable[..., Service], source: psycopg.Connection[Any]
) -> None:
    _make(source)
    service = services()
    arn = service.task("asleep", **QUICK)
    service.run(arn)
    service.stop(arn)
    source.execute(LOSSES["nothing"][0].encode())
    assert _refused(source, STATEMENTS[0])
    service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    until(lambda: not _refused(source, STATEMENTS[0]), WITHIN_S)
    until(lambda: service.state(arn, "t") == "Table error")
    # It stays so over a restart of the service, until it is reloaded.
    service.end()
    service = services()
    assert not _refused(source, STATEMENTS[1])
    source.execute("update app.u set note = 'flows' where id = 1")
    until(lambda: service.changes("asleep", "u"))
    assert service.state(arn, "t") == "Table error"
    source.execute(LOSSES["nothing"][1].encode())
    service.reload(arn, "t")
    service.loaded(arn)
    service.stop(arn)
    assert folded(service.loads("asleep", "t"), []) == rows(source, "t")
    service.client.delete_replication_task(ReplicationTaskArn=arn)


@pytest.mark.parametrize("policy", ["SUSPEND_TABLE", "STOP_TASK"])
def test_a_kill_between_unpublishing_a_table_and_telling_it_leaves_it_to_be_told(
    services: Callable[..., Service], source: psycopg.Connection[Any], policy: str
) -> None:
    _make(source)
    service = services("local_dms.after_unpublishing=kill")
    arn = service.task("untold", settings={"ErrorBehavior": {"TableErrorPolicy": policy}}, **QUICK)
    service.run(arn)
    source.execute(LOSSES["nothing"][0].encode())
    assert _refused(source, STATEMENTS[0])
    assert service.killed() == KILLED_STATUS
    assert not _refused(source, STATEMENTS[0])
    service = services()
    until(lambda: _told(service, "REPLICA IDENTITY NOTHING") or service.describe(arn)["Status"] == "failed")
    if policy == "STOP_TASK":
        until(lambda: service.describe(arn)["Status"] == "failed")
        assert "REPLICA IDENTITY NOTHING" in service.describe(arn)["LastFailureMessage"]
        service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
        until(lambda: service.describe(arn)["Status"] == "running")
    assert service.state(arn, "t") == "Table error"
    assert service.statistics(arn)["t"].keys().isdisjoint(OUR_MEMBERS)
    # It is as any other table that lost its identity.
    source.execute(LOSSES["nothing"][1].encode())
    service.reload(arn, "t")
    until(lambda: service.state(arn, "t") == "Table completed")
    # Of a table, and where the policy is to stop, of the task.
    assert len(_told(service, "REPLICA IDENTITY NOTHING")) == (2 if policy == "STOP_TASK" else 1)
    service.stop(arn)
    assert folded(service.loads("untold", "t"), service.changes("untold", "t")) == rows(source, "t")
    service.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_loss_is_told_before_a_reload_that_was_asked_for_takes_the_table_up(
    services: Callable[..., Service], source: psycopg.Connection[Any], address: SourceAddress
) -> None:
    _make(source)
    service = services("local_dms.after_unpublishing=kill")
    arn = service.task("asked", **QUICK)
    service.run(arn)
    loaded = service.statistics(arn)["t"]["FullLoadStartTime"]
    with psycopg.connect(address.uri()) as other:
        # An open transaction keeps the reload waiting for its snapshot.
        other.execute("insert into app.u values (500, 'open')")
        service.reload(arn, "t")
        until(lambda: any("A reload waits for its snapshot" in message for message in service.events()))
        source.execute(LOSSES["nothing"][0].encode())
        assert service.killed() == KILLED_STATUS
        source.execute(LOSSES["nothing"][1].encode())
        other.commit()
    service = services()
    until(lambda: service.statistics(arn)["t"]["FullLoadStartTime"] > loaded)
    until(lambda: service.state(arn, "t") == "Table completed")
    assert len(_told(service, "REPLICA IDENTITY NOTHING")) == 1
    # Tables are looked at as before.
    source.execute("alter table app.u rename to other")
    until(lambda: service.state(arn, "u") == "Table error")
    assert not [message for message in service.events() if "cannot be looked at" in message]
    service.stop(arn)
    assert folded(service.loads("asked", "t"), []) == rows(source, "t")
    service.client.delete_replication_task(ReplicationTaskArn=arn)


def test_the_policy_to_stop_stops_the_task_once_the_source_is_free(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    _make(source)
    arn = shared.task("stops", settings={"ErrorBehavior": {"TableErrorPolicy": "STOP_TASK"}})
    shared.run(arn)
    source.execute(LOSSES["no-key"][0].encode())
    assert _refused(source, STATEMENTS[0])
    until(lambda: shared.describe(arn)["Status"] == "failed", WITHIN_S)
    assert "no primary key" in shared.describe(arn)["LastFailureMessage"]
    assert "TableErrorPolicy STOP_TASK" in shared.describe(arn)["LastFailureMessage"]
    assert not _refused(source, STATEMENTS[0])
    assert shared.state(arn, "t") == "Table error"
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_an_identity_that_changes_while_the_task_runs(shared: Service, source: psycopg.Connection[Any]) -> None:
    """Each change is read by what the log has with it, between transactions and inside of one."""
    source.execute("create table app.t (id integer primary key, note text, big text)")
    source.execute("alter table app.t alter big set storage external")
    source.execute("insert into app.t select g, 'row', repeat('x', 9000) from generate_series(1, 9) g")
    source.execute("create unique index other on app.t (id) include (note)")
    arn = shared.task("turns")
    shared.run(arn)
    source.execute("update app.t set note = 'default' where id = 1")
    with source.transaction():
        source.execute("update app.t set note = 'still default' where id = 2")
        source.execute("alter table app.t replica identity full")
        source.execute("update app.t set note = 'full' where id = 3")
        source.execute("delete from app.t where id = 4")
        source.execute("update app.t set id = 50 where id = 5")
    source.execute("alter table app.t replica identity using index other")
    source.execute("update app.t set note = 'index' where id = 6")
    source.execute("update app.t set id = 70 where id = 7")
    source.execute("alter table app.t replica identity default")
    source.execute("delete from app.t where id = 8")
    shared.stop(arn)
    images = [(row["Op"], row["id"], row["note"], row["big"] is not None) for row in shared.changes("turns", "t")]
    assert images == [
        ("U", 1, "default", False),
        ("U", 2, "still default", False),
        ("U", 3, "full", True),
        ("D", 4, "row", True),
        ("D", 5, "row", True),
        ("I", 50, "row", True),
        ("U", 6, "index", False),
        *(("D", 7, None, False), ("I", 70, "row", False)),
        ("D", 8, None, False),
    ]
    assert shared.state(arn, "t") == "Table completed"
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_log_of_inserts_becomes_a_table_when_it_has_a_key_and_is_reloaded(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    source.execute("create table app.t (id integer not null, note text)")
    source.execute("insert into app.t values (1, 'row'), (2, 'row')")
    arn = shared.task("grown", **QUICK)
    shared.run(arn)
    assert _told(shared, "no usable primary key (no primary key): only its inserts are captured")
    source.execute("alter table app.t add primary key (id)")
    shared.reload(arn, "t")
    until(lambda: shared.statistics(arn)["t"]["FullLoadReloaded"])
    shared.loaded(arn)
    source.execute("update app.t set note = 'changed' where id = 1")
    source.execute("update app.t set id = 3 where id = 2")
    until(lambda: len(shared.changes("grown", "t")) == 3)
    shared.stop(arn)
    assert [row["Op"] for row in shared.changes("grown", "t")] == ["U", "D", "I"]
    assert folded(shared.loads("grown", "t"), shared.changes("grown", "t")) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_an_identity_lost_while_a_first_load_runs_is_not_forgotten_by_its_end(
    limited: Service, tables: psycopg.Connection[Any]
) -> None:
    tables.execute("select pg_advisory_lock(%s)", [GATE])
    arn = limited.task("early", **QUICK)
    limited.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: limited.statistics(arn).get("slow", {}).get("TableState") == "Full load")
    tables.execute(LOSSES["nothing"][0].encode())
    assert _refused(tables, STATEMENTS[0])
    until(lambda: not _refused(tables, STATEMENTS[0]), WITHIN_S)
    assert limited.state(arn, "slow") == "Full load"
    tables.execute("select pg_advisory_unlock(%s)", [GATE])
    until(lambda: limited.loads("early", "t") and limited.state(arn, "slow") == "Table completed")
    until(lambda: limited.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 1)
    assert limited.state(arn, "t") == "Table error"
    # Lost again while it is reloaded: the load's end does not make it whole either.
    tables.execute(LOSSES["nothing"][1].encode())
    tables.execute("select pg_advisory_lock(%s)", [GATE])
    wanted = [{"SchemaName": "app", "TableName": table} for table in ("slow", "t")]
    limited.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=wanted)
    until(lambda: limited.state(arn, "t") == "Table is being reloaded")
    tables.execute(LOSSES["nothing"][0].encode())
    until(lambda: limited.state(arn, "t") == "Table error")
    tables.execute("select pg_advisory_unlock(%s)", [GATE])
    until(lambda: limited.state(arn, "slow") == "Table completed")
    assert limited.state(arn, "t") == "Table error"
    limited.stop(arn)
    limited.client.delete_replication_task(ReplicationTaskArn=arn)
