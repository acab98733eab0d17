"""Start, stop and reload tasks, choosing the start type DMS accepts (dms.md 4.3)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import WaiterError

from dms_assets.dms.provision import POLL
from dms_assets.dms.task_reader import TaskNotFoundError, find_task
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TaskState

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

RELOAD_BATCH = 10
"""DMS reloads at most ten tables a call."""


class TaskStateError(RuntimeError):
    """The task is in a state that does not allow what was asked."""


def start(client: DatabaseMigrationServiceClient, identifier: str) -> None:
    """Start a task for the first time, or resume it where it stopped. Nothing happens if it runs already.

    Never starts afresh what has run: that would lose the changes in between. Raises TaskNotFoundError or
    TaskStateError.
    """
    task = find_task(client, identifier)
    if task is None:
        raise TaskNotFoundError(identifier)
    if task.status in {"starting", "running"}:
        return
    if task.status not in {"ready", "stopped", "failed"}:
        raise TaskStateError(f"task '{identifier}' is {task.status}; wait until it is ready or stopped, then start it")
    _start_as(client, task, "start-replication" if task.fresh_start is None else "resume-processing")


def start_afresh(client: DatabaseMigrationServiceClient, identifier: str) -> None:
    """Begin a new stream with a load of every table; a running task is stopped first, which writes what it holds.

    What changed between the old stream's end and the new load is only in the load. Raises TaskNotFoundError, or
    TaskStateError for a task that was never started, or does not start, or fails while it stops.
    """
    stop(client, identifier)
    task = find_task(client, identifier)
    if task is None:
        raise TaskNotFoundError(identifier)
    if task.fresh_start is None:
        raise TaskStateError(f"task '{identifier}' was never started; start it, that loads every table")
    _start_as(client, task, "reload-target")


def _start_as(client: DatabaseMigrationServiceClient, task: TaskState, kind: str) -> None:
    client.start_replication_task(ReplicationTaskArn=task.arn, StartReplicationTaskType=kind)  # type: ignore[arg-type]
    try:
        client.get_waiter("replication_task_running").wait(
            Filters=[{"Name": "replication-task-arn", "Values": [task.arn]}], WaiterConfig=POLL
        )
    except WaiterError as error:
        raise _failed_to(client, task.identifier, "start") from error


def _failed_to(client: DatabaseMigrationServiceClient, identifier: str, verb: str) -> TaskStateError:
    """Why a task did not `start` or `stop`."""
    task = find_task(client, identifier)
    if task is None:
        return TaskStateError(f"task '{identifier}' was deleted meanwhile; provision it again")
    reason = task.failure or task.stop_reason or "DMS gives no reason yet"
    return TaskStateError(
        f"task '{identifier}' did not {verb}, it is {task.status}: {reason}. Remove the cause, then start it again"
    )


def stop(client: DatabaseMigrationServiceClient, identifier: str) -> None:
    """Stop a task and wait until what it holds is written.

    Raises TaskNotFoundError, or TaskStateError for one that fails meanwhile: it may hold changes that are not written.
    """
    task = find_task(client, identifier)
    if task is None:
        raise TaskNotFoundError(identifier)
    if task.status in {"stopped", "ready", "failed"}:
        return
    if task.status != "stopping":
        client.stop_replication_task(ReplicationTaskArn=task.arn)
    try:
        client.get_waiter("replication_task_stopped").wait(
            Filters=[{"Name": "replication-task-arn", "Values": [task.arn]}], WaiterConfig=POLL
        )
    except WaiterError as error:
        raise _failed_to(client, identifier, "stop") from error


def pause(client: DatabaseMigrationServiceClient, identifier: str) -> None:
    """Stop a task that is changed and resumed next: what it could not write comes then. Raises TaskNotFoundError."""
    # Its source may have moved: at the old address nobody is there any more.
    with suppress(TaskStateError):
        stop(client, identifier)


def reload_tables(client: DatabaseMigrationServiceClient, identifier: str, tables: list[TableName]) -> None:
    """Load tables again inside the running stream. Raises TaskNotFoundError or TaskStateError."""
    task = find_task(client, identifier)
    if task is None:
        raise TaskNotFoundError(identifier)
    if task.status != "running":
        raise TaskStateError(
            f"task '{identifier}' is {task.status}; DMS reloads tables of a running task only: start it"
        )
    for first in range(0, len(tables), RELOAD_BATCH):
        client.reload_tables(
            ReplicationTaskArn=task.arn,
            TablesToReload=[
                {"SchemaName": name.schema, "TableName": name.table} for name in tables[first : first + RELOAD_BATCH]
            ],
        )
