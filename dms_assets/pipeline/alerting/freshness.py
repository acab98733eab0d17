"""Stale tables, from what the check `fresh` says of each: one cause per source and layer, not one per table."""

from __future__ import annotations

from collections.abc import Iterator

from dms_assets.alerts.cause import Cause, Done, Kind, Seen, Severity, Sight
from dms_assets.model.names import Layer
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.alerting.evaluations import Evaluation
from dms_assets.pipeline.checks.freshness import FRESH_LAYERS
from dms_assets.pipeline.keys import table_of


def stale_ids(spec: SourceSpec) -> Iterator[str]:
    """The ids of all causes that the check can speak of."""
    for layer in FRESH_LAYERS:
        yield f"{Kind.STALE.value}:{spec.name}:{layer.value}"


def stale_sights(spec: SourceSpec, evaluation: Evaluation) -> Iterator[Sight]:
    """What one evaluation says. Landing is as old as the watermark, which is told as lag."""
    key = evaluation.key.asset_key
    if key.path[1] == Layer.LANDING:
        return
    name = table_of(key)
    thing = frozenset({f"fresh:{'/'.join(key.path)}"})
    if evaluation.passed:
        yield Done(thing, evaluation.at)
        return
    yield Seen(
        Cause(
            kind=Kind.STALE,
            source=spec.name,
            subject=key.path[1],
            severity=Severity.WARNING,
            owner=spec.owner,
            summary=f"{key.path[1]} tables are older than declared, {name} among them",
            remedy="open the failed checks `fresh`: each says since when, what waits, and what to do",
            link=f"/assets/{'/'.join(key.path)}?view=checks&checkDetail={evaluation.key.name}",
        ),
        evaluation.at,
        times=0,
        awaits=thing,
    )
