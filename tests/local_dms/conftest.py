"""A PostgreSQL for the whole suite, and Local DMS as a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service

GATE = 4711
"""An advisory lock: while it is held, rows of `app.slow` cannot be read by `limited`."""


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def address(postgres: EmbeddedPostgres) -> SourceAddress:
    info = postgres.connection_info
    return SourceAddress(info.host, info.port, info.dbname, info.username, info.password)


@pytest.fixture
def source(address: SourceAddress) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(address.uri(), autocommit=True) as connection:
        # A test whose service is killed, or keeps its task, leaves a slot; the server has twenty.
        connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")
        connection.execute("drop schema if exists app cascade")
        connection.execute("create schema app")
        yield connection


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, address: SourceAddress) -> Iterator[Service]:
    """One service for tests that do not kill it."""
    with Service(tmp_path_factory.mktemp("local-dms"), address) as service:
        yield service


@pytest.fixture
def services(tmp_path: Path, address: SourceAddress) -> Iterator[Callable[..., Service]]:
    """Makes services of the test's own on one folder, with failpoints."""
    started: list[Service] = []

    def start(failpoints: str = "") -> Service:
        service = Service(tmp_path, address, failpoints)
        started.append(service)
        return service.start()

    yield start
    for service in started:
        service.end()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, address: SourceAddress) -> Iterator[Service]:
    """A service whose user is no superuser: rights and row security mean something to it."""
    with psycopg.connect(address.uri(), autocommit=True) as connection:
        connection.execute("drop role if exists loader")
        connection.execute("create role loader login replication password 'of the loader'")
        connection.execute("grant create on database probation to loader")
    user = replace(address, user="loader", password="of the loader")
    with Service(tmp_path_factory.mktemp("limited"), user) as service:
        yield service
    # Another connection: a test may have restarted the source.
    with psycopg.connect(address.uri(), autocommit=True) as connection:
        connection.execute("drop schema app cascade; drop owned by loader cascade; drop role loader")


@pytest.fixture
def tables(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """`app.slow`, whose rows can only be read while the gate is open, and `app.t`; both belong to the loader."""
    source.execute("grant all on schema app to loader")
    source.execute("create table app.t (id integer primary key, note text)")
    source.execute("create table app.slow (id integer primary key, note text)")
    source.execute("insert into app.t select g, 'row' from generate_series(1, 50) g")
    source.execute("insert into app.slow select g, 'row' from generate_series(1, 50) g")
    source.execute(
        "create function app.passed() returns boolean language plpgsql as 'begin "
        f"perform pg_advisory_lock_shared({GATE}); perform pg_advisory_unlock_shared({GATE}); return true; end'"
    )
    source.execute("create policy gate on app.slow using ((select app.passed()))")
    source.execute("alter table app.slow enable row level security")
    source.execute("alter table app.slow force row level security")
    for table in ("t", "slow"):
        source.execute(f"alter table app.{table} owner to loader".encode())
    return source
