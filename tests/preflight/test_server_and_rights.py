"""Settings, slots, rights and what AWS DMS alone asks for: found exactly, and gone after the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from dms_assets.preflight.catalogue import read_facts
from dms_assets.preflight.check import judge
from dms_assets.preflight.facts import Extractor, Facts, OpenTransaction
from dms_assets.preflight.subject import Subject
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.preflight.checking import GIVEN, Checked, Named
from tests.preflight.test_planted import _expect, _fix_all

pytestmark = pytest.mark.postgres


@pytest.fixture
def schema(admin: psycopg.Connection[Any]) -> Iterator[str]:
    admin.execute("create schema plain authorization app_owner")
    admin.execute("create table plain.t (id int primary key, name varchar(20))")
    admin.execute("alter table plain.t owner to app_owner")
    yield "plain"
    with psycopg.connect(admin.info.dsn, password=admin.info.password, autocommit=True) as again:
        again.execute("drop schema plain cascade")


def _superuser(server: EmbeddedPostgres, admin: psycopg.Connection[Any], **options: Any) -> Checked:
    admin.execute("drop role if exists chief")
    admin.execute("create role chief login superuser password 'secret of chief'")
    return Checked(server, "chief", "plain", {"t": {}}, **options)


class Admin:
    """An administrator whose connection comes back after a restart."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    def execute(self, statement: bytes | str) -> None:
        with psycopg.connect(self._server.dsn, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type,unused-ignore]


def _restart(server: EmbeddedPostgres) -> None:
    server.stop()
    server.start()


def test_settings_and_slots(server: EmbeddedPostgres) -> None:
    admin: Any = Admin(server)
    admin.execute("alter system reset all")
    admin.execute("alter system set max_slot_wal_keep_size = '64GB'")
    admin.execute("alter system set max_replication_slots = 4")
    admin.execute("alter system set max_wal_senders = 1")
    admin.execute("alter system set wal_level = 'replica'")
    admin.execute("create schema if not exists plain")
    admin.execute("create table plain.t (id int primary key, name varchar(20))")
    _restart(server)
    checked = _superuser(server, admin)
    _expect(
        checked.findings(),
        error={("log_not_logical", "wal_level"), ("no_free_wal_sender", "max_wal_senders")},
    )
    assert _fix_all(checked, admin, set()) == [
        ("log_not_logical", "wal_level"),
        ("no_free_wal_sender", "max_wal_senders"),
    ]
    admin.execute("alter system set max_slot_wal_keep_size = '16MB'; ")
    admin.execute("select pg_reload_conf()")
    admin.execute("select pg_create_logical_replication_slot('wrecked', 'pgoutput')")
    for _ in range(4):
        admin.execute("create table if not exists plain.noise (n int)")
        admin.execute("drop table plain.noise")
        admin.execute("select pg_switch_wal()")
    admin.execute("checkpoint")
    admin.execute("alter system set max_slot_wal_keep_size = -1")
    admin.execute("alter system set idle_replication_slot_timeout = '1h'")
    admin.execute("select pg_reload_conf()")
    admin.execute("select pg_create_logical_replication_slot('local_dms_gone', 'pgoutput')")
    admin.execute("select pg_create_logical_replication_slot('local_dms_live', 'pgoutput')")
    admin.execute("create publication local_dms_before")
    admin.execute("create publication local_dms_live_inserts")
    admin.execute("begin; insert into plain.t values (1); prepare transaction 'month''s end'")
    checked.own_slots = frozenset({"local_dms_live"})
    warnings = {
        ("slot_lost", "wrecked"),
        ("slot_unread", "local_dms_gone"),
        ("log_kept_without_limit", "max_slot_wal_keep_size"),
        ("idle_slots_dropped", "idle_replication_slot_timeout"),
        ("transaction_open", "prepared transaction month's end"),
    }
    found = checked.findings()
    _expect(found, warning=warnings, note={("publication_unused", "local_dms_before")})
    assert "of another task" not in found["slot_unread", "local_dms_gone"].reason
    assert set(_fix_all(checked, admin, set())) == {*warnings, ("publication_unused", "local_dms_before")}
    checked.own_slots = None
    assert "could not be asked" in checked.findings()["slot_unread", "local_dms_live"].reason
    checked.own_slots = frozenset()
    admin.execute("select pg_create_physical_replication_slot('one'), pg_create_physical_replication_slot('two')")
    assert ("no_free_slot", "max_replication_slots") in checked.findings()
    assert ("no_free_slot", "max_replication_slots") in _fix_all(checked, admin, set())
    admin.execute("drop schema plain cascade")


def test_rights(server: EmbeddedPostgres, admin: psycopg.Connection[Any], schema: str) -> None:
    admin.execute("alter system set wal_level = 'logical'")
    admin.execute("alter system set max_slot_wal_keep_size = '64GB'")
    admin.execute("alter table plain.t enable row level security")
    _restart(server)
    again: Any = Admin(server)
    again.execute("alter role newcomer set transaction_timeout = '30min'")
    checked = Checked(server, "newcomer", schema, {"t": {}})
    errors = {
        ("role_without_replication", "newcomer"),
        ("schema_not_usable", "plain"),
        ("table_not_readable", "plain.t"),
        ("row_security", "plain.t"),
        ("publication_not_allowed", "probation"),
        ("tables_not_owned", "app_owner"),
    }
    timeout = ("timeout_too_short", "transaction_timeout")
    _expect(checked.findings(), error=errors, warning={timeout})
    assert set(_fix_all(checked, again, set())) == {*errors, timeout}
    again.execute("drop owned by newcomer; revoke app_owner from newcomer; alter role newcomer nobypassrls")


def test_what_aws_dms_asks_for(server: EmbeddedPostgres, admin: psycopg.Connection[Any], schema: str) -> None:
    checked = _superuser(server, admin, extractor=Extractor.AWS, own_slots=None)
    admin.execute("alter system set max_slot_wal_keep_size = '64GB'")
    admin.execute("alter system set wal_sender_timeout = '5s'")
    admin.execute("select pg_reload_conf()")
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"):
        admin.execute(f"alter role chief in database probation set {name} = '50s'".encode())
    admin.execute("create type plain.geometry as enum ('point')")
    admin.execute("create table plain.lists (a int, tags text[])")
    admin.execute("create table plain.text_key (code text primary key, n numeric, place plain.geometry, k varchar(9))")
    admin.execute("insert into plain.text_key values ('a', 123456789012345678901234567890.5, 'point', 'k')")
    admin.execute("alter table plain.text_key replica identity full")
    admin.execute("create table plain.parts (id int primary key) partition by list (id)")
    checked.tables |= {"lists": {}, "text_key": {}, "parts": {}}
    errors = {
        ("sender_timeout_too_short", "wal_sender_timeout"),
        ("array_without_key", "plain.lists"),
        ("key_is_lob", "plain.text_key.code"),
        ("number_cut", "plain.text_key.n"),
        ("type_not_supported", "plain.text_key.place"),
    }
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout", "lock_timeout")
    warnings = {
        *(("timeout_too_short", name) for name in names),
        ("updates_not_captured", "plain.lists"),
        ("partitions", "plain.parts"),
    }
    _expect(checked.findings(), error=errors, warning=warnings, note={("table_without_key", "plain.lists")})
    standing: set[Named] = {("partitions", "plain.parts")}
    fixed = _fix_all(checked, admin, standing)
    assert errors <= set(fixed)
    assert set(checked.findings()) == standing
    admin.execute("alter system reset wal_sender_timeout")
    admin.execute("select pg_reload_conf()")


def _judged(facts: Facts, checked: Checked, **changes: Any) -> dict[Named, str]:
    subject = Subject(checked.spec(), facts, checked.extractor, GIVEN, frozenset())
    return {(one.code, one.thing): one.reason for one in judge(replace(subject, **changes))}


def test_what_cannot_be_planted_here(server: EmbeddedPostgres, admin: psycopg.Connection[Any], schema: str) -> None:
    """Old servers, replicas, remote ones: the facts of a real one, changed."""
    admin.execute("alter system set max_slot_wal_keep_size = '64GB'")
    admin.execute("select pg_reload_conf()")
    checked = _superuser(server, admin)
    facts = read_facts(admin, "plain", ["t"])
    assert not _judged(facts, checked)
    far = replace(facts.server, loopback=False, encrypted=True)
    remote = replace(facts, server=far)
    assert set(_judged(remote, checked)) == {("encryption_not_required", "sslmode")}
    assert not _judged(remote, checked, sslmode="verify-full")
    bad = replace(facts.server, version=130012, in_recovery=True, encoding="SQL_ASCII")
    assert set(_judged(replace(facts, server=bad), checked)) == {
        ("server_too_old", "server_version"),
        ("read_replica", "server"),
        ("encoding_unknown", "server_encoding"),
    }
    slow = OpenTransaction(pid=7, gid=None, owner="batch", age=timedelta(hours=2))
    brief = replace(slow, pid=8, age=timedelta(seconds=2))
    held = replace(facts, transactions=(slow, brief))
    assert "open for 120 minutes" in _judged(held, checked)["transaction_open", "process 7"]
    managed = replace(facts.server, managed=True, wal_level="replica")
    (finding,) = judge(Subject(checked.spec(), replace(facts, server=managed), Extractor.AWS, GIVEN))
    assert "rds.logical_replication" in finding.fixes[0].text


def test_a_schema_that_cannot_name_anything(server: EmbeddedPostgres, admin: psycopg.Connection[Any]) -> None:
    admin.execute("alter system set max_slot_wal_keep_size = '64GB'")
    admin.execute("select pg_reload_conf()")
    admin.execute('create schema "case-files"')
    admin.execute('create table "case-files".t (id int primary key)')
    checked = _superuser(server, admin)
    checked.schema = "case-files"
    ((name, finding),) = checked.findings().items()
    assert name == ("schema_name", "case-files")
    checked.apply(finding.fixes[0], admin)
    checked.schema = "case_files"
    assert not checked.findings()
    admin.execute("drop schema case_files cascade")
