"""A PostgreSQL for the whole suite, and Local DMS as a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service


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
