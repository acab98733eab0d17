"""What a run of the platform does, in a process of its own that a failpoint may end: exit status 137, as kill -9."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from dms_assets.curation.dbt_run import DbtTarget
from dms_assets.installation import Installation
from dms_assets.lake import ledger
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.model import failpoints
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.dbt.build import build_models
from dms_assets.pipeline.dbt.catalogue import read_catalogue
from dms_assets.pipeline.ingestion import Ingestion
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.retention.lake import LakeRetention
from dms_assets.pipeline.retention.settings import RetentionSettings
from dms_assets.pipeline.sensors.landing import build_landing_sensor
from dms_assets.pipeline.task_poll import poll_task_patiently

PRELOADED = ("dbt.cli.main", "dbt.adapters.duckdb.connections", "dms_assets.lake.iceberg", __name__)
"""What these processes import, and need not import again."""
FOR_EVER = timedelta(days=60)
"""Older than any limit of retention that is put at its least."""
LEDGER_PART = 2
"""So many batches in an object of the ledger, rather than hundreds: some are gathered in every world."""

_PROCESSES = multiprocessing.get_context("forkserver")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Facts:
    """What a run is told. `tables` is what the source's tables look like now."""

    spec: SourceSpec
    target: DbtTarget
    tables: Sequence[TableMetadata]


def ingest(facts: Facts, installation: Installation) -> None:
    """A tick of the sensors, and the run it asks for."""
    spec, state = facts.spec, installation.state
    dms = DmsResource(region_name=installation.environment.region)
    task = poll_task_patiently(dms, spec.name)
    StreamStore(state, spec.name).register(task)
    PollStore(state, spec.name).record(task, datetime.now(UTC))
    inbox = read_inbox(installation.landing, spec)
    quarantine_strangers(installation.lake, spec, inbox.strangers, datetime.now(UTC))
    with Ingestion(installation, spec, dms) as ingestion:
        for name in spec.table_names:
            ingestion.take(name)


def build(facts: Facts, installation: Installation) -> None:
    """A run of all models."""
    models = read_catalogue(facts.target).models
    build_models(installation, [facts.spec], facts.target, models, _LOG)


def clean(facts: Facts, installation: Installation) -> None:
    """The job that removes what is old, at a time when all of it is."""
    settings = RetentionSettings(snapshot_days=1, orphan_hours=13, compact_from=2, archive_days=1, quarantine_days=1)
    for _, remove in LakeRetention(installation, [facts.spec], settings, datetime.now(UTC) + FOR_EVER).kinds():
        remove()


def discard(facts: Facts, installation: Installation) -> None:
    """An operator's decision on what is in quarantine."""
    quarantine = Quarantine(installation.quarantine, facts.spec.name)
    for entry in quarantine.entries():
        if entry.state is EntryState.OPEN and entry.table is not None:
            quarantine.decide(entry, EntryState.DISCARD, "planted", "simulation", datetime.now(UTC))


def remember(facts: Facts, installation: Installation) -> None:
    """The metadata of all tables."""
    store = installation.versions(facts.spec.name)
    for metadata in facts.tables:
        store.record(metadata, datetime.now(UTC))


def sense(facts: Facts, installation: Installation) -> None:
    """A tick of the landing sensor; fails if it asks for nothing."""
    sensor = build_landing_sensor(facts.spec)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources={"installation": installation}) as context,
    ):
        tick = sensor(context)
    assert isinstance(tick, dg.SensorResult)
    assert tick.run_requests, "files wait in landing, and the sensor asks for no run"


Work = Callable[[Facts, Installation], None]


def run(work: Work, facts: Facts, plan: str = "") -> int:
    """Do it in a child, with failpoints as in DMS_ASSETS_FAILPOINTS; its exit status."""
    process = _PROCESSES.Process(target=_work, args=(work, facts, dict(os.environ), plan))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _work(work: Work, facts: Facts, environment: Mapping[str, str], plan: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    logging.basicConfig(level=logging.CRITICAL)
    failpoints._PLAN.update(failpoints.parse(plan))
    ledger.PART = LEDGER_PART
    work(facts, Installation())
