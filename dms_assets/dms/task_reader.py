"""Read replication tasks through boto3 into the model's terms. Every page is read; nothing is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from dms_assets.model.names import TableName
from dms_assets.model.task_state import TableState, TaskState

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_dms.type_defs import ReplicationTaskTypeDef, TableStatisticsTypeDef


class TaskNotFoundError(LookupError):
    """The source has no replication task."""

    def __init__(self, identifier: str) -> None:
        super().__init__(
            f"DMS has no replication task '{identifier}'; create it with `dms-assets provision`, "
            "or correct the name of the source"
        )


def task_identifier(source: str) -> str:
    """The name of a source's task. DMS allows letters, digits and hyphens, beginning with a letter."""
    return f"dms-assets-{source.replace('_', '-')}"


def _table(row: TableStatisticsTypeDef) -> TableState:
    return TableState(
        name=TableName(row["SchemaName"], row["TableName"]),
        state=row.get("TableState", ""),
        load_started=row.get("FullLoadStartTime"),
        load_ended=row.get("FullLoadEndTime"),
        load_rows=row.get("FullLoadRows", 0),
        reloaded=row.get("FullLoadReloaded", False),
        inserts=row.get("Inserts", 0),
        updates=row.get("Updates", 0),
        deletes=row.get("Deletes", 0),
    )


def _task(row: ReplicationTaskTypeDef) -> TaskState:
    statistics = row.get("ReplicationTaskStats", {})
    return TaskState(
        arn=row["ReplicationTaskArn"],
        identifier=row["ReplicationTaskIdentifier"],
        status=row["Status"],
        fresh_start=statistics.get("FreshStartDate"),
        stop_reason=row.get("StopReason"),
        failure=row.get("LastFailureMessage"),
    )


def find_task(client: DatabaseMigrationServiceClient, identifier: str) -> TaskState | None:
    """The task without its tables, or None if DMS has none of that name."""
    try:
        pages = client.get_paginator("describe_replication_tasks").paginate(
            Filters=[{"Name": "replication-task-id", "Values": [identifier]}], WithoutSettings=True
        )
        for page in pages:
            for row in page["ReplicationTasks"]:
                return _task(row)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundFault":
            raise
    return None


def read_task(client: DatabaseMigrationServiceClient, identifier: str) -> TaskState:
    """The task with the statistics of all its tables. Raises TaskNotFoundError."""
    task = find_task(client, identifier)
    if task is None:
        raise TaskNotFoundError(identifier)
    pages = client.get_paginator("describe_table_statistics").paginate(ReplicationTaskArn=task.arn)
    tables = [_table(row) for page in pages for row in page["TableStatistics"]]
    return replace(task, tables={table.name: table for table in tables})
