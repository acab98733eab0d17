"""Failed runs as causes: one per group of assets, until all that failed was made in a run that succeeded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from dms_assets.alerts.cause import PLATFORM, Cause, Done, Kind, Seen, Severity, Sight
from dms_assets.alerts.state import AlertState
from dms_assets.pipeline.alerting.reading import Look, Reading, instance_id
from dms_assets.pipeline.failed_assets import failed_assets, selected_assets

MARK = "runs"
PAGE = 100
MAX_PAGES = 10
FIRST_LOOK = timedelta(hours=24)
"""How far back the first look goes."""
OVERLAP = timedelta(seconds=10)
"""Two runs may be updated in one moment, and seen in two looks; so much is read again."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_ASSET_JOB = "__ASSET_JOB"
_NAMED = 5


def read_runs(look: Look, state: AlertState) -> Reading:
    """The runs that ended since the last look, in the order in which they did."""
    mark = state.marks.get(MARK) or {}
    if mark.get("instance") != instance_id(look.instance):
        mark = {"instance": instance_id(look.instance), "until": (look.now - FIRST_LOOK).isoformat(), "seen": []}
    until = datetime.fromisoformat(mark["until"])
    ended, whole = _ended_after(look.instance, until - OVERLAP)
    newest = max((record.update_timestamp for record in ended), default=until)
    seen = set(mark["seen"])
    # A run that is tagged is updated again, long after it ended.
    fresh = [r for r in ended if r.dagster_run.run_id not in seen and _end(r) >= until - OVERLAP]
    fresh.sort(key=_end)
    sights = [sight for record in fresh for sight in _sights(look, record, _superseded(fresh))]
    recent = [r.dagster_run.run_id for r in ended if r.update_timestamp >= newest - 2 * OVERLAP]
    sights += _undeclared(look, state)
    return Reading(
        sights,
        mark={**mark, "until": newest.isoformat(), "seen": sorted(recent)},
        behind=frozenset() if whole else frozenset({Kind.RUN}),
    )


def _ended_after(instance: dg.DagsterInstance, after: datetime) -> tuple[list[dg.RunRecord], bool]:
    """Runs that ended and were updated after an instant, oldest update first; whether these are all there are."""
    found: dict[str, dg.RunRecord] = {}
    for _ in range(MAX_PAGES):
        page = instance.get_run_records(
            dg.RunsFilter(statuses=_ENDED, updated_after=after), limit=PAGE, order_by="update_timestamp", ascending=True
        )
        new = {record.dagster_run.run_id: record for record in page if record.dagster_run.run_id not in found}
        found |= new
        if len(page) < PAGE:
            return list(found.values()), True
        # Exclusive, so a moment earlier; a whole page of runs of one moment is read past.
        after = page[-1].update_timestamp - (timedelta(microseconds=1) if len(new) > 1 else timedelta(0))
    return list(found.values()), False


def _end(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp


def _superseded(records: Sequence[dg.RunRecord]) -> set[str]:
    """Runs of which a later one, which succeeded, is a repetition."""
    runs = [r.dagster_run for r in records if r.dagster_run.status is dg.DagsterRunStatus.SUCCESS]
    return {run_id for run in runs for run_id in (run.parent_run_id, run.root_run_id) if run_id}


def _sights(look: Look, record: dg.RunRecord, superseded: Collection[str]) -> Iterator[Sight]:
    run, at = record.dagster_run, _end(record)
    things = _things(look.instance, run)
    if run.status is dg.DagsterRunStatus.SUCCESS:
        yield Done(things, at)
        return
    # One that will be tried again by itself says nothing yet; its repetition will.
    if run.run_id in superseded or run.tags.get("dagster/will_retry") == "true":
        return
    failure = failed_assets(look.instance, run)
    failed = frozenset(failure.assets) or things
    yield Done(things - failed, at)
    groups: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for thing in failed:
        groups[_group(look, run, thing)].add(thing)
    for group, members in sorted(groups.items()):
        yield Seen(_cause(look, run, group, members, failure.errors), at, awaits=frozenset(members))


def _things(instance: dg.DagsterInstance, run: dg.DagsterRun) -> frozenset[str]:
    """What a run was to do: assets, else checks, else the job itself."""
    assets = selected_assets(instance, run)
    checks = {f"{key.asset_key.to_user_string()}:{key.name}" for key in run.asset_check_selection or ()}
    return frozenset(assets or checks or {f"job:{run.job_name}"})


def _group(look: Look, run: dg.DagsterRun, thing: str) -> tuple[str, str]:
    """The source and the name of the group of assets a thing is of; the job's, if it is no asset."""
    if thing.startswith("job:"):
        tagged = run.tags.get("dms-assets/source", PLATFORM)
        return tagged if tagged in look.sources else PLATFORM, run.job_name
    path = thing.partition(":")[0].split("/")
    return look.source_of(dg.AssetKey(path)), "_".join(path[:2])


def _cause(
    look: Look, run: dg.DagsterRun, group: tuple[str, str], members: Collection[str], errors: Sequence[str]
) -> Cause:
    source, subject = group
    named = sorted(members)
    told = ", ".join(named[:_NAMED]) + (f" and {len(named) - _NAMED} more" if len(named) > _NAMED else "")
    job = "" if run.job_name == _ASSET_JOB else f" of job {run.job_name}"
    why = f" ({', '.join(errors)})" if errors else ""
    return Cause(
        kind=Kind.RUN,
        source=source,
        subject=subject,
        severity=Severity.ERROR,
        owner=look.owner(source),
        summary=f"run {run.run_id[:8]}{job} failed{why}: {told}",
        remedy="open the run: its error names the remedy; what a sensor asked for is asked for again by itself",
        link=f"/runs/{run.run_id}",
    )


def _undeclared(look: Look, state: AlertState) -> Iterator[Done]:
    """What is awaited and not declared any more, and so will never be made."""
    awaited = {thing for episode in state.open({Kind.RUN}) for thing in episode.awaits}
    gone = frozenset(thing for thing in awaited if not _declared(look, thing))
    if gone:
        yield Done(gone, look.now)


def _declared(look: Look, thing: str) -> bool:
    if thing.startswith("job:"):
        return look.repository.has_job(thing.removeprefix("job:"))
    asset, _, check = thing.partition(":")
    key = dg.AssetKey.from_user_string(asset)
    graph = look.repository.asset_graph
    return dg.AssetCheckKey(key, check) in graph.asset_check_keys if check else graph.has(key)
