"""What else is in a source's log: writes of triggers, messages, rewrites that change no value, very many commits."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service, folded, until
from tests.local_dms.source_tables import make, rows

pytestmark = pytest.mark.postgres

TINY = 10_000


def test_what_triggers_write_is_in_the_order_of_its_transaction(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    make(source, "t", "audit")
    source.execute("create table app.hidden (id integer)")
    source.execute("create sequence app.numbers start 1000")
    source.execute(
        "create function app.note() returns trigger language plpgsql as $$ begin "
        "if tg_op = 'DELETE' then insert into app.audit values (nextval('app.numbers'), 'gone ' || old.id); "
        "return old; end if; "
        "new.note := new.note || ' (by trigger)'; "
        "insert into app.audit values (nextval('app.numbers'), tg_op || ' ' || new.id); return new; end $$"
    )
    source.execute(
        "create trigger notes before insert or update or delete on app.t for each row execute function app.note()"
    )
    arn = shared.task("triggered")
    shared.run(arn)
    source.execute("insert into app.t values (21, 'new')")
    source.execute("update app.t set note = 'changed' where id <= 2")
    source.execute("delete from app.t where id = 3")
    with source.transaction(force_rollback=True):
        source.execute("delete from app.t")
    # As a replica would, without triggers: rows are captured all the same.
    source.execute("set session_replication_role = replica")
    source.execute("update app.t set note = 'silent' where id = 4")
    source.execute("set session_replication_role = origin")
    shared.stop(arn)
    assert [row["note"] for row in shared.changes("triggered", "audit")] == [
        "INSERT 21",
        "UPDATE 1",
        "UPDATE 2",
        "gone 3",
    ]
    for table in ("t", "audit"):
        found = folded(shared.loads("triggered", table), shared.changes("triggered", table))
        assert found == rows(source, table)
    both = sorted(
        [*shared.changes("triggered", "t"), *shared.changes("triggered", "audit")], key=lambda r: r["dms_change_seq"]
    )
    order = [(row["Op"], row["id"]) for row in both]
    assert order == [
        *(("I", 1000), ("I", 21), ("I", 1001), ("U", 1), ("I", 1002), ("U", 2), ("I", 1003), ("D", 3), ("U", 4)),
    ]
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_messages_in_the_log_and_rewrites_that_change_no_value(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    make(source, "t")
    source.execute("alter table app.t alter note set storage external")
    source.execute("update app.t set note = repeat('large ', 2000) where id = 1")
    arn = shared.task("noises")
    shared.run(arn)
    confirmed = "select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = %s"
    slot = [f"local_dms_{arn.rsplit(':', 1)[-1].lower()}"]
    before = source.execute(confirmed, slot).fetchone()
    for transactional in ("true", "false"):
        source.execute(f"select pg_logical_emit_message({transactional}, 'app', repeat('noise', 1000))".encode())
        source.execute(f"select pg_logical_emit_message({transactional}, 'app', 'I'::text)".encode())
    until(lambda: source.execute(confirmed, slot).fetchone() > before)
    with source.transaction():
        source.execute("insert into app.t values (21, 'before a message')")
        source.execute("select pg_logical_emit_message(true, 'app', 'within')")
        source.execute("insert into app.t values (22, 'after a message')")
    source.execute("vacuum full app.t")
    source.execute("update app.t set note = 'after vacuum full' where id = 2")
    source.execute("cluster app.t using t_pkey")
    source.execute("alter table app.t set (fillfactor = 50)")
    source.execute("reindex table app.t")
    source.execute("delete from app.t where id = 3")
    with source.transaction():
        # The rows are written anew within a transaction, between two changes of theirs.
        source.execute("update app.t set note = 'before the rewrite' where id = 4")
        source.execute("alter table app.t alter id type bigint")
        source.execute("alter table app.t alter id type integer")
        source.execute("update app.t set note = 'after the rewrite' where id = 5")
    source.execute("analyze app.t")
    shared.stop(arn)
    changes = shared.changes("noises", "t")
    assert [(row["Op"], row["id"]) for row in changes] == [
        *(("I", 21), ("I", 22), ("U", 2), ("D", 3), ("U", 4), ("U", 5)),
    ]
    assert folded(shared.loads("noises", "t"), changes) == rows(source, "t")
    assert shared.describe(arn)["ReplicationTaskStats"]["TablesErrored"] == 0
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_unlogged_and_logged_again(shared: Service, source: psycopg.Connection[Any]) -> None:
    """PostgreSQL keeps a published table logged: the stream cannot lose its changes that way."""
    make(source, "t")
    arn = shared.task("logged")
    shared.run(arn)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="publication"):
        source.execute("alter table app.t set unlogged")
    source.execute("alter table app.t set logged")
    source.execute("update app.t set note = 'after' where id = 1")
    shared.stop(arn)
    assert folded(shared.loads("logged", "t"), shared.changes("logged", "t")) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_ten_thousand_tiny_transactions(shared: Service, source: psycopg.Connection[Any]) -> None:
    make(source, "t")
    arn = shared.task("tiny")
    shared.run(arn)
    source.execute("set synchronous_commit = off")
    source.execute(
        f"do $$ begin for i in 21..{20 + TINY} loop "
        "case i % 3 when 0 then delete from app.t where id = i - 1; "
        "when 1 then update app.t set note = 'n' || i where id = i - 2; "
        "else null; end case; "
        "insert into app.t values (i, 'tiny'); commit; end loop; end $$".encode()
    )
    source.execute("set synchronous_commit = on")
    source.execute("insert into app.t values (0, 'last')")
    shared.stop(arn)
    changes = shared.changes("tiny", "t")
    assert sum(row["Op"] == "I" for row in changes) == TINY + 1
    assert len({row["dms_timestamp"] for row in changes}) > TINY / 10, "many commits, not one"
    sequences = [row["dms_change_seq"] for row in changes]
    assert sequences == sorted(set(sequences))
    assert folded(shared.loads("tiny", "t"), changes) == rows(source, "t")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)
