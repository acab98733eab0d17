"""Tables that are emptied, dropped or made anew while their task runs: what is told, and what a reload does."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import make, rows

pytestmark = pytest.mark.postgres


def test_tables_truncated_together_and_by_cascade_keep_their_rows_until_a_reload(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    make(source, "t", "u", "parent", count=5)
    source.execute("create table app.child (id integer primary key, note text, of integer references app.parent)")
    source.execute("insert into app.child values (1, 'row', 1), (2, 'row', 2)")
    arn = shared.task("emptied")
    shared.run(arn)
    names = ("t", "u", "parent", "child")
    landed = {name: shared.files("emptied", name) for name in names}
    source.execute("truncate app.t, app.u")
    source.execute("truncate app.parent cascade")
    with source.transaction():
        source.execute("insert into app.t values (6, 'kept')")
        source.execute("truncate app.t")
        source.execute("insert into app.t values (7, 'after')")
    source.execute("insert into app.parent values (8, 'after')")
    until(lambda: shared.changes("emptied", "t") and shared.changes("emptied", "parent"))
    assert [(row["Op"], row["id"]) for row in shared.changes("emptied", "t")] == [("I", 6), ("I", 7)]
    assert all(set(shared.files("emptied", name)) >= set(landed[name]) for name in names), "no file was deleted"
    before = {name: len(shared.changes("emptied", name)) for name in names}
    shared.reload(arn, *names)
    until(lambda: all(one["FullLoadReloaded"] for one in shared.statistics(arn).values()))
    shared.loaded(arn)
    shared.stop(arn)
    assert shared.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 0
    assert {name: shared.statistics(arn)[name]["FullLoadRows"] for name in names} == {
        "t": 1,
        "u": 0,
        "parent": 1,
        "child": 0,
    }
    assert before == {name: len(shared.changes("emptied", name)) for name in names}
    # A load of no rows writes no file: those of the first load are still there, as older objects.
    assert folded(shared.loads("emptied", "t"), []) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_table_dropped_under_a_running_task_is_suspended_and_a_new_one_is_taken_up_by_a_reload(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    make(source, "t", "u", "w", count=5)
    arn = shared.task("replaced")
    shared.run(arn)
    source.execute("update app.t set note = 'before' where id = 1")
    until(lambda: shared.changes("replaced", "t"))
    with source.transaction():
        source.execute("drop table app.t")
        source.execute("create table app.t (note text, id integer primary key)")
        source.execute("insert into app.t values ('anew', 7), ('anew', 8)")
    source.execute("drop table app.w")
    until(lambda: shared.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 2)
    states = {name: one["TableState"] for name, one in shared.statistics(arn).items()}
    assert states == {"t": "Table error", "u": "Table completed", "w": "Table error"}
    for name in ("t", "w"):
        told = [message for message in shared.events() if f"Table app.{name}: it was dropped in the source" in message]
        assert len(told) == 1
        assert "reload it (ReloadTables)" in told[0]
    source.execute("update app.u set note = 'flows' where id = 1")
    source.execute("update app.t set note = 'not followed yet' where id = 7")
    until(lambda: shared.changes("replaced", "u"))
    before = len(shared.changes("replaced", "t"))
    shared.reload(arn, "t", "w")
    until(lambda: shared.statistics(arn)["t"]["TableState"] == "Table completed")
    until(lambda: any("Table app.w: it is no longer in the source" in message for message in shared.events()))
    assert shared.statistics(arn)["w"]["TableState"] == "Table error"
    source.execute("update app.t set note = 'followed' where id = 7")
    source.execute("delete from app.t where id = 8")
    until(lambda: len(shared.changes("replaced", "t")) == before + 2)
    shared.stop(arn)
    assert folded(shared.loads("replaced", "t"), shared.changes("replaced", "t")[before:]) == rows(source, "t")
    assert folded(shared.loads("replaced", "u"), shared.changes("replaced", "u")) == rows(source, "u")
    # A resume finds the table that it has taken up, and loads nothing again.
    first = shared.statistics(arn)["t"]["FullLoadStartTime"]
    source.execute("insert into app.t values ('later', 9)")
    shared.run(arn, "resume-processing")
    shared.stop(arn)
    assert shared.statistics(arn)["t"]["FullLoadStartTime"] == first
    assert folded(shared.loads("replaced", "t"), shared.changes("replaced", "t")[before:]) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_table_that_took_anothers_name_is_followed_alone_after_its_reload(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    make(source, "t", "u", count=5)
    arn = shared.task("swapped")
    shared.run(arn)
    source.execute("update app.t set note = 'before' where id = 1")
    until(lambda: shared.changes("swapped", "t"))
    with source.transaction():
        source.execute("create table app.t2 (like app.t including all)")
        source.execute("insert into app.t2 select * from app.t")
        source.execute("alter table app.t rename to t_old")
        source.execute("alter table app.t2 rename to t")
    until(lambda: shared.state(arn, "t") == "Table error")
    told = [
        message for message in shared.events() if "Table app.t: it was renamed in the source, to app.t_old" in message
    ]
    assert len(told) == 1
    assert "reload it (ReloadTables)" in told[0]
    # Neither relation's rows go by the name of the other.
    source.execute("update app.t_old set note = 'of the old one' where id = 2")
    source.execute("update app.u set note = 'flows first' where id = 1")
    until(lambda: shared.changes("swapped", "u"))
    assert [row["note"] for row in shared.changes("swapped", "t")] == ["before"]
    loaded = shared.statistics(arn)["t"]["FullLoadStartTime"]
    shared.reload(arn, "t")
    until(lambda: shared.statistics(arn)["t"]["FullLoadStartTime"] > loaded)
    shared.loaded(arn)
    before = len(shared.changes("swapped", "t"))
    source.execute("delete from app.t_old where id in (3, 4)")
    source.execute("update app.t set note = 'followed' where id = 2")
    source.execute("update app.u set note = 'flows' where id = 1")
    until(lambda: len(shared.changes("swapped", "u")) == 2)
    changes = shared.changes("swapped", "t")[before:]
    assert [(row["Op"], row["id"]) for row in changes] == [("U", 2)]
    assert folded(shared.loads("swapped", "t"), changes) == rows(source, "t")
    # And back again: the first relation is the table once more.
    with source.transaction():
        source.execute("alter table app.t rename to t2")
        source.execute("alter table app.t_old rename to t")
    until(lambda: shared.state(arn, "t") == "Table error")
    loaded = shared.statistics(arn)["t"]["FullLoadStartTime"]
    shared.reload(arn, "t")
    until(lambda: shared.statistics(arn)["t"]["FullLoadStartTime"] > loaded)
    shared.loaded(arn)
    before = len(shared.changes("swapped", "t"))
    source.execute("update app.t set note = 'the first again' where id = 5")
    source.execute("update app.t2 set note = 'not the table' where id = 5")
    until(lambda: len(shared.changes("swapped", "t")) > before)
    shared.stop(arn)
    assert shared.state(arn, "t") == "Table completed"
    changes = shared.changes("swapped", "t")[before:]
    assert [(row["Op"], row["id"]) for row in changes] == [("U", 5)]
    assert folded(shared.loads("swapped", "t"), changes) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_table_that_was_taken_up_is_missed_when_somebody_unpublishes_it(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    make(source, "t", "u", count=5)
    arn = shared.task("unpublished")
    shared.run(arn)
    source.execute("update app.u set note = 'flows' where id = 1")
    until(lambda: shared.changes("unpublished", "u"))
    with source.transaction():
        source.execute("drop table app.t")
        source.execute("create table app.t (id integer primary key, note text)")
    until(lambda: shared.state(arn, "t") == "Table error")
    shared.reload(arn, "t")
    until(lambda: shared.state(arn, "t") == "Table completed")
    source.execute("insert into app.t values (1, 'followed')")
    until(lambda: shared.changes("unpublished", "t"))
    publication = f"local_dms_{arn.rsplit(':', 1)[-1].lower()}"
    source.execute(f"alter publication {publication} drop table app.t".encode())
    source.execute("insert into app.t values (2, 'lost')")
    until(lambda: shared.describe(arn)["Status"] == "failed")
    assert "publication changed" in shared.describe(arn)["LastFailureMessage"]
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
