"""The status of the platform, read from the lake, the state store, the read copy and the event log.

For people and programs that only look: nothing is written, no database or AWS service is called, and the run-time
warehouse is never opened, so that it can be asked for while a stack runs, and when nothing does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.lake.table_summary import TableSummary
from dms_assets.lake.task_memory import PollStore
from dms_assets.model.landed_file import LandedFile
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.hold import judge
from dms_assets.pipeline.reconciliation.store import read_last_reconciliation
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore, read_coverage
from dms_assets.pipeline.status.events import SourceEvents, read_events, read_failed_runs
from dms_assets.pipeline.status.model import Hold, PlatformStatus, SourceStatus, TableStatus
from dms_assets.pipeline.status.progress import curated_batches
from dms_assets.sources import InvalidSourceError, read_sources

Declarations = tuple[Mapping[Path, SourceSpec], Mapping[Path, InvalidSourceError]]
"""What `read_sources` gives: the good ones and the bad ones, each by file."""


def read_status(
    installation: Installation, instance: dg.DagsterInstance | None, declared: Declarations | None = None
) -> PlatformStatus:
    """The status now. Without an instance (none was made yet) what only the event log knows is left out."""
    good, bad = declared or read_sources()
    now = datetime.now(UTC)
    specs = list(good.values())
    events = read_events(instance, specs) if instance else {}
    return PlatformStatus(
        at=now,
        sources=tuple(_source(installation, spec, events.get(spec.name, SourceEvents())) for spec in specs),
        failed_runs=read_failed_runs(instance, now) if instance else (),
        invalid={file.parent.name: str(error) for file, error in bad.items()},
    )


def _quarantined(installation: Installation, spec: SourceSpec) -> Mapping[TableName | None, Counter[str]]:
    """Undecided files by table (None: of no table) and reason."""
    quarantine = Quarantine(installation.quarantine, spec.name)
    counts: defaultdict[TableName | None, Counter[str]] = defaultdict(Counter)
    for entry in quarantine.entries():
        if entry.state in {EntryState.OPEN, EntryState.REPLAY}:
            counts[entry.table][quarantine.report(entry).reason.value] += 1
    return counts


def _holds(
    installation: Installation, spec: SourceSpec, summaries: Mapping[TableName, TableSummary]
) -> dict[TableName, list[Hold]]:
    holds: defaultdict[TableName, list[Hold]] = defaultdict(list)
    for verdict in judge(installation, spec, summaries):
        if not verdict.passed and verdict.holds:
            holds[verdict.table].append(Hold(verdict.check, verdict.told))
    return holds


def _written(files: Sequence[LandedFile]) -> datetime | None:
    """When the oldest of some files was written."""
    return datetime.fromisoformat(files[0].identity.last_modified) if files else None


def _source(installation: Installation, spec: SourceSpec, events: SourceEvents) -> SourceStatus:
    inbox = read_inbox(installation.landing, spec)
    # Opening the catalog would make one where there is none.
    coverage = read_coverage(installation, spec) if installation.environment.lake_dir.is_dir() else None
    summaries = coverage.summaries if coverage else dict.fromkeys(spec.table_names, TableSummary())
    watermark = WatermarkStore(installation.state, spec.name).reached()
    polls = PollStore(installation.state, spec.name).last()
    curated = curated_batches(installation, spec.name)
    quarantined = _quarantined(installation, spec)
    reconciled = read_last_reconciliation(installation.state, spec.name)
    holds = _holds(installation, spec, summaries) if coverage else {}
    damaged = installation.damaged_metadata(spec)
    tables = []
    for name in spec.table_names:
        files, poll = inbox.tables[name], polls.get(name)
        tables.append(
            TableStatus(
                name=name,
                state=poll.state.state if poll else None,
                trouble=events.trouble.get(name),
                damaged=str(damaged[name]) if name in damaged else None,
                pending_files=len(files),
                pending_bytes=sum(file.size for file in files),
                pending_since=_written(files),
                batch=summaries[name].batch,
                curated_batch=curated.get(name, 0),
                validated_at=events.made.get((Layer.VALIDATED, name)),
                curated_at=events.made.get((Layer.CURATED, name)),
                complete_to=coverage.instant([name]) if coverage else None,
                holds=tuple(holds.get(name, ())),
                quarantined=dict(quarantined.get(name, {})),
                reconciliation=reconciled.get(name),
            )
        )
    return SourceStatus(
        name=spec.name,
        engine=spec.engine.value,
        owner=spec.owner,
        tables=tuple(tables),
        task=events.task,
        polled_at=events.polled_at,
        watermark=watermark.instant if watermark else None,
        strangers=dict(quarantined.get(None, {})),
    )
