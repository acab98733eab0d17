"""Local DMS on a disk without room, the real one: it waits, says so, and goes on by itself with every change once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.dms import control
from dms_assets.local_dms.postgres.source import SourceAddress
from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import rows
from tests.processes.small_disk import NoSmallDiskError, filled, small_disk

pytestmark = pytest.mark.postgres

WORDS = "The disk is full that holds"
INSERT = "insert into app.t select g, repeat(md5(g::text), 30) from generate_series(%s::int, %s::int) g"


OnDisk = tuple[Service, str, Path]


@contextmanager
def on_small_disk(home: Path, folder: str, address: SourceAddress) -> Iterator[OnDisk]:
    """A service with a task, one of whose folders is a disk of its own; skips where none can be mounted."""
    try:
        with small_disk(home / folder, 6) as disk, Service(home, address) as service:
            yield service, service.task("full"), disk
    except NoSmallDiskError as error:
        pytest.skip(str(error))


def said(service: Service) -> bool:
    return WORDS in (service.home / "log").read_text()


def all_there(service: Service, source: psycopg.Connection[Any]) -> bool:
    return folded(service.loads("full", "t"), service.changes("full", "t")) == rows(source, "t")


@pytest.fixture
def table(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute(INSERT, [1, 500])
    return source


@pytest.fixture
def small_landing(table: psycopg.Connection[Any], address: SourceAddress, tmp_path: Path) -> Iterator[OnDisk]:
    with on_small_disk(tmp_path, "buckets", address) as found:
        yield found


@pytest.fixture
def small_state(table: psycopg.Connection[Any], address: SourceAddress, tmp_path: Path) -> Iterator[OnDisk]:
    with on_small_disk(tmp_path, "state", address) as found:
        yield found


@pytest.mark.parametrize("room", [0, 16 << 10, 128 << 10])
def test_changes_wait_while_landing_is_full(table: psycopg.Connection[Any], small_landing: OnDisk, room: int) -> None:
    service, arn, disk = small_landing
    service.run(arn)
    with filled(disk, room):
        table.execute(INSERT, [501, 2500])
        until(lambda: said(service))
        assert service.describe(arn)["Status"] == "running"
        assert not all_there(service, table)
    until(lambda: all_there(service, table))
    assert [event for event in service.events() if WORDS in event], "it is an event of the task too"
    service.stop(arn)
    assert service.statistics(arn)["t"]["Inserts"] == 2000


def test_a_load_waits_while_landing_is_full(table: psycopg.Connection[Any], small_landing: OnDisk) -> None:
    service, arn, disk = small_landing
    with filled(disk, 16 << 10):
        service.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
        until(lambda: said(service))
        assert service.state(arn, "t") != "Table completed"
    service.loaded(arn)
    table.execute(INSERT, [501, 700])
    until(lambda: all_there(service, table))
    service.stop(arn)


def test_nothing_is_lost_while_the_state_cannot_be_written(table: psycopg.Connection[Any], small_state: OnDisk) -> None:
    service, arn, disk = small_state
    service.run(arn)
    with filled(disk, 0):
        # The journal of the state has some pages left to write over.
        for first in range(501, 10_000, 100):
            table.execute(INSERT, [first, first + 99])
            if said(service):
                break
            until(lambda: said(service) or service.changes("full", "t")[-1:] != [])
        until(lambda: said(service))
    table.execute("update app.t set note = 'after'")
    until(lambda: all_there(service, table))
    assert service.describe(arn)["Status"] == "running"
    service.stop(arn)
    count = table.execute("select count(*) from app.t").fetchone()
    assert count is not None
    counted = service.statistics(arn)["t"]
    assert (counted["Inserts"], counted["Updates"]) == (count[0] - 500, count[0])


def test_a_stop_while_the_state_cannot_be_written_comes_to_its_end(
    table: psycopg.Connection[Any], small_state: OnDisk, tmp_path: Path
) -> None:
    service, arn, disk = small_state
    service.run(arn)
    service.client.stop_replication_task(ReplicationTaskArn=arn)
    with filled(disk, 0):
        until(
            lambda: (
                "how it ended cannot be stored yet" in (tmp_path / "log").read_text()
                or service.describe(arn)["Status"] == "stopped"
            )
        )
    service.wait(arn, "replication_task_stopped")
    table.execute(INSERT, [501, 600])
    service.run(arn, "resume-processing")
    until(lambda: all_there(service, table))
    service.stop(arn)


def test_a_stop_while_landing_is_full_writes_what_was_there(
    table: psycopg.Connection[Any], small_landing: OnDisk
) -> None:
    """A new stream may begin behind it: a stop that comes before room does must wait for that a while."""
    service, arn, disk = small_landing
    service.run(arn)
    with filled(disk, 0):
        table.execute(INSERT, [501, 1500])
        until(lambda: said(service))
        service.client.stop_replication_task(ReplicationTaskArn=arn)
        time.sleep(1)
        assert service.describe(arn)["Status"] == "stopping"
    service.wait(arn, "replication_task_stopped")
    assert all_there(service, table)


def test_a_stop_that_cannot_write_what_was_there_fails_and_a_resume_brings_it(
    table: psycopg.Connection[Any], small_landing: OnDisk
) -> None:
    """As any other stop it would say that all is written, and a new stream would begin behind it."""
    service, arn, disk = small_landing
    service.run(arn)
    with filled(disk, 0):
        table.execute(INSERT, [501, 1500])
        until(lambda: said(service))
        with pytest.raises(control.TaskStateError, match="without having written all changes"):
            control.stop(service.client, "full")
        assert service.describe(arn)["Status"] == "failed"
        assert not all_there(service, table)
    service.run(arn, "resume-processing")
    until(lambda: all_there(service, table))
    service.stop(arn)
