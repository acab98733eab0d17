"""Causes that the stores of a source tell of: how far behind it is, and what waits in quarantine for a decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from dms_assets.alerts.cause import Cause, Kind, Severity
from dms_assets.alerts.state import AlertState
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.alerting.reading import Look, Reading
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore

FAR_BEHIND = 4
"""So many times its limit behind, a source is more than a warning."""
FORGOTTEN = timedelta(hours=24)
"""A file that waits so long for a decision is more than a warning."""
REPLAY_SLOW = timedelta(minutes=30)
"""A replay that is decided and takes longer is stuck."""


def read_lag(look: Look, state: AlertState) -> Reading:
    """Sources whose watermark is older than declared. One whose task is told already needs no second alert."""
    told = {episode.cause.source for episode in state.open({Kind.TASK})}
    late = (_lag(look, spec) for spec in look.sources.values() if spec.name not in told)
    return Reading(causes={Kind.LAG: [cause for cause in late if cause]})


def _lag(look: Look, spec: SourceSpec) -> Cause | None:
    since = _reached(look, spec)
    # The strictest that is declared: landing is as old for all tables of a source.
    limit = min(spec.freshness_limit(name) for name in spec.table_names)
    if since is None or look.now - since <= limit:
        return None
    return Cause(
        kind=Kind.LAG,
        source=spec.name,
        subject="watermark",
        severity=Severity.ERROR if look.now - since > FAR_BEHIND * limit else Severity.WARNING,
        owner=spec.owner,
        summary=f"changes after {since:%Y-%m-%d %H:%M:%S} UTC are not known to have landed; the limit is {limit}",
        remedy="see whether the task runs, the source answers and its log grows faster than the task reads it",
        link="/platform",
    )


def _reached(look: Look, spec: SourceSpec) -> datetime | None:
    """The watermark, or the start of the stream that has none yet; None before the first start."""
    mark = WatermarkStore(look.installation.state, spec.name).reached()
    streams = StreamStore(look.installation.state, spec.name).streams()
    return mark.instant if mark else max((stream.fresh_start for stream in streams), default=None)


def read_quarantine(look: Look, state: AlertState) -> Reading:  # noqa: ARG001 a reader is given the state
    """Tables with files in quarantine that wait for a decision, or for a decision to be carried out."""
    return Reading(causes={Kind.QUARANTINE: [cause for spec in look.sources.values() for cause in _held(look, spec)]})


def _held(look: Look, spec: SourceSpec) -> Iterator[Cause]:
    held: defaultdict[TableName, list[Entry]] = defaultdict(list)
    for entry in Quarantine(look.installation.quarantine, spec.name).entries():
        if entry.holds and entry.table is not None and entry.table in spec.table_names:
            held[entry.table].append(entry)
    for name, entries in held.items():
        waiting = [entry for entry in entries if entry.state is EntryState.OPEN]
        slow = [e for e in entries if e.state is EntryState.REPLAY and _waits(look, e) > REPLAY_SLOW]
        if waiting or slow:
            yield _quarantined(look, spec, name, waiting, slow)


def _waits(look: Look, entry: Entry) -> timedelta:
    """Since when the entry's copy is there; nothing if it is on its way out."""
    return look.now - entry.file.last_modified if entry.file else timedelta(0)


def _quarantined(
    look: Look, spec: SourceSpec, name: TableName, waiting: Sequence[Entry], slow: Sequence[Entry]
) -> Cause:
    goes_on = spec.table(name).on_quarantine == "continue"
    effect = "the table goes on without them" if goes_on else "its curated relations stand"
    oldest = max(_waits(look, entry) for entry in (*waiting, *slow))
    told = [f"{len(waiting)} files of {name} wait in quarantine for a decision"] if waiting else []
    told += [f"{len(slow)} replays of {name} are decided and not done"] if slow else []
    return Cause(
        kind=Kind.QUARANTINE,
        source=spec.name,
        subject=str(name),
        severity=Severity.ERROR if slow or oldest > FORGOTTEN else Severity.WARNING,
        owner=spec.owner,
        summary=f"{' and '.join(told)}; {effect}",
        remedy="read the report (`dms-assets quarantine show ID`), then replay or discard the file with a reason",
        link=f"/platform/quarantine/{spec.name}",
    )
