"""The state of Local DMS as its first release left it, with a task that was stopped: the present one goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.slot import parse_lsn
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service, until

pytestmark = pytest.mark.postgres

STATE = Path(__file__).parent / "release_1" / "local_dms.sql"
TASK = "arn:aws:dms:eu-west-1:000000000000:task:MP4RW5AFM3HQ5TYWQIEYTJ4OIG"
SLOT = "local_dms_mp4rw5afm3hq5tywqieytj4oig"
LAST = "20261122191434230000000000000000003"
"""The last sequence that the first release wrote."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceAddress]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data") as server:
        info = server.connection_info
        yield SourceAddress(info.host, info.port, info.dbname, info.username, info.password)


@pytest.fixture
def source(address: SourceAddress) -> Iterator[psycopg.Connection[Any]]:
    """The source as the first release left it: what was captured, the slot and its publications."""
    with psycopg.connect(address.uri(), autocommit=True) as connection:
        connection.execute("create schema app")
        connection.execute("create table app.t (id integer primary key, note text)")
        connection.execute("insert into app.t values (1, 'captured'), (2, 'loaded'), (3, 'loaded'), (4, 'captured')")
        options = "publish_via_partition_root = true"
        connection.execute(
            f"create publication {SLOT} for table app.t with (publish = 'insert, update, delete', {options})".encode()
        )
        connection.execute(f"create publication {SLOT}_inserts with (publish = 'insert', {options})".encode())
        connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (SLOT,))
        yield connection


def _restore(state: Path, source: psycopg.Connection[Any], address: SourceAddress) -> None:
    """The stored state, of this source: a cluster's name, its positions and its table's number are its own."""
    query = """
        select system_identifier, (select confirmed_flush_lsn from pg_replication_slots where slot_name = %s)::text,
               'app.t'::regclass::oid
        from pg_control_system()
    """
    found = source.execute(query, (SLOT,)).fetchone()
    assert found is not None
    values = {
        "HOST": address.host,
        "PORT": address.port,
        "DATABASE": address.database,
        "USER": address.user,
        "PASSWORD": address.password,
        "SYSTEM": found[0],
        "DURABLE": parse_lsn(found[1]),
        "OID": found[2],
    }
    text = STATE.read_text(encoding="utf-8")
    for name, value in values.items():
        assert f"@{name}@" in text
        text = text.replace(f"@{name}@", str(value))
    state.mkdir(parents=True)
    with sqlite3.connect(state / "state.db") as database:
        database.executescript(text)


def test_a_stopped_task_goes_on_where_it_was(
    source: psycopg.Connection[Any], address: SourceAddress, tmp_path: Path
) -> None:
    _restore(tmp_path / "state", source, address)
    source.execute("insert into app.t values (5, 'while it was stopped')")
    source.execute("update app.t set note = 'while it was stopped' where id = 2")
    source.execute("delete from app.t where id = 3")
    with Service(tmp_path, address) as service:
        assert service.describe(TASK)["Status"] == "stopped"
        assert service.statistics(TASK)["t"]["FullLoadRows"] == 3
        service.client.start_replication_task(ReplicationTaskArn=TASK, StartReplicationTaskType="resume-processing")
        until(lambda: len(service.changes("old", "t")) >= 3)
        source.execute("insert into app.t values (6, 'while it ran')")
        until(lambda: len(service.changes("old", "t")) >= 4)
        service.stop(TASK)
        changes = sorted(service.changes("old", "t"), key=lambda row: row["dms_change_seq"])
        assert [(row["Op"], row["id"]) for row in changes] == [("I", 5), ("U", 2), ("D", 3), ("I", 6)]
        assert changes[0]["dms_change_seq"] > LAST, "behind what the first release wrote"
        assert service.files("old", "t", "LOAD") == [], "it is not loaded again"
        counts = service.statistics(TASK)["t"]
        assert (counts["Inserts"], counts["Updates"], counts["Deletes"]) == (3, 2, 1)
    with sqlite3.connect(tmp_path / "state" / "state.db") as database:
        (document,) = database.execute("select document from stream").fetchone()
    assert json.loads(document)["publications"], "what later releases remember is there now"
