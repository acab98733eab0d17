"""Full load and changes under writes, reload boundaries, identities, DDL: what arrives is what happened."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.landed_file import parse_key
from dms_assets.model.sequence import PATTERN, boundary_sequence
from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import rows

pytestmark = pytest.mark.postgres


@contextmanager
def writing(address: SourceAddress, sessions: int = 3) -> Iterator[list[int]]:
    """Sessions that change app.t as fast as they can; yields how many transactions each has committed."""
    ending, counts = threading.Event(), [0] * sessions

    def write(session: int) -> None:
        choice = random.Random(session)
        with psycopg.connect(address.uri(), autocommit=True) as connection:
            while not ending.is_set():
                key = choice.randrange(300) * sessions + session
                with connection.transaction(force_rollback=choice.random() < 0.1):
                    connection.execute("delete from app.t where id = %s", [key])
                    connection.execute("insert into app.t values (%s, %s, 'a')", [key, choice.random()])
                    connection.execute("update app.t set note = note || 'b' where id = %s", [key])
                    if choice.random() < 0.3:
                        connection.execute("update app.t set id = id + 1000000 where id = %s", [key])
                        connection.execute("delete from app.t where id = %s", [key + 2_000_000])
                        connection.execute("update app.t set id = id + 1000000 where id = %s", [key + 1_000_000])
                counts[session] += 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(sessions)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        ending.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def table(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    source.execute("create table app.t (id integer primary key, n numeric(10,4), note text)")
    source.execute("insert into app.t select g, g, 'row' from generate_series(1, 20000) g")
    return source


def test_load_and_changes_under_concurrent_writes(
    shared: Service, table: psycopg.Connection[Any], address: SourceAddress
) -> None:
    arn = shared.task("busy", CdcMinFileSize=50)
    with writing(address) as counts:
        until(lambda: sum(counts) > 50)
        before = sum(counts)
        shared.run(arn)
        during = sum(counts) - before
        until(lambda: len(shared.files("busy", "t", "2")) >= 2)
    shared.stop(arn)
    changes = shared.changes("busy", "t")
    assert during > 0
    assert folded(shared.loads("busy", "t"), changes) == rows(table, "t")
    sequences = [row["dms_change_seq"] for row in changes]
    assert sequences == sorted(set(sequences))
    assert all(PATTERN.fullmatch(sequence) for sequence in sequences)
    assert len({row["dms_stream_position"] for row in changes}) == len(changes)
    assert all(row["dms_change_seq"] == "" for row in shared.loads("busy", "t"))
    statistics = shared.statistics(arn)["t"]
    assert statistics["FullLoadRows"] == len(shared.loads("busy", "t"))
    for letter, member in (("I", "Inserts"), ("U", "Updates"), ("D", "Deletes")):
        assert statistics[member] == sum(row["Op"] == letter for row in changes) > 0
    keys = [str(path.relative_to(shared.bucket)) for path in shared.files("busy", "t")]
    assert all(parse_key(key, "busy") for key in keys)


def test_the_boundary_of_a_reload_is_exact(
    shared: Service, table: psycopg.Connection[Any], address: SourceAddress
) -> None:
    arn = shared.task("exact")
    shared.run(arn)
    tables = [{"SchemaName": "app", "TableName": "t"}]
    with writing(address) as counts:
        for _ in range(2):
            so_far = sum(counts)
            until(lambda so_far=so_far: sum(counts) > so_far + 100)
            started = shared.statistics(arn)["t"]["FullLoadStartTime"]
            shared.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=tables)
            until(lambda started=started: shared.statistics(arn)["t"]["FullLoadStartTime"] > started)
            shared.loaded(arn)
        so_far = sum(counts)
        until(lambda: sum(counts) > so_far + 50)
    shared.stop(arn)
    statistics = shared.statistics(arn)["t"]
    assert statistics["FullLoadReloaded"]
    at = statistics["FullLoadStartTime"].astimezone(UTC)
    assert at.microsecond % 10_000 == 0
    boundary = boundary_sequence(at)
    changes = shared.changes("exact", "t")
    before = [row for row in changes if row["dms_change_seq"] < boundary]
    after = [row for row in changes if row["dms_change_seq"] >= boundary]
    assert before
    assert after
    # In time too: no commit after the load is older than its start, but within a hundredth of a second.
    oldest = min(datetime.fromisoformat(row["dms_timestamp"]).replace(tzinfo=UTC) for row in after)
    assert oldest >= at - timedelta(milliseconds=10)
    loads = shared.loads("exact", "t")
    # The load is the state at the boundary: later changes lead from it to the source, and each is needed exactly once.
    assert folded(loads, after) == rows(table, "t")
    present = {row["id"] for row in loads}
    for row in after:
        # A writer's delete of a key that is absent makes no change, so every one must find its row.
        if row["Op"] == "I":
            assert row["id"] not in present
            present.add(row["id"])
        elif row["Op"] == "D":
            assert row["id"] in present
            present.discard(row["id"])
        else:
            assert row["id"] in present
    assert min(path.stat().st_mtime for path in shared.files("exact", "t", "LOAD")) >= at.timestamp()


def test_keys_that_swap_through_a_third(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("swap")
    shared.run(arn)
    with table.transaction():
        table.execute("insert into app.t values (-5, 5, 'inserted, then moved')")
        table.execute("update app.t set id = -6 where id = -5")
        table.execute("update app.t set id = -1 where id = 1")
        table.execute("update app.t set id = 1 where id = 2")
        table.execute("update app.t set id = 2 where id = -1")
    table.execute("update app.t set id = id + 100000")
    shared.stop(arn)
    changes = shared.changes("swap", "t")
    assert {row["Op"] for row in changes} == {"I", "D"}
    assert folded(shared.loads("swap", "t"), changes) == rows(table, "t")


def test_strict_writes_a_key_update_as_dms_does(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("strict", settings={"LocalDms": {"Strict": True}})
    shared.run(arn)
    table.execute("update app.t set id = -1 where id = 1")
    shared.stop(arn)
    assert [(row["Op"], row["id"]) for row in shared.changes("strict", "t")] == [("U", -1)]


def test_identities_and_large_values(shared: Service, source: psycopg.Connection[Any]) -> None:
    for name in ("keyed", "whole", "bare"):
        key = "" if name == "bare" else "primary key"
        source.execute(f"create table app.{name} (id integer {key}, big text, n integer)")
        source.execute(f"alter table app.{name} alter big set storage external")
        source.execute(f"insert into app.{name} values (1, repeat('x', 9000), 1), (2, 'y', 2), (3, 'z', 3)")
    source.execute("alter table app.whole replica identity full")
    arn = shared.task("identity")
    shared.run(arn)
    for name in ("keyed", "whole", "bare"):
        source.execute(f"update app.{name} set n = n + 10 where id = 1")
        source.execute(f"delete from app.{name} where id = 2")
        source.execute(f"insert into app.{name} values (4, 'w', 4)")
        source.execute(f"truncate app.{name}")
    source.execute("update app.whole set id = 30 where id = 3")
    shared.stop(arn)
    keyed, whole, bare = (shared.changes("identity", name) for name in ("keyed", "whole", "bare"))
    images = [
        [(row["Op"], row["id"], row["big"] and row["big"][:2], row["n"]) for row in rows]
        for rows in (keyed, whole, bare)
    ]
    assert images[0] == [("U", 1, None, 11), ("D", 2, None, None), ("I", 4, "w", 4)]
    assert images[1] == [("U", 1, "xx", 11), ("D", 2, "y", 2), ("I", 4, "w", 4)]
    assert len(whole[0]["big"]) == 9000
    assert images[2] == [("I", 4, "w", 4)]
    assert any("unchanged large value as null" in message for message in shared.events())
    assert any("app.bare has no usable primary key" in message for message in shared.events())


def test_a_new_column_begins_a_new_file(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("ddl", CdcMaxBatchInterval=3600)
    shared.run(arn)
    table.execute("insert into app.t values (-1, 1, 'before')")
    table.execute("alter table app.t add extra integer default 7, drop note")
    table.execute("insert into app.t (id, n, extra) values (-2, 1, 8)")
    shared.stop(arn)
    files = [pq.read_table(path) for path in shared.files("ddl", "t", "2")]
    assert [file.column_names[1:5] for file in files] == [
        ["dms_timestamp", "id", "n", "note"],
        ["dms_timestamp", "id", "n", "extra"],
    ]
    assert files[1].column("extra").to_pylist() == [8]


def test_a_lob_that_is_too_long_fails_the_task_when_asked(shared: Service, source: psycopg.Connection[Any]) -> None:
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute("insert into app.t values (1, repeat('é', 1000))")
    cut = shared.task("cut", settings={"TargetMetadata": {"LobMaxSize": 1}})
    shared.run(cut)
    shared.stop(cut)
    assert shared.loads("cut", "t")[0]["note"] == "é" * 512
    source.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
    strict = {"TargetMetadata": {"LobMaxSize": 1}, "ErrorBehavior": {"DataTruncationErrorPolicy": "STOP_TASK"}}
    arn = shared.task("long", settings=strict)
    shared.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: shared.describe(arn)["Status"] == "failed")
    assert "LobMaxSize (1 KB)" in shared.describe(arn)["LastFailureMessage"]
    assert not shared.files("long", "t")


def test_a_stop_does_not_wait_for_a_log_that_ends_within_a_record(
    shared: Service, table: psycopg.Connection[Any], address: SourceAddress
) -> None:
    arn = shared.task("cut-log", CdcMaxBatchInterval=3600)
    shared.run(arn)
    table.execute("update app.t set note = 'seen' where id = 1")
    ends = "select pg_current_wal_flush_lsn() - '0/0', pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()"
    with psycopg.connect(address.uri()) as writer:

        def cut() -> bool:
            writer.execute("update app.t set note = repeat(md5(random()::text), 20) where id = 2")
            return bool((found := table.execute(ends).fetchone()) and found[0] % 8192 == 0 and found[1])

        # The writer of the log writes whole pages of a transaction that goes on.
        until(cut)
        started = time.monotonic()
        shared.stop(arn)
        assert time.monotonic() - started < 5
    assert [row["note"] for row in shared.changes("cut-log", "t")] == ["seen"]


def test_an_idle_task_lets_the_source_forget_its_log(shared: Service, table: psycopg.Connection[Any]) -> None:
    table.execute("create schema if not exists elsewhere")
    table.execute("create table if not exists elsewhere.noise (n integer)")
    arn = shared.task("forgetful")
    shared.run(arn)
    confirmed = "select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = %s"
    slot = f"local_dms_{arn.rsplit(':', 1)[-1].lower()}"
    before = table.execute(confirmed, [slot]).fetchone()
    table.execute("insert into elsewhere.noise select generate_series(1, 1000)")
    until(lambda: table.execute(confirmed, [slot]).fetchone() > before)
    shared.stop(arn)
    assert not shared.changes("forgetful", "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
    assert table.execute(confirmed, [slot]).fetchone() is None
