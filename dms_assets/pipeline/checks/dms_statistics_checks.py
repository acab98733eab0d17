"""The check that validated rows agree with DMS's table statistics: reported by a sensor, and evaluated on demand."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from dms_assets.dms.task_reader import TaskNotFoundError
from dms_assets.installation import Installation
from dms_assets.lake.change_counts import ChangeCounts, count_changes
from dms_assets.lake.pinned_snapshot import pinned_snapshot, validated_identifier
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.lake.task_memory import StreamStore
from dms_assets.metadata.version_store import DamagedVersionError
from dms_assets.model.landed_file import FileKind
from dms_assets.model.load import Load
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TableState
from dms_assets.pipeline.checks.dms_statistics import (
    Counters,
    Looks,
    LooksStore,
    SetAside,
    StatisticsVerdict,
    compare_counts,
)
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.reconciliation.watermark import Coverage, read_coverage
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.task_poll import poll_task
from dms_assets.validation.outcome import Reason

STATISTICS_CHECK = "rows_match_dms_statistics"
LOOK_EVERY = timedelta(minutes=5)
"""A table that changes all the time is compared so often."""
_ABOUT = (
    "The rows that were taken in are those DMS says it wrote (FullLoadRows, Inserts, Updates, Deletes of the task's "
    "table statistics, since its last fresh start): none fewer, and none more where what is "
    "delivered again is recognised."
)


def _facts(spec: SourceSpec, name: TableName, verdict: StatisticsVerdict) -> dict[str, Any]:
    metadata = {"expected": verdict.expected, "found": verdict.found}
    if verdict.remedy:
        metadata["remedy"] = verdict.remedy
    return {
        "asset_key": table_key(spec.name, Layer.VALIDATED, name),
        "check_name": STATISTICS_CHECK,
        "passed": verdict.passed,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": metadata,
    }


def _set_aside(installation: Installation, spec: SourceSpec, name: TableName) -> SetAside:
    """Changes in quarantine and those discarded from it; a replayed file is in the table, and counted there."""
    quarantine = Quarantine(installation.quarantine, spec.name)
    rows = unknown = 0
    for entry in quarantine.entries(name):
        decided = [decision["action"] for decision in quarantine.decisions(entry)]
        if entry.state is EntryState.DONE and decided[-1:] != [EntryState.DISCARD.value]:
            continue
        report = quarantine.report(entry)
        if report.kind is FileKind.CDC:
            rows += report.rows
            unknown += report.reason in {Reason.UNREADABLE, Reason.RESOURCE_LIMIT}
    return SetAside(rows, unknown)


def copies_recognised(installation: Installation, spec: SourceSpec, name: TableName) -> bool:
    """Whether a change delivered again counts once: of a table without a key every row is its own.

    Rows from before it got its key stay what they are.
    """
    try:
        versions = installation.versions(spec.name).history(name)
    except DamagedVersionError:
        # Told by who needs the metadata; here it must not keep other tables from being judged.
        return False
    return spec.dms.unique_positions and bool(versions) and all(version.metadata.key for version in versions)


def _newest_load(loads: tuple[Load, ...], stream: int, state: TableState) -> Load | None:
    """The table's newest load of the stream, if it is the one that DMS tells of."""
    own = [load for load in loads if load.stream == stream]
    newest = max(own, key=lambda load: load.started_at, default=None)
    return newest if newest and newest.started_at == state.load_started else None


def _count(
    installation: Installation, spec: SourceSpec, name: TableName, stream: int, state: TableState
) -> tuple[ChangeCounts, bool]:
    pinned = pinned_snapshot(installation.catalog, validated_identifier(spec.name, name))
    if pinned is None:
        return ChangeCounts(), False
    load = _newest_load(pinned.loads, stream, state)
    return count_changes(pinned.files, stream, load.load_id if load else None), load is not None


def next_look(
    looks: Looks, state: TableState, covered: datetime | None, spec: SourceSpec, now: datetime
) -> tuple[Looks, bool]:
    """The first look if it is due, and whether the second is: the table holds what was noted."""
    counters = Counters.of(state)
    if looks.noted is None:
        waited = looks.judged_at is None or now - looks.judged_at >= LOOK_EVERY
        if counters != looks.judged and waited:
            looks = replace(looks, noted=counters, noted_at=now)
        return looks, False
    settled = timedelta(seconds=spec.dms.clock_skew_s)
    due = looks.counted is None and looks.noted_at is not None and covered is not None
    return looks, bool(due and covered and looks.noted_at and covered >= looks.noted_at + settled)


def _look(
    installation: Installation,
    spec: SourceSpec,
    stream: int,
    tables: Mapping[TableName, TableState],
    coverage: Coverage,
) -> Iterator[tuple[TableName, StatisticsVerdict]]:
    """Take the looks that are due, and remember them; the verdicts of those that were the last."""
    store = LooksStore(installation.state, spec.name)
    known, after = store.read(), {}
    now = datetime.now(UTC)
    grace = timedelta(seconds=2 * spec.dms.cdc_max_batch_interval_s)
    for name, state in tables.items():
        looks = known.get(name, Looks(stream))
        looks = looks if looks.stream == stream else Looks(stream)
        looks, count = next_look(looks, state, coverage.instant([name]), spec, now)
        if count:
            counted, load_is_in = _count(installation, spec, name, stream, state)
            looks = replace(looks, counted=counted, counted_at=now, load_is_in=load_is_in)
        elif looks.noted and looks.counted and looks.counted_at and now - looks.counted_at >= grace:
            verdict = compare_counts(
                looks.noted,
                looks.counted,
                Counters.of(state),
                aside=_set_aside(installation, spec, name),
                copies_recognised=copies_recognised(installation, spec, name),
                load_is_in=looks.load_is_in,
            )
            yield name, verdict
            looks = Looks(stream, judged=looks.noted, judged_at=now)
        after[name] = looks
    if after != known:
        store.write(after)


def build_statistics_sensor(spec: SourceSpec) -> dg.SensorDefinition:
    """A sensor that compares the tables whose counters moved, a table every five minutes at most."""

    @dg.sensor(
        name=f"{spec.name}_statistics_sensor",
        description=f"Compares the rows of {spec.name} with what DMS says it wrote.",
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def statistics_sensor(
        installation: dg.ResourceParam[Installation], dms: DmsResource
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            task = poll_task(dms, spec.name)
        except TaskNotFoundError as error:
            return dg.SkipReason(str(error))
        stream = _stream(installation, spec)
        if stream is None:
            return dg.SkipReason("the task was never started: nothing was counted")
        tables = {name: state for name, state in task.tables.items() if name in spec.table_names}
        verdicts = dict(_look(installation, spec, stream, tables, read_coverage(installation, spec)))
        events = [dg.AssetCheckEvaluation(**_facts(spec, name, verdict)) for name, verdict in verdicts.items()]
        return dg.SensorResult(asset_events=events, skip_reason=None if events else "no comparison is due")

    return statistics_sensor


def _stream(installation: Installation, spec: SourceSpec) -> int | None:
    streams = StreamStore(installation.state, spec.name).streams()
    return max((stream.ordinal for stream in streams), default=None)


def _noted(looks: Looks, stream: int, covered: datetime | None, now: TableState) -> Counters:
    """What the table must hold by now: the newest counters of which that is known."""
    if looks.stream == stream and looks.noted and covered and looks.noted_at and covered >= looks.noted_at:
        return looks.noted
    if looks.stream == stream and looks.judged:
        return looks.judged
    return Counters(0, 0, 0, now.load_rows, now.reloaded)


def build_statistics_checks(spec: SourceSpec) -> dg.AssetChecksDefinition:
    """The check of every validated table, on demand: what is under way is not held against it."""

    @dg.multi_asset_check(
        name=f"{spec.name}_statistics",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(STATISTICS_CHECK, asset=table_key(spec.name, Layer.VALIDATED, name), description=_ABOUT)
            for name in spec.table_names
        ],
    )
    def statistics(
        context: dg.AssetCheckExecutionContext, installation: dg.ResourceParam[Installation], dms: DmsResource
    ) -> Iterator[dg.AssetCheckResult]:
        stream = _stream(installation, spec) or 0
        looks = LooksStore(installation.state, spec.name).read()
        coverage = read_coverage(installation, spec)
        before = poll_task(dms, spec.name).tables
        for name in spec.table_names:
            key = dg.AssetCheckKey(table_key(spec.name, Layer.VALIDATED, name), STATISTICS_CHECK)
            if key not in context.selected_asset_check_keys or name not in before:
                continue
            counted, load_is_in = _count(installation, spec, name, stream, before[name])
            verdict = compare_counts(
                _noted(looks.get(name, Looks(stream)), stream, coverage.instant([name]), before[name]),
                counted,
                Counters.of(poll_task(dms, spec.name).tables[name]),
                aside=_set_aside(installation, spec, name),
                copies_recognised=copies_recognised(installation, spec, name),
                load_is_in=load_is_in,
            )
            yield dg.AssetCheckResult(**_facts(spec, name, verdict))

    return statistics
