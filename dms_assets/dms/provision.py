"""Create what a source needs in DMS: an instance, two endpoints, tested connections and a task. Safe to repeat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from dms_assets.dms.settings import POSTGRES_EXTRA_ATTRIBUTES, postgres_settings, s3_settings, task_settings
from dms_assets.dms.table_mappings import generate_mappings
from dms_assets.dms.task_reader import find_task, task_identifier
from dms_assets.model.engine import Engine, EngineNotSupportedError
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_dms.type_defs import WaiterConfigTypeDef

INSTANCE = "dms-assets"
POLL: WaiterConfigTypeDef = {"Delay": 1, "MaxAttempts": 120}


class ConnectionFailedError(RuntimeError):
    """DMS could not reach an endpoint."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(
            f"DMS cannot connect to endpoint '{endpoint}': {reason}. Correct the secret or the bucket that the "
            "source's defs.yaml names, then run `dms-assets provision` again"
        )


def _found(describe: Callable[..., Any], filter_name: str, value: str, member: str) -> dict[str, Any] | None:
    try:
        rows = describe(Filters=[{"Name": filter_name, "Values": [value]}])[member]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundFault":
            raise
        return None
    return rows[0] if rows else None


def _instance(client: DatabaseMigrationServiceClient) -> str:
    found = _found(client.describe_replication_instances, "replication-instance-id", INSTANCE, "ReplicationInstances")
    if found is None:
        client.create_replication_instance(
            ReplicationInstanceIdentifier=INSTANCE, ReplicationInstanceClass="dms.t3.medium"
        )
    client.get_waiter("replication_instance_available").wait(
        Filters=[{"Name": "replication-instance-id", "Values": [INSTANCE]}], WaiterConfig=POLL
    )
    found = _found(client.describe_replication_instances, "replication-instance-id", INSTANCE, "ReplicationInstances")
    if found is None:
        raise LookupError(f"replication instance '{INSTANCE}' vanished while it was being created; provision again")
    return str(found["ReplicationInstanceArn"])


def _endpoint(client: DatabaseMigrationServiceClient, identifier: str, request: dict[str, Any]) -> str:
    found = _found(client.describe_endpoints, "endpoint-id", identifier, "Endpoints")
    if found is None:
        found = dict(client.create_endpoint(EndpointIdentifier=identifier, **request)["Endpoint"])
    else:
        client.modify_endpoint(EndpointArn=found["EndpointArn"], **request)
    return str(found["EndpointArn"])


def _test_connection(client: DatabaseMigrationServiceClient, identifier: str, endpoint: str, instance: str) -> None:
    client.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
    filters = [
        {"Name": "endpoint-arn", "Values": [endpoint]},
        {"Name": "replication-instance-arn", "Values": [instance]},
    ]
    try:
        client.get_waiter("test_connection_succeeds").wait(Filters=filters, WaiterConfig=POLL)  # type: ignore[arg-type]
    except WaiterError as error:
        rows = client.describe_connections(Filters=filters)["Connections"]  # type: ignore[arg-type]
        reason = rows[0].get("LastFailureMessage", "no reason given") if rows else "the connection is not known"
        raise ConnectionFailedError(identifier, reason) from error


def _source_request(spec: SourceSpec, credentials: dict[str, Any]) -> dict[str, Any]:
    if spec.engine is not Engine.POSTGRES:
        raise EngineNotSupportedError(spec.engine, "the DMS source endpoint", [Engine.POSTGRES])
    return {
        "EndpointType": "source",
        "EngineName": spec.engine.value,
        "ServerName": credentials["host"],
        "Port": int(credentials["port"]),
        "DatabaseName": credentials["dbname"],
        "Username": credentials["username"],
        "Password": credentials["password"],
        "PostgreSQLSettings": postgres_settings(),
        "ExtraConnectionAttributes": POSTGRES_EXTRA_ATTRIBUTES,
    }


def provision(
    client: DatabaseMigrationServiceClient,
    spec: SourceSpec,
    credentials: dict[str, Any],
    bucket: str,
    excluded: Mapping[TableName, Iterable[str]],
) -> str:
    """Create or correct everything of one source; the ARN of its task, which is not started.

    `credentials` has host, port, dbname, username and password; `excluded` are the columns that the metadata leaves
    out. Raises ConnectionFailedError,
    EngineNotSupportedError, or botocore's ClientError.
    """
    instance = _instance(client)
    identifier = task_identifier(spec.name)
    source_id, target_id = f"{identifier}-source", f"{identifier}-target"
    source = _endpoint(client, source_id, _source_request(spec, credentials))
    target_request = {"EndpointType": "target", "EngineName": "s3", "S3Settings": s3_settings(spec, bucket)}
    target = _endpoint(client, target_id, target_request)
    _test_connection(client, source_id, source, instance)
    _test_connection(client, target_id, target, instance)
    definition = {
        "MigrationType": "full-load-and-cdc",
        "TableMappings": json.dumps(generate_mappings(spec, excluded)),
        "ReplicationTaskSettings": json.dumps(task_settings(spec)),
    }
    task = find_task(client, identifier)
    if task is None:
        created = client.create_replication_task(
            ReplicationTaskIdentifier=identifier,
            SourceEndpointArn=source,
            TargetEndpointArn=target,
            ReplicationInstanceArn=instance,
            **definition,  # type: ignore[arg-type]
        )["ReplicationTask"]
        arn = created["ReplicationTaskArn"]
        client.get_waiter("replication_task_ready").wait(
            Filters=[{"Name": "replication-task-arn", "Values": [arn]}], WaiterConfig=POLL
        )
        return arn
    if task.status in {"ready", "stopped", "failed"}:
        client.modify_replication_task(ReplicationTaskArn=task.arn, **definition)  # type: ignore[arg-type]
    return task.arn
