"""The wire API through plain boto3: states, faults, pages, settings."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import requests
from botocore.exceptions import ClientError

from dms_assets.local_dms.postgres.publication import publication_names
from dms_assets.local_dms.postgres.slot import slot_name
from dms_assets.local_dms.postgres.source import SourceAddress
from tests.local_dms.service import WAIT, Service, mappings, until

pytestmark = pytest.mark.postgres


def _code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


@pytest.fixture
def table(source: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    source.execute("create table app.t (id integer primary key)")
    source.execute("insert into app.t values (1)")
    return source


def test_the_life_of_a_task(shared: Service, table: psycopg.Connection[Any]) -> None:
    client, arn = shared.client, shared.task("life")
    with pytest.raises(ClientError) as error:
        client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing")
    assert _code(error) == "InvalidParameterCombinationException"
    with pytest.raises(ClientError) as error:
        client.stop_replication_task(ReplicationTaskArn=arn)
    assert _code(error) == "InvalidResourceStateFault"
    shared.run(arn)
    for refused in (
        lambda: client.modify_replication_task(ReplicationTaskArn=arn, MigrationType="cdc"),
        lambda: client.delete_replication_task(ReplicationTaskArn=arn),
        lambda: client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="resume-processing"),
        lambda: client.delete_endpoint(EndpointArn=shared.describe(arn)["SourceEndpointArn"]),
        lambda: client.delete_replication_instance(
            ReplicationInstanceArn=shared.describe(arn)["ReplicationInstanceArn"]
        ),
    ):
        with pytest.raises(ClientError) as error:
            refused()
        assert _code(error) == "InvalidResourceStateFault"
    shared.stop(arn)
    described = shared.describe(arn)
    assert described["StopReason"] == "Stop Reason NORMAL"
    assert described["ReplicationTaskStats"]["FullLoadProgressPercent"] == 100
    assert described["ReplicationTaskStats"]["StartDate"].tzinfo is not None
    with pytest.raises(ClientError) as error:
        client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    assert _code(error) == "InvalidParameterCombinationException"
    assert "valid only for tasks running for the first time" in str(error.value)
    with pytest.raises(ClientError) as error:
        client.reload_tables(ReplicationTaskArn=arn, TablesToReload=[{"SchemaName": "app", "TableName": "t"}])
    assert _code(error) == "InvalidResourceStateFault"
    client.delete_replication_task(ReplicationTaskArn=arn)
    filters = [{"Name": "replication-task-arn", "Values": [arn]}]
    client.get_waiter("replication_task_deleted").wait(Filters=filters, WaiterConfig=WAIT)
    assert table.execute(
        "select count(*) from pg_publication where pubname like %s", [f"%{arn[-26:].lower()}%"]
    ).fetchone() == (0,)


def test_of_several_that_start_or_stop_a_task_at_once_one_does(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("contested")
    shared.run(arn)
    shared.stop(arn)

    def ask(operation: str) -> str:
        start = {"StartReplicationTaskType": "resume-processing"} if operation.startswith("start") else {}
        try:
            getattr(shared.client, operation)(ReplicationTaskArn=arn, **start)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "done"

    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            # A start and a stop beside it, again until the stop is taken: it may come before the task has a thread.
            started = pool.submit(ask, "start_replication_task")
            until(lambda: ask("stop_replication_task") == "done")
            assert started.result() == "done"
            shared.wait(arn, "replication_task_stopped")
            answers = sorted(pool.map(ask, ["start_replication_task"] * 4))
            assert answers == ["InvalidResourceStateFault"] * 3 + ["done"]
            shared.wait(arn, "replication_task_running")
            answers = sorted(pool.map(ask, ["stop_replication_task"] * 4))
            assert answers == ["InvalidResourceStateFault"] * 3 + ["done"]
            shared.wait(arn, "replication_task_stopped")
    shared.client.delete_replication_task(ReplicationTaskArn=arn)


def test_a_task_that_is_being_deleted_cannot_be_started(
    shared: Service, table: psycopg.Connection[Any], address: SourceAddress
) -> None:
    """Its slot would come back after it was removed, and hold the source's log for nobody."""
    arn = shared.task("leaving")
    shared.run(arn)
    shared.stop(arn)
    (publication, *_) = publication_names(slot_name(arn))
    with psycopg.connect(address.uri()) as other, ThreadPoolExecutor(1) as pool:
        other.execute(f"alter publication {publication} set (publish = 'insert')".encode())
        deleted = pool.submit(shared.client.delete_replication_task, ReplicationTaskArn=arn)
        until(lambda: table.execute("select from pg_locks where not granted").fetchone() is not None)
        for start in ("resume-processing", "reload-target"):
            with pytest.raises(ClientError, match="is being deleted"):
                shared.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType=start)
        assert not deleted.done()
        other.rollback()
        deleted.result()
    assert table.execute("select from pg_replication_slots").fetchall() == []


def test_a_start_needs_tested_connections(shared: Service, table: psycopg.Connection[Any]) -> None:
    instance = shared.instance("untested")
    source, target = shared.endpoints("untested")
    task = shared.client.create_replication_task(
        ReplicationTaskIdentifier="untested",
        SourceEndpointArn=source,
        TargetEndpointArn=target,
        ReplicationInstanceArn=instance,
        MigrationType="cdc",
        TableMappings=mappings(),
    )["ReplicationTask"]
    assert task["Status"] == "creating"
    with pytest.raises(ClientError) as error:
        shared.client.start_replication_task(
            ReplicationTaskArn=task["ReplicationTaskArn"], StartReplicationTaskType="start-replication"
        )
    assert _code(error) == "InvalidResourceStateFault"
    assert "Test connection" in str(error.value)


def test_connections_really_connect(shared: Service) -> None:
    instance = shared.instance("real")
    source, target = shared.endpoints("real")
    shared.client.modify_endpoint(EndpointArn=source, DatabaseName="nowhere")
    shared.client.modify_endpoint(EndpointArn=target, S3Settings={"BucketName": "missing"})
    for arn, reason in ((source, "check DatabaseName"), (target, "Bucket missing does not exist")):
        filters = [{"Name": "endpoint-arn", "Values": [arn]}]
        shared.client.test_connection(ReplicationInstanceArn=instance, EndpointArn=arn)

        def connection(filters: list[dict[str, Any]] = filters) -> dict[str, Any]:
            return shared.client.describe_connections(Filters=filters)["Connections"][0]

        until(lambda connection=connection: connection()["Status"] != "testing")
        assert connection()["Status"] == "failed"
        assert reason in connection()["LastFailureMessage"]


def test_a_secret_gives_the_credentials(shared: Service, postgres: Any) -> None:
    info = postgres.connection_info
    folder = shared.home / "secrets"
    folder.mkdir(exist_ok=True)
    values = {
        "host": info.host,
        "port": info.port,
        "dbname": info.dbname,
        "username": info.username,
        "password": info.password,
    }
    (folder / "probation__dms.json").write_text(json.dumps(values))
    arn = shared.client.create_endpoint(
        EndpointIdentifier="secret",
        EndpointType="source",
        EngineName="postgres",
        PostgreSQLSettings={"SecretsManagerSecretId": "probation/dms"},
    )["Endpoint"]["EndpointArn"]
    shared.test_connection(shared.instance("secret"), arn)


def test_pages_filters_and_names(shared: Service) -> None:
    for n in range(45):
        shared.instance(f"Page-{n:02d}")
    pages = shared.client.get_paginator("describe_replication_instances").paginate(PaginationConfig={"PageSize": 20})
    names = [row["ReplicationInstanceIdentifier"] for page in pages for row in page["ReplicationInstances"]]
    assert len(set(names)) == len(names) >= 45
    assert "page-44" in names
    with pytest.raises(ClientError) as error:
        shared.client.describe_replication_instances(MaxRecords=5)
    assert _code(error) == "InvalidParameterValueException"
    with pytest.raises(ClientError) as error:
        shared.instance("page-01")
    assert _code(error) == "ResourceAlreadyExistsFault"
    for describe, name in (
        (shared.client.describe_replication_instances, "replication-instance-id"),
        (shared.client.describe_endpoints, "endpoint-id"),
        (shared.client.describe_replication_tasks, "replication-task-id"),
        (shared.client.describe_connections, "endpoint-arn"),
    ):
        with pytest.raises(ClientError) as error:
            describe(Filters=[{"Name": name, "Values": ["nothing"]}])
        assert _code(error) == "ResourceNotFoundFault"


def test_what_is_not_supported_says_so(shared: Service) -> None:
    source, target = shared.endpoints("refused")
    instance = shared.instance("refused")

    def create(**changes: Any) -> None:
        request = {"MigrationType": "cdc", "TableMappings": mappings(), **changes}
        shared.client.create_replication_task(
            ReplicationTaskIdentifier="refused",
            SourceEndpointArn=source,
            TargetEndpointArn=target,
            ReplicationInstanceArn=instance,
            **request,
        )

    cases: list[tuple[dict[str, Any], str]] = [
        ({"TableMappings": "not json"}, "not JSON"),
        ({"TableMappings": '{"rules": []}'}, "select nothing"),
        ({"ReplicationTaskSettings": '{"TargetMetadata": {"BatchApplyEnabled": true}}'}, "BatchApplyEnabled"),
        ({"CdcStartPosition": "0/0"}, "CdcStartPosition"),
    ]
    for changes, text in cases:
        with pytest.raises(ClientError, match=text):
            create(**changes)
    with pytest.raises(ClientError, match="not available in Local DMS"):
        shared.client.describe_certificates()
    with pytest.raises(ClientError, match="CdcPath"):
        shared.endpoints("refused2", CdcPath="x")
    headers = {"x-amz-target": "AmazonDMSv20160101.StopReplicationTask"}
    answer = requests.post(shared.address, data="{}", headers=headers, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["__type"] == "ValidationException"


def test_settings_come_back_whole_and_tags_too(shared: Service) -> None:
    arn = shared.task("whole", kind="cdc", settings={"ErrorBehavior": {"RecoverableErrorCount": 3}})
    settings = json.loads(shared.describe(arn)["ReplicationTaskSettings"])
    assert settings["ErrorBehavior"]["RecoverableErrorCount"] == 3
    assert settings["ErrorBehavior"]["TableErrorPolicy"] == "SUSPEND_TABLE"
    assert settings["Logging"]["CloudWatchLogStream"] == f"dms-task-{arn.rsplit(':', 1)[-1]}"
    (shown,) = shared.client.describe_replication_tasks(
        Filters=[{"Name": "replication-task-arn", "Values": [arn]}], WithoutSettings=True
    )["ReplicationTasks"]
    assert "TableMappings" not in shown
    assert shared.client.list_tags_for_resource(ResourceArn=arn)["TagList"] == []


def test_a_task_of_changes_only(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("only", kind="cdc")
    shared.run(arn)
    table.execute("insert into app.t values (2)")
    shared.stop(arn)
    assert not shared.files("only", "t", "LOAD")
    assert [row["id"] for row in shared.changes("only", "t")] == [2]


def test_no_table_fails_the_task(shared: Service, table: psycopg.Connection[Any]) -> None:
    arn = shared.task("none", table_mappings=mappings("nowhere"))
    shared.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")
    until(lambda: shared.describe(arn)["Status"] == "failed")
    assert "No tables were found" in shared.describe(arn)["LastFailureMessage"]
