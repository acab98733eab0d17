"""Create what a source needs in DMS: an instance, two endpoints, tested connections and a task. Safe to repeat."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError

from dms_assets.dms.definition import MIGRATION_TYPE, Wanted
from dms_assets.dms.settings import POSTGRES_EXTRA_ATTRIBUTES, postgres_settings, s3_settings, task_settings
from dms_assets.dms.table_mappings import generate_mappings
from dms_assets.dms.task_reader import TaskNotFoundError, find_task, task_identifier
from dms_assets.dms.task_status import ACTIVE
from dms_assets.model.engine import Engine, EngineNotSupportedError
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TaskState

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_dms.type_defs import WaiterConfigTypeDef

INSTANCE = "dms-assets"
POLL: WaiterConfigTypeDef = {"Delay": 1, "MaxAttempts": 600}
"""Ten minutes: a task writes what it holds before it stops."""
INSTANCE_POLL: WaiterConfigTypeDef = {"Delay": 15, "MaxAttempts": 160}
"""Forty minutes: AWS takes fifteen to twenty to make an instance."""
_SSL_MODES = {"require": "require", "verify-ca": "verify-ca", "verify-full": "verify-full"}


class TaskRunningError(RuntimeError):
    """The task runs with other settings than its source asks for; DMS changes neither task nor endpoint meanwhile."""

    def __init__(self, source: str, identifier: str, differences: Sequence[str]) -> None:
        self.differences = tuple(differences)
        super().__init__(
            f"task '{identifier}' runs and differs from the declaration in: {'; '.join(differences)}. Nothing was "
            f"changed: DMS changes a stopped task only. Run `dms-assets task stop {source}`, `dms-assets provision "
            f"{source}` and `dms-assets task start {source}`, or all three as `dms-assets provision {source} --restart`"
        )


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
        Filters=[{"Name": "replication-instance-id", "Values": [INSTANCE]}], WaiterConfig=INSTANCE_POLL
    )
    found = _found(client.describe_replication_instances, "replication-instance-id", INSTANCE, "ReplicationInstances")
    if found is None:
        raise LookupError(f"replication instance '{INSTANCE}' vanished while it was being created; provision again")
    return str(found["ReplicationInstanceArn"])


def _endpoint(client: DatabaseMigrationServiceClient, identifier: str, request: Mapping[str, Any]) -> str:
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
        "SslMode": _SSL_MODES.get(str(credentials.get("sslmode")), "none"),
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

    `credentials` has host, port, dbname, username and password, and may have sslmode; `excluded` are the columns that
    the metadata leaves out. Raises TaskRunningError, with nothing changed, if the task runs and is not as declared;
    ConnectionFailedError, EngineNotSupportedError, or botocore's ClientError.
    """
    identifier = task_identifier(spec.name)
    source_id, target_id = f"{identifier}-source", f"{identifier}-target"
    wanted = Wanted(
        source=_source_request(spec, credentials),
        target={"EndpointType": "target", "EngineName": "s3", "S3Settings": s3_settings(spec, bucket)},
        mappings=generate_mappings(spec, excluded),
        settings=task_settings(spec),
    )
    task = find_task(client, identifier)
    if task is not None and task.status in ACTIVE:
        _check_running(client, spec.name, identifier, wanted)
        return task.arn
    instance = _instance(client)
    source = _endpoint(client, source_id, wanted.source)
    target = _endpoint(client, target_id, wanted.target)
    _test_connection(client, source_id, source, instance)
    _test_connection(client, target_id, target, instance)
    mappings, settings = json.dumps(wanted.mappings), json.dumps(wanted.settings)
    if task is None:
        client.create_replication_task(
            ReplicationTaskIdentifier=identifier,
            SourceEndpointArn=source,
            TargetEndpointArn=target,
            ReplicationInstanceArn=instance,
            MigrationType=MIGRATION_TYPE,
            TableMappings=mappings,
            ReplicationTaskSettings=settings,
        )
    else:
        client.modify_replication_task(
            ReplicationTaskArn=task.arn,
            MigrationType=MIGRATION_TYPE,
            TableMappings=mappings,
            ReplicationTaskSettings=settings,
        )
    return _settled(client, identifier).arn


def _check_running(client: DatabaseMigrationServiceClient, source: str, identifier: str, wanted: Wanted) -> None:
    """Raises TaskRunningError if the running task is not as wanted."""
    source_endpoint, target_endpoint = (
        _found(client.describe_endpoints, "endpoint-id", f"{identifier}-{side}", "Endpoints") or {}
        for side in ("source", "target")
    )
    task = _found(client.describe_replication_tasks, "replication-task-id", identifier, "ReplicationTasks") or {}
    if differences := wanted.differences(source_endpoint, target_endpoint, task):
        raise TaskRunningError(source, identifier, differences)


def _settled(client: DatabaseMigrationServiceClient, identifier: str) -> TaskState:
    """The task when it is made or changed: no waiter of botocore's knows the way from `modifying` to `stopped`."""
    for _ in range(POLL["MaxAttempts"]):
        task = find_task(client, identifier)
        if task is None:
            raise TaskNotFoundError(identifier)
        if task.status not in {"creating", "modifying"}:
            return task
        time.sleep(POLL["Delay"])
    raise TimeoutError(f"task '{identifier}' is not ready after ten minutes; look at its events in DMS, then try again")
