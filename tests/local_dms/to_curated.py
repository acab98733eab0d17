"""The real way from a source to curated, driven step by step: Local DMS, landing, ingestion, dbt, comparison."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psycopg

from dms_assets.curation.dbt_run import DbtTarget
from dms_assets.curation.generate import generate_models
from dms_assets.demo.recording import record_instant
from dms_assets.dms import control
from dms_assets.dms.provision import provision
from dms_assets.dms.task_reader import task_identifier
from dms_assets.environment import LANDING_BUCKET
from dms_assets.installation import Installation
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.metadata_replays import replay_what_metadata_explains
from dms_assets.lake.quarantine import Quarantine
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.stored_schema import BreakingSchemaError
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR, TableState
from dms_assets.pipeline.dbt.build import build_models
from dms_assets.pipeline.dbt.catalogue import prepare_dbt, read_catalogue
from dms_assets.pipeline.ingestion import Ingestion
from dms_assets.pipeline.resources import DmsResource
from dms_assets.pipeline.task_poll import poll_task_patiently
from dms_assets.reconcile.compare import compare
from dms_assets.reconcile.comparison import TableComparison
from dms_assets.reconcile.source_state import SourceState
from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.curation.rendered import project_copy
from tests.local_dms.service import until
from tests.simulation.forked_dms import ForkedStack
from tests.simulation.parts import KeptWorker

_LOG = logging.getLogger(__name__)

SOURCE, SCHEMA = "src", "app"
WAIT_S = 120.0


class ToCurated:
    """A source of one schema with all that comes behind it. `names` are the declared tables, there or not yet."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.spec = SourceSpec.model_validate(
            {
                "name": SOURCE,
                "engine": "postgres",
                "connection": {"secret": f"{SOURCE}/dms"},
                "schema": SCHEMA,
                "tables": list(names),
                "dms": {
                    "unique_positions": True,
                    "one_snapshot_loads": True,
                    "clock_skew_s": 0,
                    "cdc_max_batch_interval_s": 1,
                },
            }
        )
        self.stopped: dict[TableName, str] = {}
        """Tables that the last ingestion could not follow, and why."""
        self._unbuilt: set[TableName] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stack = stack.enter_context(ForkedStack(self.folder / "home"))
            before = dict(os.environ)
            stack.callback(lambda: (os.environ.clear(), os.environ.update(before)))
            self._stack.adopt_environment()
            environment = self._stack.environment
            self.postgres = stack.enter_context(EmbeddedPostgres(environment.postgres_dir, secret=f"{SOURCE}/dms"))
            self.source: psycopg.Connection[Any] = stack.enter_context(
                psycopg.connect(self.postgres.dsn, autocommit=True)
            )
            self.source.execute(f"create schema {SCHEMA}")
            self.source.execute(f"set search_path = {SCHEMA}")
            self.installation = Installation(environment)
            self.quarantine = Quarantine(self.installation.quarantine, SOURCE)
            self.dms = DmsResource(region_name=environment.region)
            self._worker = KeptWorker()
            stack.callback(self._worker.end)
            project_copy(self.folder)
            self.target = DbtTarget(self.folder / "dbt_project", self.folder / "target", environment.warehouse_file)
            self._stack.start_local_dms()
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    # The source and its metadata

    def read_metadata(self) -> None:
        """Reflect what is there; files that this explains are judged again; models are generated anew."""
        with self.installation.source_connection(self.spec) as connection:
            found = reflect(connection, SCHEMA, [name.table for name in self.spec.table_names])
        store, now = self.installation.versions(SOURCE), datetime.now(UTC)
        for metadata in found.tables.values():
            store.record(metadata, now)
        self.gone = set(found.missing)
        self.tables = self.installation.known_metadata(self.spec)
        versions = {name: metadata.version for name, metadata in self.tables.items()}
        replay_what_metadata_explains(self.quarantine, self.quarantine.entries(), versions, now)
        models = self.target.project_dir / "models" / "curated" / SOURCE
        generate_models(self.spec, list(self.tables.values()), models)
        prepare_dbt(self.target)

    def state(self) -> SourceState:
        """The source now, of the tables that are there."""
        tables = [metadata for name, metadata in self.tables.items() if name not in self.gone]
        return record_instant(self.postgres.dsn, CommitGate(), tables, self.folder / f"instant-{time.time_ns()}")

    # DMS

    @property
    def statistics(self) -> dict[TableName, TableState]:
        """What DMS says of the tables."""
        return poll_task_patiently(self.dms, SOURCE).tables

    def events(self) -> list[str]:
        """What DMS told so far."""
        pages = self.dms.client().get_paginator("describe_events").paginate()
        return [event["Message"] for page in pages for event in page["Events"]]

    def start(self) -> None:
        """Make the task and start it; wait until all known tables are loaded."""
        self.provision()
        control.start(self.dms.client(), task_identifier(SOURCE))
        until(lambda: self._settled(self.tables), WAIT_S)

    def provision(self) -> None:
        """Make the task as the declaration and what is known of the tables ask for; it must not run."""
        credentials = self._stack.environment.secret(self.spec.connection.secret)
        excluded = {name: metadata.excluded for name, metadata in self.tables.items()}
        provision(self.dms.client(), self.spec, credentials, LANDING_BUCKET, excluded)

    def resume(self, new: Collection[TableName] = ()) -> None:
        """Start the task again and wait until every table is loaded or suspended, new ones too."""
        control.start(self.dms.client(), task_identifier(SOURCE))
        until(lambda: self._settled(new), WAIT_S)

    def stop(self) -> None:
        """Stop the task: what it holds is written."""
        control.stop(self.dms.client(), task_identifier(SOURCE))

    def _settled(self, wanted: Collection[TableName]) -> bool:
        now = self.statistics
        states = {table.state for table in now.values()}
        return now.keys() >= set(wanted) and states <= {TABLE_COMPLETED, TABLE_ERROR}

    def reload(self, names: Collection[TableName]) -> None:
        """Load tables again, and wait until they are."""
        before = {name: table.load_started for name, table in self.statistics.items()}
        control.reload_tables(self.dms.client(), task_identifier(SOURCE), sorted(names))

        def look() -> bool:
            now = self.statistics
            return all(now[n].state == TABLE_COMPLETED and now[n].load_started != before[n] for n in names)

        until(look, WAIT_S)

    def captured(self) -> None:
        """Wait until every change committed so far is in landing."""
        row = self.source.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        behind = "select 1 from pg_replication_slots where confirmed_flush_lsn < %s::pg_lsn"
        until(lambda: self.source.execute(behind, row).fetchone() is None, WAIT_S)

    # Validated and curated

    def ingest(self) -> None:
        """Take in what there is, twice: of a load's end two polls must agree."""
        for _ in range(2):
            task = poll_task_patiently(self.dms, SOURCE)
            StreamStore(self.installation.state, SOURCE).register(task)
            self.stopped.clear()
            with Ingestion(self.installation, self.spec, self.dms) as ingestion:
                ingestion._worker = self._worker
                inbox = read_inbox(self.installation.landing, self.spec).tables
                held = self.quarantine.held_tables()
                for name in self.tables:
                    if inbox.get(name) or name in held:
                        self._take(ingestion, name)
            PollStore(self.installation.state, SOURCE).record(task, datetime.now(UTC))

    def _take(self, ingestion: Ingestion, name: TableName) -> None:
        try:
            if ingestion.take(name).committed:
                self._unbuilt.add(name)
        except BreakingSchemaError as error:
            self.stopped[name] = str(error)

    def build(self) -> None:
        """The models of tables that have something new and are not held. Raises DbtFailedError if one fails."""
        wanted, self._unbuilt = self._unbuilt, set()
        models = [model for model in read_catalogue(self.target).models if {name for _, name in model.tables} & wanted]
        for result in build_models(self.installation, [self.spec], self.target, models, _LOG).results:
            result.raise_for_failures()

    def unequal(self, state: SourceState) -> dict[TableName, TableComparison]:
        """Tables whose history at a state's instant is not that state."""
        tables: list[TableMetadata] = [self.tables[name] for name in state.rows]
        found = compare(state, self._stack.environment.published_file, SOURCE, tables, as_of=True)
        return {table.table: table for table in found.unequal}
