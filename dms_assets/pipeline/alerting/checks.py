"""Failed checks as causes: blocking or not, evaluated in a run or without one, until a later evaluation passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import dagster as dg

from dms_assets.alerts.cause import Cause, Done, Kind, Over, Seen, Severity, Sight
from dms_assets.alerts.state import AlertState
from dms_assets.model.names import Layer
from dms_assets.pipeline.alerting.evaluations import Evaluation, evaluations_after, latest_evaluations, newest_record
from dms_assets.pipeline.alerting.freshness import stale_ids, stale_sights
from dms_assets.pipeline.alerting.reading import Look, Reading, instance_id
from dms_assets.pipeline.alerting.tasks import captured_ids, captured_sights, speaks_of_capture
from dms_assets.pipeline.checks.freshness import FRESH_CHECK, FRESH_LAYERS
from dms_assets.pipeline.checks.hold import QUARANTINE_CHECK
from dms_assets.pipeline.sensors.dms import CAPTURE_CHECK
from dms_assets.validation.outcome import Group

MARK = "checks"
PAGE = 1_000
MAX_PAGES = 10
"""Beyond this many pages in one look the present state of all checks is read instead of what led to it."""
WHOLE_AGAIN = timedelta(minutes=30)
"""A record may become visible after one with a higher number was read; this finds it all the same."""
_KINDS = (Kind.CHECK, Kind.TASK, Kind.TABLE, Kind.STALE)
_RULES = {group.value for group in Group}


def read_checks(look: Look, state: AlertState) -> Reading:
    """What was evaluated since the last look; at first, after a long outage and now and then, how all checks stand."""
    mark = state.marks.get(MARK) or {}
    newest = newest_record(look.instance)
    instance = instance_id(look.instance)
    if mark.get("instance") != instance or mark["cursor"] > newest:
        # Another instance, or none before: its records have numbers of their own.
        return _snapshot(look, state, newest)
    if look.now - datetime.fromisoformat(mark["whole"]) >= WHOLE_AGAIN:
        return _snapshot(look, state, newest)
    cursor = mark["cursor"]
    sights: list[Sight] = []
    for _ in range(MAX_PAGES):
        page = evaluations_after(look.instance, cursor, PAGE)
        for evaluation in page.values():
            sights += _sights(look, evaluation)
        cursor = max(page, default=cursor)
        if len(page) < PAGE:
            sights += _undeclared(look, state)
            return Reading(sights, mark={**mark, "cursor": cursor})
    return _snapshot(look, state, newest)


def _snapshot(look: Look, state: AlertState, newest: int) -> Reading:
    """All that fails now; what was open before and does not fail now is over."""
    keys = list(look.repository.asset_graph.asset_check_keys)
    found = [sight for item in latest_evaluations(look.instance, keys) for sight in _sights(look, item, times=0)]
    failing = [sight for sight in found if isinstance(sight, Seen)]
    present = {sight.cause.id for sight in failing}
    awaited = {thing for sight in failing for thing in sight.awaits}
    done = frozenset(thing for episode in state.open(_KINDS) for thing in episode.awaits) - awaited
    gone = [Over(e.cause.id, look.now) for e in state.open(_KINDS) if e.cause.id not in present]
    mark = {"instance": instance_id(look.instance), "cursor": newest, "whole": look.now.isoformat()}
    return Reading([*failing, Done(done, look.now), *gone], mark=mark)


def _undeclared(look: Look, state: AlertState) -> Iterator[Over]:
    """What is open of a check that is not declared any more, and so will never pass."""
    declared = {_id(look, key) for key in look.repository.asset_graph.asset_check_keys}
    declared |= {cause_id for spec in look.sources.values() for cause_id in (*captured_ids(spec), *stale_ids(spec))}
    for episode in state.open(_KINDS):
        if episode.cause.id not in declared:
            yield Over(episode.cause.id, look.now)


def _sights(look: Look, evaluation: Evaluation, times: int = 1) -> Iterable[Sight]:
    key = evaluation.key
    spec = look.sources.get(look.source_of(key.asset_key))
    layer = key.asset_key.path[1] if len(key.asset_key.path) > 1 else ""
    if spec is not None and layer == Layer.LANDING and key.name == CAPTURE_CHECK and speaks_of_capture(evaluation):
        return (*captured_sights(look, spec, evaluation), Over(_id(look, key), evaluation.at))
    if spec is not None and layer in FRESH_LAYERS and key.name == FRESH_CHECK:
        return stale_sights(spec, evaluation)
    if layer == Layer.VALIDATED and _told_as_quarantine(evaluation):
        return ()
    if evaluation.passed:
        return (Over(_id(look, key), evaluation.at),)
    return (Seen(_cause(look, evaluation), evaluation.at, times),)


def _told_as_quarantine(evaluation: Evaluation) -> bool:
    """Rejected files are one cause, told from quarantine itself, though several rules and a hold speak of them."""
    rule = evaluation.key.name in _RULES and evaluation.severity is dg.AssetCheckSeverity.WARN
    return rule or evaluation.key.name == QUARANTINE_CHECK


def _subject(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.to_user_string()}:{key.name}"


def _id(look: Look, key: dg.AssetCheckKey) -> str:
    return f"{Kind.CHECK.value}:{look.source_of(key.asset_key)}:{_subject(key)}"


def _cause(look: Look, evaluation: Evaluation) -> Cause:
    key = evaluation.key
    asset = key.asset_key.to_user_string()
    counts = ", ".join(f"{name} {count}" for name, count in evaluation.counts.items())
    return Cause(
        kind=Kind.CHECK,
        source=look.source_of(key.asset_key),
        subject=_subject(key),
        severity=Severity.ERROR if evaluation.severity is dg.AssetCheckSeverity.ERROR else Severity.WARNING,
        owner=look.owner_of(key.asset_key),
        summary=f"check '{key.name}' of {asset} failed{f' ({counts})' if counts else ''}",
        remedy="open the check: what it found and what to do is there; it is over when the check passes",
        link=f"/assets/{'/'.join(key.asset_key.path)}?view=checks&checkDetail={key.name}",
    )
