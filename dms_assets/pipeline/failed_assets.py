"""Which assets of a failed run failed: said by the step that failed, else all that the run did not make."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

FAILED = "failed assets"
_WRAPPERS = {"DagsterExecutionStepExecutionError", "SensorExecutionError"}
"""What Dagster puts around an error of user code."""
_TOLD = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_MATERIALIZATION}


class SomeAssetsFailedError(dg.Failure):
    """A step failed for some of its assets and did its work for all others. The message names them, and why."""

    def __init__(self, told: str, failed: Collection[dg.AssetKey]) -> None:
        names = sorted(key.to_user_string() for key in failed)
        super().__init__(told, metadata={FAILED: dg.MetadataValue.json(names)})


@dataclass(frozen=True, slots=True)
class RunFailure:
    """`assets` that failed, empty if the run is of none; `errors` are the kinds of errors, never their messages."""

    assets: frozenset[str]
    errors: tuple[str, ...]


def failed_assets(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunFailure:
    """Reads the events of one run."""
    made: set[str] = set()
    said: set[str] | None = None
    errors: list[str] = []
    for entry in instance.all_logs(run.run_id, of_type=_TOLD):
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_materialization and event.asset_key is not None:
            made.add(event.asset_key.to_user_string())
        elif event.is_step_failure:
            data = event.step_failure_data
            errors.append(error_kind(data.error))
            told = data.user_failure_data.metadata.get(FAILED) if data.user_failure_data else None
            if told is not None and isinstance(told.value, list):
                said = (said or set()) | set(told.value)
    selected = selected_assets(instance, run)
    return RunFailure(frozenset(selected - made if said is None else said & selected), tuple(sorted(set(errors))))


def selected_assets(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """The assets a run was to make: its selection, else (a job of all its assets has none) what it planned."""
    if run.asset_selection:
        return {key.to_user_string() for key in run.asset_selection}
    planned = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    keys = [entry.dagster_event.asset_key for entry in planned if entry.dagster_event]
    return {key.to_user_string() for key in keys if key}


def error_kind(error: SerializableErrorInfo | None) -> str:
    """The class of the error that user code raised. Its message may quote values, the class cannot."""
    while error is not None and error.cause is not None and error.cls_name in _WRAPPERS:
        error = error.cause
    return (error.cls_name if error is not None else None) or "Error"
