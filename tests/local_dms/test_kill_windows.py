"""Kills where a task is started, stopped or deleted, where a stream begins, and where publications change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from botocore.exceptions import BotoCoreError

from dms_assets.local_dms.postgres.publication import publication_names
from dms_assets.local_dms.postgres.slot import slot_name
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.failpoints import KILLED_STATUS
from tests.local_dms.service import Service, folded, mappings, until
from tests.local_dms.source_tables import make, rows

pytestmark = pytest.mark.postgres

Start = Callable[..., Service]

WITHOUT_U = mappings(
    "app",
    {
        "rule-type": "selection",
        "rule-action": "exclude",
        "object-locator": {"schema-name": "app", "table-name": "u"},
    },
)
PUBLISHING = pytest.mark.parametrize("failpoint", ["local_dms.before_publishing", "local_dms.after_publishing"])


def _change(source: psycopg.Connection[Any], table: str, step: int) -> None:
    with source.transaction():
        source.execute(f"update app.{table} set note = 'step {step}' where id % 3 = {step % 3}".encode())
        source.execute(f"delete from app.{table} where id = {step}".encode())
        source.execute(f"insert into app.{table} values ({100 + step}, 'new')".encode())


def _start(service: Service, arn: str, kind: str) -> None:
    """Ask for a start; the service may die before it answers."""
    with suppress(BotoCoreError):
        service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType=kind)


def _stop_and_compare(service: Service, arn: str, source: psycopg.Connection[Any], name: str, *tables: str) -> None:
    service.stop(arn)
    for table in tables:
        assert folded(service.loads(name, table), service.changes(name, table)) == rows(source, table), table


def _left_on_source(source: psycopg.Connection[Any], arn: str) -> list[str]:
    """Slots and publications of a task that the source still has."""
    found = source.execute(
        "select slot_name::text from pg_replication_slots where slot_name = %s "
        "union all select pubname::text from pg_publication where pubname = any(%s)",
        [slot_name(arn), list(publication_names(slot_name(arn)))],
    )
    return [row[0] for row in found]


def _position(source: psycopg.Connection[Any], arn: str) -> int:
    """Where the slot of a task stands."""
    row = source.execute(
        "select (confirmed_flush_lsn - '0/0')::int8 from pg_replication_slots where slot_name = %s", [slot_name(arn)]
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_kill_before_the_first_stream_is_stored_begins_it_anew(
    services: Start, source: psycopg.Connection[Any]
) -> None:
    make(source, "t")
    service = services("local_dms.before_stream=kill")
    arn = service.task("first")
    _start(service, arn, "start-replication")
    assert service.killed() == KILLED_STATUS
    assert len(_left_on_source(source, arn)) == 3, "a slot and two publications"
    assert not service.files("first", "t")
    _change(source, "t", 1)
    service = services()
    service.wait(arn, "replication_task_running")
    service.loaded(arn)
    _change(source, "t", 2)
    _stop_and_compare(service, arn, source, "first", "t")
    assert not service.statistics(arn)["t"]["FullLoadReloaded"]
    assert len(_left_on_source(source, arn)) == 3


def test_a_task_that_never_had_a_stream_leaves_nothing_on_its_source_when_it_is_deleted(
    services: Start, source: psycopg.Connection[Any]
) -> None:
    make(source, "t")
    service = services("local_dms.before_stream=kill")
    arn = service.task("never")
    _start(service, arn, "start-replication")
    assert service.killed() == KILLED_STATUS
    source.execute("drop table app.t")
    service = services()
    until(lambda: service.describe(arn)["Status"] == "failed")
    assert len(_left_on_source(source, arn)) == 3
    service.client.delete_replication_task(ReplicationTaskArn=arn)
    assert _left_on_source(source, arn) == []


def test_a_kill_before_a_fresh_stream_is_stored_goes_on_with_it_and_not_with_the_old_one(
    services: Start, source: psycopg.Connection[Any]
) -> None:
    make(source, "t")
    service = services("local_dms.before_stream=kill@2")
    arn = service.task("fresh")
    service.run(arn)
    _change(source, "t", 1)
    service.stop(arn)
    first = service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"]
    old = _position(source, arn)
    changes = len(service.changes("fresh", "t"))
    source.execute("insert into app.t values (200, 'between the streams')")
    _start(service, arn, "reload-target")
    assert service.killed() == KILLED_STATUS
    assert _position(source, arn) > old, "another slot"
    _change(source, "t", 2)
    service = services()
    service.wait(arn, "replication_task_running")
    service.loaded(arn)
    _change(source, "t", 3)
    service.stop(arn)
    fresh = service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"]
    assert fresh > first
    assert len(service.loads("fresh", "t")) == 21, "two rows deleted, three new"
    later = service.changes("fresh", "t")[changes:]
    assert folded(service.loads("fresh", "t"), later) == rows(source, "t")


def test_a_start_goes_on_when_the_service_dies_while_its_slot_waits_for_a_transaction(
    services: Start, source: psycopg.Connection[Any], address: SourceAddress
) -> None:
    make(source, "t")
    service = services()
    arn = service.task("waits")
    with psycopg.connect(address.uri()) as other:
        other.execute("insert into app.t values (-1, 'open')")
        _start(service, arn, "start-replication")
        until(lambda: source.execute("select from pg_replication_slots where active").fetchone() is not None)
        assert service.process is not None
        service.process.kill()
        service.process.wait(30)
        service = services()
        until(lambda: any("goes on after a restart" in message for message in service.events()))
        until(lambda: any("trying again" in message for message in service.events()))
        other.commit()
    service.wait(arn, "replication_task_running")
    service.loaded(arn)
    _change(source, "t", 1)
    _stop_and_compare(service, arn, source, "waits", "t")


@pytest.mark.parametrize("reload", [False, True], ids=["first load", "reload"])
def test_a_kill_after_all_files_of_a_load_loads_again(
    services: Start, source: psycopg.Connection[Any], reload: bool
) -> None:
    make(source, "t")
    service = services(f"local_dms.after_load=kill@{1 + reload}")
    arn = service.task("loaded")
    _start(service, arn, "start-replication")
    if reload:
        service.wait(arn, "replication_task_running")
        service.loaded(arn)
        _change(source, "t", 1)
        until(lambda: service.changes("loaded", "t"))
        service.reload(arn, "t")
    assert service.killed() == KILLED_STATUS
    (file,) = service.files("loaded", "t", "LOAD")
    written = file.stat().st_mtime
    _change(source, "t", 2)
    service = services()
    service.wait(arn, "replication_task_running")
    service.loaded(arn)
    _change(source, "t", 3)
    _stop_and_compare(service, arn, source, "loaded", "t")
    statistics = service.statistics(arn)["t"]
    assert statistics["FullLoadReloaded"]
    assert statistics["FullLoadStartTime"].timestamp() > written, "its files are told from those of the one cut off"
    (file,) = service.files("loaded", "t", "LOAD")
    assert file.stat().st_mtime >= statistics["FullLoadStartTime"].timestamp()


def test_a_full_load_killed_after_its_files_loads_again(services: Start, source: psycopg.Connection[Any]) -> None:
    make(source, "t", "u")
    service = services("local_dms.after_load=kill@2")
    arn = service.task("only", "full-load")
    _start(service, arn, "start-replication")
    assert service.killed() == KILLED_STATUS
    assert service.files("only", "u")
    service = services()
    service.wait(arn, "replication_task_stopped")
    assert "FULL_LOAD_ONLY_FINISHED" in service.describe(arn)["StopReason"]
    for table in ("t", "u"):
        assert folded(service.loads("only", table), []) == rows(source, table)


@PUBLISHING
def test_a_kill_while_a_table_is_added(services: Start, source: psycopg.Connection[Any], failpoint: str) -> None:
    make(source, "t", "u")
    service = services(f"{failpoint}=kill")
    arn = service.task("adds", table_mappings=WITHOUT_U)
    service.run(arn)
    service.stop(arn)
    service.client.modify_replication_task(ReplicationTaskArn=arn, TableMappings=mappings())
    _start(service, arn, "resume-processing")
    assert service.killed() == KILLED_STATUS
    _change(source, "t", 1)
    _change(source, "u", 1)
    service = services()
    service.wait(arn, "replication_task_running")
    until(lambda: service.state(arn, "u") == "Table completed")
    _change(source, "u", 2)
    _stop_and_compare(service, arn, source, "adds", "t", "u")


@PUBLISHING
@pytest.mark.parametrize("first", [mappings(), WITHOUT_U], ids=["left out", "added"])
def test_a_selection_that_is_put_back_after_a_kill_while_it_changed(
    services: Start, source: psycopg.Connection[Any], address: SourceAddress, failpoint: str, first: str
) -> None:
    """The stop that the kill cut short brings the selection about; what is put back then is another change of it."""
    make(source, "t", "u")
    service = services(f"{failpoint}=kill")
    arn = service.task("back", table_mappings=first)
    service.run(arn)
    service.stop(arn)
    second = WITHOUT_U if first == mappings() else mappings()
    service.client.modify_replication_task(ReplicationTaskArn=arn, TableMappings=second)
    with psycopg.connect(address.uri()) as other:
        # The change of the publications waits, so that the stop is stored when it is killed.
        other.execute("lock table app.u in share update exclusive mode")
        _start(service, arn, "resume-processing")
        until(lambda: source.execute("select from pg_locks where not granted").fetchone() is not None)
        service.client.stop_replication_task(ReplicationTaskArn=arn)
    assert service.killed() == KILLED_STATUS
    service = services()
    service.wait(arn, "replication_task_stopped")
    service.client.modify_replication_task(ReplicationTaskArn=arn, TableMappings=first)
    _change(source, "t", 1)
    _start(service, arn, "resume-processing")
    service.wait(arn, "replication_task_running")
    _change(source, "t", 2)
    _change(source, "u", 3)
    _stop_and_compare(service, arn, source, "back", "t", *(["u"] if first == mappings() else []))


@PUBLISHING
def test_a_kill_while_a_table_without_a_key_is_taken_up_again(
    services: Start, source: psycopg.Connection[Any], failpoint: str
) -> None:
    """A table made anew, of whose log only inserts are: its reload goes on after the kill."""
    make(source, "t", "u")
    service = services(f"{failpoint}=kill")
    arn = service.task("anew")
    service.run(arn)
    _change(source, "t", 2)
    until(lambda: service.changes("anew", "t"))
    source.execute("drop table app.u")
    source.execute("create table app.u (id integer, note text)")
    source.execute("insert into app.u values (1, 'row')")
    until(lambda: service.state(arn, "u") == "Table error")
    service.reload(arn, "u")
    assert service.killed() == KILLED_STATUS
    _change(source, "t", 1)
    service = services()
    service.wait(arn, "replication_task_running")
    until(lambda: service.state(arn, "u") == "Table completed")
    source.execute("insert into app.u values (2, 'later')")
    _stop_and_compare(service, arn, source, "anew", "t", "u")


@PUBLISHING
def test_a_kill_while_a_table_that_lost_its_identity_is_unpublished(
    services: Start, source: psycopg.Connection[Any], failpoint: str
) -> None:
    make(source, "t", "u")
    service = services(f"{failpoint}=kill")
    arn = service.task("loses")
    service.run(arn)
    source.execute("alter table app.u replica identity nothing")
    assert service.killed() == KILLED_STATUS
    service = services()
    service.wait(arn, "replication_task_running")
    _change(source, "t", 1)

    def changed() -> bool:
        with suppress(psycopg.errors.ObjectNotInPrerequisiteState):
            _change(source, "u", 1)
            return True
        return False

    until(changed)
    assert service.state(arn, "u") == "Table error"
    source.execute("alter table app.u replica identity default")
    service.reload(arn, "u")
    until(lambda: service.state(arn, "u") == "Table completed")
    _change(source, "u", 2)
    _stop_and_compare(service, arn, source, "loses", "t", "u")


@pytest.mark.parametrize("kind", ["start-replication", "resume-processing", "reload-target"])
def test_a_kill_after_a_start_was_asked_for_starts(services: Start, source: psycopg.Connection[Any], kind: str) -> None:
    make(source, "t")
    first = kind == "start-replication"
    service = services(f"local_dms.after_start_asked=kill@{1 if first else 2}")
    arn = service.task("asked")
    if not first:
        service.run(arn)
        service.stop(arn)
    _change(source, "t", 1)
    _start(service, arn, kind)
    assert service.killed() == KILLED_STATUS
    service = services()
    service.wait(arn, "replication_task_running")
    service.loaded(arn)
    assert service.describe(arn)["ReplicationTaskStats"]["FreshStartDate"]
    _change(source, "t", 2)
    _stop_and_compare(service, arn, source, "asked", "t")


def test_a_kill_after_a_stop_was_asked_for_stops(services: Start, source: psycopg.Connection[Any]) -> None:
    make(source, "t")
    service = services("local_dms.after_stop_asked=kill")
    arn = service.task("asked")
    service.run(arn)
    _change(source, "t", 1)
    with suppress(BotoCoreError):
        service.client.stop_replication_task(ReplicationTaskArn=arn)
    assert service.killed() == KILLED_STATUS
    service = services()
    service.wait(arn, "replication_task_stopped")
    assert folded(service.loads("asked", "t"), service.changes("asked", "t")) == rows(source, "t")
    task = service.describe(arn)
    assert (task["Status"], task["StopReason"]) == ("stopped", "Stop Reason NORMAL")
    assert task["ReplicationTaskStats"]["StopDate"] >= task["ReplicationTaskStats"]["StartDate"]
    service.run(arn, "resume-processing")
    _change(source, "t", 2)
    _stop_and_compare(service, arn, source, "asked", "t")


def test_a_kill_after_a_deleted_task_was_forgotten_by_its_source(
    services: Start, source: psycopg.Connection[Any]
) -> None:
    make(source, "t")
    service = services("local_dms.after_forgetting=kill")
    arn = service.task("gone")
    service.run(arn)
    service.stop(arn)
    with suppress(BotoCoreError):
        service.client.delete_replication_task(ReplicationTaskArn=arn)
    assert service.killed() == KILLED_STATUS
    assert _left_on_source(source, arn) == []
    service = services()
    # Whoever would go on with it hears that changes are lost; to delete it again is enough.
    _start(service, arn, "resume-processing")
    until(lambda: service.describe(arn)["Status"] == "failed")
    assert "missing on the source" in service.describe(arn)["LastFailureMessage"]
    service.client.delete_replication_task(ReplicationTaskArn=arn)
    assert service.client.describe_replication_tasks()["ReplicationTasks"] == []
