"""`dms-assets provision`: looks first, refuses what would lose data, and tells how a running task differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from dms_assets.cli import cli
from dms_assets.commands.dms_client import ENDPOINT_VARIABLE
from dms_assets.dms.task_reader import find_task, task_identifier
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.metadata.reflect_postgres import apply_exclusions, reflect
from dms_assets.sample.connection import write_secret
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.sources import find_source
from tests.local_dms.service import Service

pytestmark = pytest.mark.postgres

SPEC = find_source("probation")
TASK = task_identifier("probation")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("home") / "postgres") as server:
        create_sample(server.dsn, scale=0.01)
        yield server


@pytest.fixture(scope="module")
def home(postgres: EmbeddedPostgres) -> Path:
    """A folder that knows the source's metadata."""
    folder = postgres.data_dir.parent
    versions = Installation(Environment(home=folder)).versions(SPEC.name)
    with psycopg.connect(postgres.dsn) as connection:
        found = reflect(connection, SPEC.database_schema, [table.name for table in SPEC.tables])
    for metadata in found.tables.values():
        versions.record(apply_exclusions(metadata, SPEC), datetime.now(UTC))
    return folder


@pytest.fixture(scope="module")
def service(home: Path, postgres: EmbeddedPostgres) -> Iterator[Service]:
    info = postgres.connection_info
    with Service(home, SourceAddress(info.host, info.port, info.dbname, info.username, info.password)) as running:
        yield running


def _run(service: Service, *arguments: str) -> Result:
    environment = {ENDPOINT_VARIABLE: service.address, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    return CliRunner().invoke(cli, [*arguments, "--home", str(service.home)], env=environment)


def test_what_would_lose_data_is_refused_unless_forced(service: Service, postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("alter table probation.region replica identity nothing")
        refused = _run(service, "provision", "probation")
        assert refused.exit_code == 1
        assert "updates_not_captured  probation.region" in refused.output
        assert "ALTER TABLE probation.region REPLICA IDENTITY DEFAULT;" in refused.output
        assert "--force" in refused.output
        assert "WARNINGS" not in refused.output
        assert find_task(service.client, TASK) is None, "nothing is made"
        assert _run(service, "provision", "probation", "--force").exit_code == 0
        connection.execute("alter table probation.region replica identity default")
    answer = _run(service, "provision", "probation")
    assert answer.exit_code == 0
    assert "preflight of probation: no errors, 3 warnings" in answer.output


def test_a_running_task_that_differs_is_told_and_changed_with_restart(
    service: Service, postgres: EmbeddedPostgres
) -> None:
    assert _run(service, "provision", "probation").exit_code == 0
    assert _run(service, "task", "start", "probation").exit_code == 0
    assert _run(service, "provision", "probation").exit_code == 0, "as declared: nothing to do"
    write_secret(postgres.secret_path, replace(postgres.connection_info, host="localhost"))
    told = _run(service, "provision", "probation")
    assert told.exit_code == 1
    assert "ServerName: 127.0.0.1, should be localhost" in str(told.exception)
    task = find_task(service.client, TASK)
    assert task is not None
    assert task.status == "running"
    changed = _run(service, "provision", "probation", "--restart")
    assert changed.exit_code == 0, changed.output
    again = find_task(service.client, TASK)
    assert again is not None
    assert (again.status, again.fresh_start) == ("running", task.fresh_start), "a resume, not a new stream"
    assert _run(service, "provision", "probation").exit_code == 0
    unread = _run(service, "doctor", "probation").output
    assert "slot_unread" not in unread, "the task's own slot is no finding"
    assert _run(service, "task", "stop", "probation").exit_code == 0


def test_a_source_that_cannot_be_reached_is_status_two(service: Service, postgres: EmbeddedPostgres) -> None:
    info = postgres.connection_info
    write_secret(postgres.secret_path, replace(info, password="wrong"))
    answer = _run(service, "provision", "probation")
    write_secret(postgres.secret_path, info)
    assert answer.exit_code == 2
    assert "correct username and password" in answer.output
    assert "--force" in answer.output
