"""DMS tasks and tables that do not capture, from what the check `captured` says of each table.

A stopped task fails the check of all its tables: that is one cause, not as many as there are tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dms_assets.alerts.cause import Cause, Kind, Over, Seen, Severity, Sight
from dms_assets.dms.task_reader import task_identifier
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.alerting.evaluations import Evaluation
from dms_assets.pipeline.alerting.reading import Look
from dms_assets.pipeline.keys import table_of
from dms_assets.pipeline.sensors.dms import Trouble

SETTING_UP = timedelta(minutes=10)
"""How long a task that never ran may be missing or not started, and how long a stop may take."""
_OF_TASK = {Trouble.TASK_MISSING, Trouble.TASK_NOT_STARTED, Trouble.TASK_NOT_RUNNING, Trouble.TASK_FAILED}


def captured_ids(spec: SourceSpec) -> Iterator[str]:
    """The ids of all causes that the check can speak of."""
    yield _task_id(spec)
    for name in spec.table_names:
        yield _table_id(spec, name)


def speaks_of_capture(evaluation: Evaluation) -> bool:
    """Whether it says in a word of ours what is wrong: one of an earlier release, or by hand, is a check like any."""
    return evaluation.passed or evaluation.words.get("trouble") in set(Trouble)


def captured_sights(look: Look, spec: SourceSpec, evaluation: Evaluation) -> Iterator[Sight]:
    """What one evaluation says of the task and of its table."""
    name = table_of(evaluation.key.asset_key)
    trouble = None if evaluation.passed else Trouble(evaluation.words["trouble"])
    if trouble in _OF_TASK:
        yield Seen(_task(look, spec, trouble, evaluation.words["task status"]), evaluation.at, times=0)
        return
    # As it speaks of the table, the task runs.
    yield Over(_task_id(spec), evaluation.at)
    if trouble is None:
        yield Over(_table_id(spec, name), evaluation.at)
    else:
        yield Seen(_table(spec, name, trouble), evaluation.at, times=0)


def _task_id(spec: SourceSpec) -> str:
    return f"{Kind.TASK.value}:{spec.name}:{task_identifier(spec.name)}"


def _table_id(spec: SourceSpec, name: TableName) -> str:
    return f"{Kind.TABLE.value}:{spec.name}:{name}"


def _task(look: Look, spec: SourceSpec, trouble: Trouble, status: str) -> Cause:
    ran = bool(StreamStore(look.installation.state, spec.name).streams())
    severity, patience = Severity.CRITICAL, timedelta(0)
    if trouble is Trouble.TASK_NOT_RUNNING:
        severity, patience = Severity.ERROR, SETTING_UP if status == "stopping" else timedelta(0)
    elif trouble is not Trouble.TASK_FAILED and not ran:
        severity, patience = Severity.WARNING, SETTING_UP
    create = f"create it with `dms-assets provision`, then `dms-assets task start {spec.name}`"
    start = f"remove the cause that DMS names, then `dms-assets task start {spec.name}`"
    return Cause(
        kind=Kind.TASK,
        source=spec.name,
        subject=task_identifier(spec.name),
        severity=severity,
        owner=spec.owner,
        summary=f"the DMS task is {status}: no change of {len(spec.tables)} tables arrives",
        remedy=create if trouble is Trouble.TASK_MISSING else start,
        link="/platform",
        patience=patience,
    )


def _table(spec: SourceSpec, name: TableName, trouble: Trouble) -> Cause:
    suspended = "remove the cause that the task's log names, then `dms-assets reload {name} --reason ...`"
    uncaptured = "stop the task, run `dms-assets provision`, and start it again"
    remedy = suspended.format(name=name) if trouble is Trouble.TABLE_SUSPENDED else uncaptured
    return Cause(
        kind=Kind.TABLE,
        source=spec.name,
        subject=str(name),
        severity=Severity.ERROR,
        owner=spec.owner,
        summary=f"{trouble.value}: no change of {name} arrives, the task's other tables go on",
        remedy=remedy,
        link=f"/assets/{spec.name}/landing/{name.schema}/{name.table}?view=checks",
    )
