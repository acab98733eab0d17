"""The DMS sensor: polls a source's task, remembers streams and loads, and reports what changed, without a run."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import dagster as dg

from dms_assets.dms.task_reader import TaskNotFoundError
from dms_assets.installation import Installation
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.model.document_format import dump, load
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_ERROR, TableState, TaskState
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.reconciliation.watermark import advance_watermark
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.task_poll import poll_task

CAPTURE_CHECK = "captured"
BROKEN_STREAM = "Stream broken ("
"""How Local DMS begins the message of a stream that no resume can continue."""
CURSOR_FORMAT = 1
_HEALTHY = {"creating", "starting", "running", "modifying", "testing"}


class Trouble(StrEnum):
    """Why changes of a table do not arrive, in one word of its own: alerts go by it."""

    TASK_MISSING = "task missing"
    TASK_NOT_STARTED = "task not started"
    TASK_NOT_RUNNING = "task not running"
    TASK_FAILED = "task failed"
    TABLE_NOT_CAPTURED = "table not captured"
    TABLE_SUSPENDED = "table suspended"


def _trouble(spec: SourceSpec, task: TaskState, table: TableState | None) -> tuple[Trouble, str] | None:
    """What is wrong, and what to do; None if changes arrive."""
    start = f"`dms-assets task start {spec.name}`"
    if task.status == "failed":
        return Trouble.TASK_FAILED, _failure(spec, task, start)
    if task.status == "ready":
        return Trouble.TASK_NOT_STARTED, f"task '{task.identifier}' was never started; {start} starts it"
    if task.status not in _HEALTHY:
        return Trouble.TASK_NOT_RUNNING, f"task '{task.identifier}' is {task.status}; {start} resumes it"
    if table is None and task.status == "running":
        told = "the task does not capture this table; run `dms-assets provision` while the task is stopped"
        return Trouble.TABLE_NOT_CAPTURED, told
    if table is not None and table.state == TABLE_ERROR:
        told = "DMS suspended this table; read the task's log, remove the cause, reload the table"
        return Trouble.TABLE_SUSPENDED, told
    return None


def _failure(spec: SourceSpec, task: TaskState, start: str) -> str:
    """Why a task failed, and what to do: a resume, or a new stream where none can help."""
    reason = task.failure or task.stop_reason or "no reason given"
    if BROKEN_STREAM in reason:
        anew = f"`dms-assets reload --fresh-stream --source {spec.name} --reason ...`"
        return f"task '{task.identifier}' failed: {reason}. No resume helps; {anew} loads all tables as a new stream"
    return f"task '{task.identifier}' failed: {reason}. Remove the cause, then {start}"


def captured_result(spec: SourceSpec, name: TableName, task: TaskState | TaskNotFoundError) -> dict[str, Any]:
    """What the check `captured` says of a table, for an evaluation or a result."""
    found = (Trouble.TASK_MISSING, str(task)) if isinstance(task, TaskNotFoundError) else None
    status = "missing"
    if isinstance(task, TaskState):
        status, found = task.status, _trouble(spec, task, task.tables.get(name))
    told = {"trouble": found[0].value, "remedy": found[1]} if found else {}
    return {
        "asset_key": table_key(spec.name, Layer.LANDING, name),
        "check_name": CAPTURE_CHECK,
        "passed": found is None,
        "metadata": {"task status": status, **told},
    }


def _digest(task: TaskState, table: TableState | None) -> str:
    load = table.load_fingerprint if table else None
    text = json.dumps([task.status, task.failure, load], default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _table_events(
    spec: SourceSpec, name: TableName, task: TaskState
) -> Iterator[dg.AssetObservation | dg.AssetCheckEvaluation]:
    key = table_key(spec.name, Layer.LANDING, name)
    table = task.tables.get(name)
    if table is not None:
        yield dg.AssetObservation(
            key,
            metadata={
                "task status": task.status,
                "table state": table.state,
                "load rows": table.load_rows,
                "inserts": table.inserts,
                "updates": table.updates,
                "deletes": table.deletes,
            },
        )
    yield dg.AssetCheckEvaluation(**captured_result(spec, name, task))


def build_dms_sensor(spec: SourceSpec) -> dg.SensorDefinition:
    """A sensor that writes events only for tables whose state changed since the last tick."""

    @dg.sensor(
        name=f"{spec.name}_dms_sensor",
        description=f"Polls the DMS task of {spec.name}: streams, loads, table states.",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def dms_sensor(
        context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation], dms: DmsResource
    ) -> dg.SensorResult | dg.SkipReason:
        seen = load(context.cursor or "{}", CURSOR_FORMAT, f"the cursor of {spec.name}_dms_sensor")
        try:
            task = poll_task(dms, spec.name)
        except TaskNotFoundError as error:
            if context.cursor and not seen:
                return dg.SkipReason(str(error))
            found = [dg.AssetCheckEvaluation(**captured_result(spec, name, error)) for name in spec.table_names]
            return dg.SensorResult(asset_events=found, cursor=dump({}, CURSOR_FORMAT))
        StreamStore(installation.state, spec.name).register(task)
        PollStore(installation.state, spec.name).record(task, datetime.now(UTC))
        stands = advance_watermark(installation, spec, task.arn)
        now = {str(name): _digest(task, task.tables.get(name)) for name in spec.table_names}
        changed = [name for name in spec.table_names if seen.get(str(name)) != now[str(name)]]
        if not changed:
            return dg.SkipReason("; ".join(filter(None, [f"nothing changed; the task is {task.status}", stands])))
        events = [event for name in changed for event in _table_events(spec, name, task)]
        return dg.SensorResult(asset_events=events, cursor=dump(now, CURSOR_FORMAT), skip_reason=stands)

    return dms_sensor


def build_capture_checks(spec: SourceSpec, specs: list[dg.AssetSpec]) -> dg.AssetChecksDefinition:
    """The check that DMS captures every declared table; evaluated by the sensor, and on demand."""

    @dg.multi_asset_check(
        name=f"{spec.name}_tables_captured",
        specs=[
            dg.AssetCheckSpec(CAPTURE_CHECK, asset=asset.key, description="DMS captures the table, and goes on.")
            for asset in specs
        ],
    )
    def captured(dms: DmsResource) -> Iterator[dg.AssetCheckResult]:
        try:
            task: TaskState | TaskNotFoundError = poll_task(dms, spec.name)
        except TaskNotFoundError as error:
            task = error
        for name in spec.table_names:
            yield dg.AssetCheckResult(**captured_result(spec, name, task))

    return captured
