"""A PostgreSQL whose settings can be wrong, and roles that may too little."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.postgres_cluster import SETTINGS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Settings that a source may have wrong are the server's own defaults: ALTER SYSTEM reaches them.

    Of one module, so that no other test's server is made while they are taken out.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("wal_level", "max_replication_slots", "max_wal_senders"):
            patch.delitem(SETTINGS, name)
        with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data") as running:
            with psycopg.connect(running.dsn, autocommit=True) as connection:
                connection.execute("create role app_owner")
                for role in ("reader", "newcomer"):
                    connection.execute(f"create role {role} login password 'secret of {role}'")
            yield running


@pytest.fixture
def admin(server: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        yield connection
