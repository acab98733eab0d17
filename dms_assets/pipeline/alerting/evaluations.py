"""Read check evaluations from a Dagster instance: the one place that knows how its event log is asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of a check. `counts` are the whole numbers in its metadata, `words` its other short texts."""

    key: dg.AssetCheckKey
    passed: bool
    severity: dg.AssetCheckSeverity
    at: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def newest_record(instance: dg.DagsterInstance) -> int:
    """The number of the newest record of the event log, 0 if there is none."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def evaluations_after(instance: dg.DagsterInstance, cursor: int, limit: int) -> dict[int, Evaluation]:
    """Evaluations with a number above the cursor, by number, oldest first, `limit` at most.

    `DagsterInstance.get_event_records` would be the public way, but is deprecated, and with a cursor refuses check
    evaluations on the default (SQLite) storage, although that mirrors them into its index of all runs.
    """
    found = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=cursor, dagster_event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, limit=limit
    )
    evaluations = {number: _evaluation(entry) for number, entry in sorted(found.items())}
    return {number: evaluation for number, evaluation in evaluations.items() if evaluation is not None}


def latest_evaluations(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey]) -> Iterator[Evaluation]:
    """The last evaluation of each check that has one; what a run has only planned is none."""
    storage = instance.event_log_storage
    for key, record in storage.get_latest_asset_check_execution_by_key(list(keys)).items():
        done: Sequence[Any] = [record]
        if record.status not in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES:
            done = storage.get_asset_check_execution_history(
                key, limit=1, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
            )
        for found in done:
            evaluation = _evaluation(found.event) if found.event else None
            if evaluation is not None:
                yield evaluation


def _evaluation(entry: dg.EventLogEntry) -> Evaluation | None:
    data = entry.dagster_event.event_specific_data if entry.dagster_event else None
    if not isinstance(data, dg.AssetCheckEvaluation):
        return None
    values = {name: item.value for name, item in data.metadata.items()}
    return Evaluation(
        key=data.asset_check_key,
        passed=data.passed,
        severity=data.severity,
        at=datetime.fromtimestamp(entry.timestamp, UTC),
        counts={name: value for name, value in values.items() if type(value) is int},
        words={name: value for name, value in values.items() if isinstance(value, str)},
    )
