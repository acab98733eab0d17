"""The landing sensor: sees files arrive, asks for one run for the tables with work, and keeps the holds up to date."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from dms_assets.installation import Installation
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.metadata_replays import replay_what_metadata_explains
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.lake.table_summary import TableSummary
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.model.document_format import dump, load
from dms_assets.model.failpoints import reach
from dms_assets.model.landed_file import LandedFile
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.checks.blocking import evaluations
from dms_assets.pipeline.checks.hold import Verdict, judge, read_summaries
from dms_assets.pipeline.checks.rules import rule_check_keys
from dms_assets.pipeline.keys import table_key, table_of
from dms_assets.pipeline.sensors.landing_folder import judge_folder, news
from dms_assets.pipeline.sensors.pending_work import Asked, TableWork, due

WORK_TAG = "dms-assets/work"
SOURCE_TAG = "dms-assets/source"
INGEST = "ingest"
CURSOR_FORMAT = 1
PATIENCE = timedelta(seconds=60)
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def _digest(parts: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(parts), default=str).encode()).hexdigest()[:16]


def _busy(instance: dg.DagsterInstance, spec: SourceSpec, now: datetime) -> set[TableName]:
    """Tables to leave alone: those in a run that has not ended, and all of them while such a run is young.

    Starting a run costs more than what it usually does, so files gather meanwhile; but one slow table must not keep
    the others waiting.
    """
    tags = {WORK_TAG: INGEST, SOURCE_TAG: spec.name}
    records = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED, tags=tags))
    if any(now - record.create_timestamp < PATIENCE for record in records):
        return set(spec.table_names)
    return {table_of(key) for record in records for key in record.dagster_run.asset_selection or ()}


def _unannounced(
    instance: dg.DagsterInstance,
    spec: SourceSpec,
    summaries: Mapping[TableName, TableSummary],
    announced: Mapping[str, int],
) -> Iterator[tuple[TableName, int]]:
    """Tables whose last batch no materialisation tells of: the run that committed it died before it said so."""
    for name, summary in summaries.items():
        if summary.batch == announced.get(str(name), 0):
            continue
        key = table_key(spec.name, Layer.VALIDATED, name)
        last = instance.fetch_materializations(key, limit=1).records
        event = last[0].asset_materialization if last else None
        told = event.metadata.get("batch") if event else None
        if told is None or told.value != summary.batch:
            yield name, summary.batch


def _tell_of(instance: dg.DagsterInstance, spec: SourceSpec, batches: Mapping[TableName, int]) -> None:
    """Materialisations for batches that no run told of; reported at once, for the verdicts of the tick are on them."""
    for name, batch in batches.items():
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                table_key(spec.name, Layer.VALIDATED, name),
                metadata={"batch": batch, "reported": "by the landing sensor: its run died after the commit"},
            )
        )


def _work(
    installation: Installation,
    spec: SourceSpec,
    files: Mapping[TableName, tuple[LandedFile, ...]],
    summaries: Mapping[TableName, TableSummary],
    entries: Iterable[Entry],
) -> list[TableWork]:
    replays: dict[TableName, list[str]] = {}
    for entry in entries:
        if entry.table is not None and entry.state is EntryState.REPLAY:
            replays.setdefault(entry.table, []).append(entry.entry_id)
    polls = PollStore(installation.state, spec.name).last()
    streams = StreamStore(installation.state, spec.name).streams()
    versions = installation.known_metadata(spec)
    work = []
    for name in spec.table_names:
        poll = polls.get(name)
        work.append(
            TableWork(
                name=name,
                files=files.get(name, ()),
                replays=replays.get(name, ()),
                state=poll.state if poll else None,
                stream=max(streams, key=lambda stream: stream.ordinal, default=None),
                committed=[load.load_id for load in summaries[name].loads],
                metadata_version=versions[name].version if name in versions else None,
            )
        )
    return work


def _replayed(
    installation: Installation, spec: SourceSpec, versions: Mapping[TableName, str], looked: str
) -> tuple[list[Entry], str]:
    """What is in quarantine, once files that newer metadata may explain are asked to be judged again.

    `looked` says what there was at the last look: reports are read only when entries or metadata are others.
    """
    quarantine = Quarantine(installation.quarantine, spec.name)
    entries = quarantine.entries()
    there = _digest([sorted(map(str, versions.items())), [(entry.entry_id, entry.state) for entry in entries]])
    if there == looked:
        return entries, looked
    replayed = replay_what_metadata_explains(quarantine, entries, versions, datetime.now(UTC))
    now = {entry.entry_id: entry for entry in replayed}
    return [now.get(entry.entry_id, entry) for entry in entries], there


def _arrivals(
    spec: SourceSpec, files: Mapping[TableName, tuple[LandedFile, ...]], seen: Mapping[str, str]
) -> tuple[list[dg.AssetMaterialization], dict[str, str]]:
    """A materialisation for each landing asset with a file it had not at the last look."""
    events, now = [], {}
    for name, listed in files.items():
        newest = max(((f.identity.last_modified, f.identity.key, f.identity.etag) for f in listed), default=None)
        now[str(name)] = _digest([newest]) if newest else seen.get(str(name), "")
        if newest is not None and now[str(name)] != seen.get(str(name)):
            events.append(
                dg.AssetMaterialization(
                    table_key(spec.name, Layer.LANDING, name),
                    metadata={
                        "files": len(listed),
                        "bytes": sum(file.size for file in listed),
                        "newest": newest[1],
                        "newest written": newest[0],
                    },
                    tags={"dagster/data_version": now[str(name)]},
                )
            )
    return events, now


def _changed_holds(verdicts: Iterable[Verdict], seen: Mapping[str, str]) -> tuple[list[Verdict], dict[str, str]]:
    """The verdicts of tables of which one changed; the first look at a table that is not held says nothing new."""
    by_table: dict[TableName, list[Verdict]] = {}
    for verdict in verdicts:
        by_table.setdefault(verdict.table, []).append(verdict)
    changed: list[Verdict] = []
    now: dict[str, str] = {}
    for name, own in by_table.items():
        now[str(name)] = _digest((verdict.check, verdict.passed, verdict.entries) for verdict in own)
        if seen.get(str(name)) != now[str(name)]:
            changed += own
    return changed, now


def _asked(cursor: Mapping[str, Any]) -> dict[TableName, Asked]:
    return {TableName.parse(name): Asked.from_json(row) for name, row in cursor.items()}


def _request(spec: SourceSpec, requests: Mapping[TableName, Asked]) -> Iterator[dg.RunRequest]:
    if requests:
        keys = [table_key(spec.name, Layer.VALIDATED, name) for name in requests]
        yield dg.RunRequest(
            # The same tick repeated after a crash asks for the same run.
            run_key=_digest(sorted((str(name), asked.fingerprint, asked.at) for name, asked in requests.items())),
            asset_selection=keys,
            asset_check_keys=[key for asset in keys for key in rule_check_keys(asset)],
            tags={WORK_TAG: INGEST, SOURCE_TAG: spec.name},
        )


def build_landing_sensor(spec: SourceSpec) -> dg.SensorDefinition:
    """A sensor that lists landing, and asks for at most one run a tick.

    The cursor holds no list of files: what was asked for, which file was newest, what the holds were, what is in the
    folder besides, and the last batch told of.
    """

    @dg.sensor(
        name=f"{spec.name}_landing_sensor",
        description=f"Takes the files DMS wrote for {spec.name} into validated tables.",
        asset_selection=dg.AssetSelection.groups(f"{spec.name}_{Layer.VALIDATED.value}"),
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing_sensor(
        context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.SensorResult:
        cursor = load(context.cursor or "{}", CURSOR_FORMAT, f"the cursor of {spec.name}_landing_sensor")
        inbox = read_inbox(installation.landing, spec)
        for entry in quarantine_strangers(installation.lake, spec, inbox.strangers, datetime.now(UTC)):
            context.log.warning("quarantined, as DMS writes no such key: %s", entry.entry_id)
        reach("sensor.after_strangers")
        versions = {name: known.version for name, known in installation.known_metadata(spec).items()}
        entries, looked = _replayed(installation, spec, versions, cursor.get("replays looked for", ""))
        folder = judge_folder(spec, inbox, StreamStore(installation.state, spec.name).streams(), entries)
        folder_news = news(spec, folder, cursor.get("folder", {}))
        for evaluation in folder_news:
            if not evaluation.passed:
                context.log.warning("%s: %s", evaluation.check_name, evaluation.metadata["found"].value)
        arrivals, newest = _arrivals(spec, inbox.tables, cursor.get("newest", {}))
        now = datetime.now(UTC)
        # Before the tables are read: a run that ends in between has announced what is read.
        busy = _busy(context.instance, spec, now)
        summaries = read_summaries(installation, spec, spec.table_names)
        announced = cursor.get("announced", {})
        idle = {name: summary for name, summary in summaries.items() if name not in busy}
        silent = dict(_unannounced(context.instance, spec, idle, announced))
        _tell_of(context.instance, spec, silent)
        reach("sensor.after_telling")
        verdicts = judge(installation, spec, summaries)
        changed, holds = _changed_holds(verdicts, cursor.get("holds", {}))
        changed += [verdict for verdict in verdicts if verdict.table in silent and verdict not in changed]
        asked = _asked(cursor.get("asked", {}))
        work = _work(installation, spec, inbox.tables, summaries, entries)
        requests = due(work, asked, busy, now)
        asked |= requests
        told = {**announced, **{str(name): summary.batch for name, summary in idle.items()}}
        remembered = {
            "newest": newest,
            "holds": holds,
            "asked": {str(name): item.to_json() for name, item in asked.items()},
            "announced": told,
            "replays looked for": looked,
            "folder": {verdict.check: verdict.digest for verdict in folder},
        }
        reach("sensor.before_request")
        return dg.SensorResult(
            run_requests=list(_request(spec, requests)),
            asset_events=[*arrivals, *folder_news, *evaluations(context.instance, spec, changed)],
            cursor=dump(remembered, CURSOR_FORMAT),
        )

    return landing_sensor
