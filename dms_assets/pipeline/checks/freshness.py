"""How old what a layer knows of a table may be, and is.

The age of a layer is that of the instant up to which it holds every change, not of its last change: a quiet table is
fresh as long as the watermark moves, and a busy one is stale when the files that came are not the newest there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dms_assets.curation.covered_instants import Covered, read_covered
from dms_assets.curation.warehouse import open_published
from dms_assets.installation import Installation
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.names import Layer, SourceTable, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.reconciliation.watermark import Coverage, read_coverage

FRESH_CHECK = "fresh"
FRESH_LAYERS = (Layer.LANDING, Layer.VALIDATED, Layer.CURATED)
_REMEDIES = {
    Layer.LANDING: "see whether the task runs and the source answers (`dms-assets status`); a stopped task is resumed "
    "with `dms-assets task start`",
    Layer.VALIDATED: "see what waits in landing or quarantine, and whether the landing sensor is on and its runs "
    "succeed",
    Layer.CURATED: "see whether the table is held, and whether the automation is on and its runs succeed",
}


@dataclass(frozen=True, slots=True)
class Age:
    """A layer of a table holds every change up to `instant`; None where none is known, which `told` explains."""

    layer: Layer
    table: TableName
    instant: datetime | None
    told: str


@dataclass(frozen=True, slots=True)
class FreshnessVerdict:
    """Whether a layer of a table is fresh. `remedy` is '' where it is."""

    layer: Layer
    table: TableName
    passed: bool
    expected: str
    found: str
    remedy: str
    instant: datetime | None


def ages(spec: SourceSpec, coverage: Coverage, covered: Mapping[SourceTable, Covered]) -> Iterator[Age]:
    """What is known of every layer of every table."""
    reached = coverage.reached[-1].instant if coverage.reached else None
    for name in spec.table_names:
        validated = coverage.instant([name])
        waiting = coverage.waiting.get(name)
        if waiting is None and name in coverage.oldest:
            waiting = f"the oldest file in landing was written at {coverage.oldest[name]:%Y-%m-%d %H:%M:%S} UTC"
        batch = coverage.summaries[name].batch
        yield Age(Layer.LANDING, name, reached, "" if reached else "the source has no watermark yet")
        yield Age(Layer.VALIDATED, name, validated, waiting or "")
        yield _curated(name, validated, batch, covered.get((spec.name, name)))


def _curated(name: TableName, validated: datetime | None, batch: int, covered: Covered | None) -> Age:
    if covered is None:
        return Age(Layer.CURATED, name, None, "no build has said up to when it is complete")
    if covered.batch < batch:
        return Age(Layer.CURATED, name, covered.complete_to, f"built of batch {covered.batch}, there is {batch}")
    # Nothing came since: what holds of the batch now holds of what was built of it.
    return Age(Layer.CURATED, name, max(filter(None, (validated, covered.complete_to))), "")


def judge_age(age: Age, limit: timedelta, now: datetime, since: datetime | None) -> FreshnessVerdict:
    """`since` is when the layer was last known to be complete, or first looked at, where no instant is known now.

    None: the task was never started, and there is nothing yet.
    """
    at = age.instant or since
    old = max(now - at, timedelta(0)) if at else None
    passed = old is not None and old <= limit
    if old is None:
        found = "nothing: the task was never started"
    else:
        found = f"{'complete to' if age.instant else 'not known to be complete since'} {at:%Y-%m-%d %H:%M:%S} UTC, "
        found += f"{_span(old)} ago" + (f" ({age.told})" if age.told else "")
    remedy = "" if passed else _REMEDIES[age.layer]
    expected = f"every change that is older than {_span(limit)}"
    return FreshnessVerdict(age.layer, age.table, passed, expected, found, remedy, age.instant)


def read_ages(installation: Installation, spec: SourceSpec) -> list[Age]:
    """The ages of a source's tables, as things are now."""
    coverage = read_coverage(installation, spec)
    try:
        connection = open_published(installation.environment.published_file)
    except FileNotFoundError:
        return list(ages(spec, coverage, {}))
    with connection:
        return list(ages(spec, coverage, read_covered(connection)))


def began(installation: Installation, spec: SourceSpec) -> datetime | None:
    """When the present stream of a source was started, None before the first start: nothing can be stale yet."""
    streams = StreamStore(installation.state, spec.name).streams()
    return max((stream.fresh_start for stream in streams), default=None)


def _span(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))
