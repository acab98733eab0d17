from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sample.tables import SAMPLE_TABLES

SMALL = 0.03


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server with the sample source at a small scale."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("sample") / "postgres") as server:
        create_sample(server.dsn, scale=SMALL, seed=7)
        yield server


@pytest.fixture(scope="session")
def tables(sample: EmbeddedPostgres) -> list[TableMetadata]:
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        found = reflect(connection, "probation", [table.name for table in SAMPLE_TABLES])
    assert not found.missing
    return list(found.tables.values())
