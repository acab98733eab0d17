"""A source is captured without a human once its metadata is known, and stays as an operator left it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from dms_assets.dms import control
from dms_assets.dms.task_reader import find_task, task_identifier
from dms_assets.installation import Installation
from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sources import find_source
from dms_assets.stack.capture import MetadataUnknownError, ensure_capture
from dms_assets.stack.local_stack import LocalStack
from dms_assets.stack.looks import Looks, TaskEndedError
from dms_assets.stack.ports import Ports
from dms_assets.stack.sample_source import embedded_postgres, ensure_sample
from dms_assets.stack.source_choice import SAMPLE_SOURCE
from tests.local_dms.service import until

pytestmark = pytest.mark.postgres
SPEC = find_source(SAMPLE_SOURCE)
TASK = task_identifier(SPEC.name)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    with LocalStack(tmp_path / "home") as stack:
        stack.start_local_dms()
        yield stack


@pytest.fixture
def postgres(stack: LocalStack) -> Iterator[EmbeddedPostgres]:
    with embedded_postgres(stack.environment, SPEC) as postgres:
        yield postgres


def learn_metadata(installation: Installation, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = reflect(connection, SPEC.database_schema, [name.table for name in SPEC.table_names])
    for metadata in found.tables.values():
        installation.versions(SPEC.name).record(metadata, datetime.now(UTC))


def test_from_metadata_to_a_moved_database(stack: LocalStack, postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    assert ensure_sample(postgres.dsn, scale=0.01, seed=1) is not None
    assert ensure_sample(postgres.dsn, scale=0.01, seed=1) is None
    installation, client = Installation(stack.environment), stack.parts.dms_client()
    looks = Looks(installation, client, SPEC)
    assert looks.no_metadata() == "17 of 17 tables without metadata"
    assert looks.not_loaded() == "no task yet"
    with pytest.raises(MetadataUnknownError, match=r"probation\.offender"):
        ensure_capture(installation, client, SPEC)
    learn_metadata(installation, postgres.dsn)
    assert looks.no_metadata() is None

    assert ensure_capture(installation, client, SPEC) == f"task {TASK} is started"
    until(lambda: looks.not_loaded() is None)
    assert ensure_capture(installation, client, SPEC) == f"task {TASK} runs"
    until(lambda: looks.not_captured(looks.log_end()) is None)

    # The database comes back on another port.
    before = postgres.connection_info.port
    postgres.stop()
    moved = EmbeddedPostgres(postgres.data_dir, Ports(tmp_path / "p").choose("x"), secret=SPEC.connection.secret)
    with moved:
        assert moved.connection_info.port != before
        assert "new address" in ensure_capture(installation, client, SPEC)
        with psycopg.connect(moved.dsn) as connection:
            connection.execute("update probation.region set name = name || '!'")
        end = looks.log_end()
        until(lambda: looks.not_captured(end) is None)

        # What an operator stopped stays stopped.
        control.stop(client, TASK)
        assert "stays stopped" in ensure_capture(installation, client, SPEC)
        task = find_task(client, TASK)
        assert task is not None
        assert task.status == "stopped"
        with pytest.raises(TaskEndedError, match="dms-assets task start probation"):
            looks.not_captured(end)
