"""Wait until curated tables hold everything of the source up to an instant, or say what is in the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from dms_assets.installation import Installation
from dms_assets.lake.task_memory import Poll, PollStore
from dms_assets.model.load import load_id
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR
from dms_assets.pipeline.reconciliation.watermark import Coverage, read_coverage
from dms_assets.pipeline.status.progress import curated_batches

POLL_S = 1.0


@dataclass
class Readiness:
    """Of some tables at an instant: `ready` ones, with what they cover; the reason for each of the others.

    `again` are those that cannot be judged at this instant, but at a later one: a load was under way.
    """

    ready: dict[TableName, datetime] = field(default_factory=dict)
    again: dict[TableName, str] = field(default_factory=dict)
    hopeless: dict[TableName, str] = field(default_factory=dict)
    waiting: dict[TableName, str] = field(default_factory=dict)


def wait_until_curated(
    installation: Installation,
    spec: SourceSpec,
    at: datetime,
    names: Collection[TableName],
    *,
    timeout_s: float,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Readiness:
    """Look again and again until every table is ready or will not be without somebody's help, or the time is over."""
    deadline = time.monotonic() + timeout_s
    needed: dict[TableName, int] = {}
    told = ""
    while True:
        found = _look(installation, spec, at, names, needed)
        if not found.waiting or time.monotonic() >= deadline:
            return found
        name, reason = next(iter(found.waiting.items()))
        now = f"{len(found.ready)} of {len(names)} tables hold {at:%H:%M:%S}; {name}: {reason}"
        if now != told:
            say(now)
        told = now
        pause(POLL_S)


def _look(
    installation: Installation,
    spec: SourceSpec,
    at: datetime,
    names: Collection[TableName],
    needed: dict[TableName, int],
) -> Readiness:
    """`needed` remembers the first batch of each table that was seen to hold the instant."""
    coverage = read_coverage(installation, spec)
    polls = PollStore(installation.state, spec.name).last()
    curated = curated_batches(installation, spec.name)
    found = Readiness()
    for name in names:
        if name in coverage.quarantined:
            found.hopeless[name] = (
                f"{coverage.waiting[name]}; read the report with `dms-assets quarantine show ID`, then decide on it"
            )
        elif name in polls and polls[name].state.state == TABLE_ERROR:
            found.hopeless[name] = "DMS suspended the table; remove the cause, then `dms-assets reload` it"
        elif reason := _not_covered(coverage, polls.get(name), name, at):
            found.waiting[name] = reason
        elif _in_load(coverage, name, at):
            found.again[name] = "a load of the table was under way at that instant"
        elif curated.get(name, 0) < needed.setdefault(name, coverage.summaries[name].batch):
            found.waiting[name] = f"curated has batch {curated.get(name, 0)} of {needed[name]}"
        else:
            found.ready[name] = coverage.instant([name]) or at
    return found


def _not_covered(coverage: Coverage, poll: Poll | None, name: TableName, at: datetime) -> str | None:
    """Why the validated table does not hold everything up to the instant; None if it does."""
    if name in coverage.waiting:
        return coverage.waiting[name]
    if poll is not None:
        state = poll.state
        if state.state != TABLE_COMPLETED:
            return f"DMS says '{state.state}'"
        loads = coverage.summaries[name].loads
        newest = max(load.stream for load in loads)
        if state.load_started is not None and load_id(newest, state.load_started) not in {x.load_id for x in loads}:
            return "its last load is not in the validated table yet"
    instant = coverage.instant([name])
    if instant is None:
        return "no watermark covers it yet"
    return f"it holds what was committed up to {instant:%H:%M:%S}" if instant < at else None


def _in_load(coverage: Coverage, name: TableName, at: datetime) -> bool:
    """Whether history is not exact at the instant: inside a load, or before the one that the stream began with."""
    loads = coverage.summaries[name].loads
    return at < coverage.begun[name] or any(load.boundary_at <= at <= load.ended_at for load in loads)
