"""What a source needs in DMS is created once, corrected when repeated, started, resumed and stopped by its state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.dms import control
from dms_assets.dms.provision import INSTANCE_POLL, ConnectionFailedError, TaskRunningError, provision
from dms_assets.dms.task_reader import TaskNotFoundError, read_task, task_identifier
from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service, until

pytestmark = pytest.mark.postgres

TASK = task_identifier("sample")
PERSON = TableName("app", "person")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data") as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create schema app")
            connection.execute("create table app.person (id int primary key, name text)")
            connection.execute("insert into app.person select n, 'x' from generate_series(1, 50) n")
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, postgres: EmbeddedPostgres) -> Iterator[Service]:
    info = postgres.connection_info
    address = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)
    with Service(tmp_path_factory.mktemp("local-dms"), address) as running:
        yield running


@pytest.fixture(scope="module")
def credentials(postgres: EmbeddedPostgres) -> dict[str, Any]:
    info = postgres.connection_info
    return {name: getattr(info, name) for name in ("host", "port", "dbname", "username", "password")}


def spec(**dms: object) -> SourceSpec:
    return SourceSpec.model_validate(
        {
            "name": "sample",
            "engine": "postgres",
            "connection": {"secret": "sample/dms"},
            "schema": "app",
            "tables": ["person"],
            "dms": {"cdc_max_batch_interval_s": 1, **dms},
        }
    )


def test_a_source_is_provisioned_started_stopped_and_resumed(
    service: Service, credentials: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(TaskNotFoundError, match="dms-assets provision"):
        control.start(service.client, TASK)
    arn = provision(service.client, spec(), credentials, "landing", {})
    assert provision(service.client, spec(lob_max_kb=64), credentials, "landing", {}) == arn
    control.start(service.client, TASK)
    until(lambda: read_task(service.client, TASK).tables[PERSON].state == TABLE_COMPLETED)
    running = read_task(service.client, TASK)
    assert running.status == "running"
    assert running.fresh_start is not None
    assert running.tables[PERSON].load_rows == 50
    control.start(service.client, TASK)
    control.stop(service.client, TASK)
    control.stop(service.client, TASK)
    assert read_task(service.client, TASK).status == "stopped"
    control.start(service.client, TASK)
    resumed = read_task(service.client, TASK)
    assert resumed.fresh_start == running.fresh_start, "a resume is not a new stream"
    with pytest.raises(Exception, match="running"):
        service.client.modify_replication_task(ReplicationTaskArn=arn, MigrationType="cdc")
    _what_differs_from_a_running_task_is_told(service, credentials, arn)
    control.reload_tables(service.client, TASK, [PERSON])
    until(lambda: read_task(service.client, TASK).tables[PERSON].reloaded)
    control.stop(service.client, TASK)
    with pytest.raises(control.TaskStateError, match="running task only: start it"):
        control.reload_tables(service.client, TASK, [PERSON])


def _what_differs_from_a_running_task_is_told(service: Service, credentials: dict[str, Any], arn: str) -> None:
    same = spec(lob_max_kb=64)
    assert provision(service.client, same, credentials, "landing", {}) == arn, "nothing differs, nothing to do"
    moved = {**credentials, "host": "localhost"}
    other = spec(lob_max_kb=128, seq_column="seq", cdc_max_batch_interval_s=2)
    with pytest.raises(TaskRunningError, match="dms-assets task stop sample") as caught:
        provision(service.client, other, moved, "landing", {PERSON: ["name"]})
    assert caught.value.differences == (
        "source endpoint ServerName: 127.0.0.1, should be localhost",
        "target endpoint S3Settings.CdcMaxBatchInterval: 1, should be 2",
        "table mappings without add-column app.% seq = $AR_H_CHANGE_SEQ, remove-column app.person.name",
        "table mappings with add-column app.% dms_change_seq = $AR_H_CHANGE_SEQ",
        "TargetMetadata.LobMaxSize: 64, should be 128",
    )
    assert provision(service.client, same, credentials, "landing", {}) == arn, "nothing was changed"
    assert "password" not in str(caught.value)


def test_wrong_credentials_are_told_with_the_remedy_and_without_the_password(
    service: Service, credentials: dict[str, Any]
) -> None:
    wrong = {**credentials, "password": "not-the-password"}
    with pytest.raises(ConnectionFailedError, match="Correct the secret") as caught:
        provision(service.client, spec().model_copy(update={"name": "locked_out"}), wrong, "landing", {})
    assert "not-the-password" not in str(caught.value)
    assert "authentication failed" in str(caught.value)


def test_an_instance_of_aws_is_awaited_long_enough() -> None:
    """AWS takes fifteen to twenty minutes to make one."""
    assert INSTANCE_POLL["Delay"] * INSTANCE_POLL["MaxAttempts"] >= 30 * 60
