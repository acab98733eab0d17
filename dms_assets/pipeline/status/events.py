"""What the event log and the runs of a Dagster instance say for the status; reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.dms import CAPTURE_CHECK
from dms_assets.pipeline.sensors.landing import SOURCE_TAG, WORK_TAG
from dms_assets.pipeline.status.model import FailedRun
from dms_assets.pipeline.status.provenance import SENSOR_TAG

_RUNS_LOOKED_AT = 100
_RUNS_AGE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SourceEvents:
    """What was last said of a source: `made` when the assets of a layer were, `trouble` what captures no changes."""

    made: Mapping[tuple[Layer, TableName], datetime] = field(default_factory=dict)
    trouble: Mapping[TableName, str] = field(default_factory=dict)
    task: str | None = None
    polled_at: datetime | None = None


def _at(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _made(instance: dg.DagsterInstance, spec: SourceSpec) -> dict[tuple[Layer, TableName], datetime]:
    keys = {
        table_key(spec.name, layer, name): (layer, name)
        for layer in (Layer.VALIDATED, Layer.CURATED)
        for name in spec.table_names
    }
    events = instance.get_latest_materialization_events(list(keys))
    return {keys[key]: _at(event.timestamp) for key, event in events.items() if event is not None}


def _trouble(instance: dg.DagsterInstance, spec: SourceSpec) -> dict[TableName, str]:
    keys = {
        dg.AssetCheckKey(table_key(spec.name, Layer.LANDING, name), CAPTURE_CHECK): name for name in spec.table_names
    }
    trouble = {}
    for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys)).items():
        evaluation = record.evaluation
        if evaluation is not None and not evaluation.passed:
            remedy = evaluation.metadata.get("remedy")
            trouble[keys[key]] = str(remedy.value) if remedy else "its capture check failed"
    return trouble


def _task(instance: dg.DagsterInstance, spec: SourceSpec) -> str | None:
    """The task's status in the newest observation: every change of it is observed on all tables it captures."""
    for name in spec.table_names:
        records = instance.fetch_observations(table_key(spec.name, Layer.LANDING, name), limit=1).records
        observation = records[0].asset_observation if records else None
        if observation is not None and "task status" in observation.metadata:
            return str(observation.metadata["task status"].value)
    return None


def _polls(instance: dg.DagsterInstance) -> dict[str, datetime]:
    """When each sensor last ticked, by name."""
    ticks = {}
    for state in instance.all_instigator_state():
        at = getattr(state.instigator_data, "last_tick_timestamp", None)
        if at:
            ticks[state.instigator_name] = _at(at)
    return ticks


def read_events(instance: dg.DagsterInstance, specs: Iterable[SourceSpec]) -> dict[str, SourceEvents]:
    """The events of each source, by its name."""
    polls = _polls(instance)
    return {
        spec.name: SourceEvents(
            made=_made(instance, spec),
            trouble=_trouble(instance, spec),
            task=_task(instance, spec),
            polled_at=polls.get(f"{spec.name}_dms_sensor"),
        )
        for spec in specs
    }


def _what(run: dg.DagsterRun) -> str:
    """What a run was for, in words: who asked for it, and its assets if they are few."""
    work = " ".join(filter(None, (run.tags.get(WORK_TAG), run.tags.get(SOURCE_TAG))))
    asked = work or run.tags.get(SENSOR_TAG) or run.tags.get("dagster/schedule_name") or run.job_name.strip("_")
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return (
        f"{asked}: {', '.join(assets)}"
        if 0 < len(assets) <= 2
        else f"{asked}: {len(assets)} assets"
        if assets
        else asked
    )


def read_failed_runs(instance: dg.DagsterInstance, now: datetime) -> tuple[FailedRun, ...]:
    """The failed runs among the last hundred of the last seven days, newest first."""
    records = instance.get_run_records(dg.RunsFilter(updated_after=now - _RUNS_AGE), limit=_RUNS_LOOKED_AT)
    made: set[dg.AssetKey] = set()
    done: set[str] = set()
    failed = []
    for record in records:
        run = record.dagster_run
        wanted = run.asset_selection or frozenset()
        if run.status is dg.DagsterRunStatus.SUCCESS:
            made |= wanted
            done.add(run.job_name)
        elif run.status is dg.DagsterRunStatus.FAILURE:
            repaired = wanted <= made if wanted else run.job_name in done
            at = _at(record.end_time) if record.end_time else record.update_timestamp.replace(tzinfo=UTC)
            failed.append(FailedRun(run.run_id, _what(run), at, repaired))
    return tuple(failed)
