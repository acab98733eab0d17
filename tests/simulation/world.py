"""The real parts of a simulation: PostgreSQL, Local DMS, landing, validated tables, dbt; driven step by step."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from unittest.mock import patch

from dms_assets.curation.dbt_run import DbtTarget
from dms_assets.curation.generate import generate_models
from dms_assets.demo.recording import record_instant
from dms_assets.installation import Installation
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.object_store import PreconditionFailedError
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.model import watermark
from dms_assets.model.landed_file import FileKind, cdc_file_name, parse_key
from dms_assets.model.names import Layer, TableName, quote, warehouse_schema
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.dbt.build import build_models
from dms_assets.pipeline.dbt.catalogue import prepare_dbt, read_catalogue
from dms_assets.pipeline.ingestion import Ingestion
from dms_assets.pipeline.reconciliation.watermark import advance_watermark
from dms_assets.reconcile.compare import open_warehouse
from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.validation.outcome import Reason
from tests.curation.rendered import project_copy
from tests.simulation.capture import PATIENCE_S, Capture
from tests.simulation.ddl import add_column, break_log, change_no_row
from tests.simulation.forked_dms import ForkedStack
from tests.simulation.parts import KeptWorker, Landing, Recorded
from tests.simulation.rebuilt import rebuilt_differently
from tests.simulation.sessions import SCHEMA, Sessions
from tests.simulation.steps import FAILPOINTS, Do, Plan, Step

_LOG = logging.getLogger(__name__)

SOURCE = "sim"
LOAD_UNREAD = 4
"""In one of so many seeds the load of a stream may be written over by the next one before anything reads it."""


@dataclass
class World:
    """One simulation's parts. Use as a context manager."""

    plan: Plan
    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    recorded: list[Recorded] = field(default_factory=list)
    diverged: set[TableName] = field(default_factory=set)
    broken: dict[TableName, set[Do]] = field(default_factory=dict)
    """What was done to tables since the last checkpoint that their log does not tell of."""
    altered: set[TableName] = field(default_factory=set)
    """Tables that have columns which no metadata tells of yet."""
    found_equal: set[tuple[int, TableName]] = field(default_factory=set)
    """Recorded states, by number, and tables of them that curated showed right at some time."""
    planted: set[str] = field(default_factory=set)
    """Keys of files that may be rejected: put there by the test, or of a form that metadata did not tell of."""

    def __enter__(self) -> World:
        with ExitStack() as stack:
            self.stack = stack.enter_context(ForkedStack(self.folder / "home"))
            before = dict(os.environ)
            stack.callback(lambda: (os.environ.clear(), os.environ.update(before)))
            self.stack.adopt_environment()
            self.postgres = EmbeddedPostgres(self.stack.environment.postgres_dir, secret=f"{SOURCE}/dms")
            stack.enter_context(self.postgres)
            self.sessions = Sessions(self.postgres.dsn, self.plan.tables)
            stack.callback(self.sessions.close)
            self.sessions.create_tables()
            self.counts["rows before the first load"] += sum(map(self.sessions.run, self.plan.before))
            self.sessions.end_all()
            self.spec = SourceSpec.model_validate(
                {
                    "name": SOURCE,
                    "engine": "postgres",
                    "connection": {"secret": f"{SOURCE}/dms"},
                    "schema": SCHEMA,
                    "tables": [table.name for table in self.plan.tables],
                    "dms": {
                        "unique_positions": True,
                        "one_snapshot_loads": True,
                        "clock_skew_s": 0,
                        "cdc_max_batch_interval_s": 1,
                        "cdc_min_file_size_kb": 32,
                    },
                }
            )
            self.installation = Installation(self.stack.environment)
            self.landing = Landing(self.stack.environment.landing_dir)
            self.installation.__dict__["landing"] = self.landing
            self.worker = KeptWorker()
            stack.callback(self.worker.end)
            self._reflect()
            self.capture = Capture(
                self.stack, self.spec, self.installation, self.sessions, self.counts, strict=self.plan.strict
            )
            stack.enter_context(self.capture)
            if self.plan.seed % LOAD_UNREAD:
                self.drain()
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.close()

    def _reflect(self) -> None:
        with self.installation.source_connection(self.spec) as connection:
            found = reflect(connection, SCHEMA, [table.name for table in self.plan.tables])
        store = self.installation.versions(SOURCE)
        for metadata in found.tables.values():
            store.record(metadata, datetime.now(UTC))
        self.tables: list[TableMetadata] = list(found.tables.values())
        project = self.folder / "dbt_project"
        if not project.exists():
            project_copy(self.folder)
        generate_models(self.spec, self.tables, project / "models" / "curated" / SOURCE)
        self.target = DbtTarget(project, self.folder / "target", self.stack.environment.warehouse_file)
        prepare_dbt(self.target)

    def break_log(self, step: Step) -> bool:
        """Change a table in a way that no change tells of."""
        hit = break_log(self.sessions, step)
        if hit:
            name = TableName(SCHEMA, self.plan.tables[step.table].name)
            self.diverged.add(name)
            self.broken.setdefault(name, set()).add(step.do)
        return hit

    def count_cut_transactions(self) -> None:
        """Count the transactions whose changes of a table came in several files, each with others."""
        schema = warehouse_schema(SOURCE, SCHEMA, Layer.CURATED)
        with open_warehouse(self.stack.environment.published_file) as connection:
            for table in self.plan.tables:
                versions = f"{quote(schema)}.{quote(f'{table.name}_versions')}"
                row = connection.execute(
                    "select count(*) from (select 1 from (select _stream, split_part(_position, '.', 1) as lsn, _file, "
                    f"min(_position) as first from {versions} where _op <> 'LOAD' "
                    "group by 1, 2, 3) group by _stream, lsn having count(distinct first) > 1)"
                ).fetchone()
                assert row is not None
                self.counts["transactions cut into files"] += row[0]

    def add_column(self, step: Step) -> bool:
        """Add a column to a table of the source, of which no metadata tells yet."""
        added = add_column(self.sessions, step)
        if added:
            self.altered.add(TableName(SCHEMA, self.plan.tables[step.table].name))
        return added

    def change_no_row(self, step: Step) -> bool:
        """DDL that nothing has to follow."""
        return change_no_row(self.sessions, step)

    def read_metadata(self) -> None:
        """Read the source's metadata again, and let what was held for it be judged again."""
        self._reflect()
        quarantine = Quarantine(self.installation.quarantine, SOURCE)
        for entry in quarantine.entries():
            if entry.state is EntryState.OPEN and entry.table in self.altered:
                quarantine.decide(entry, EntryState.REPLAY, "its columns are known now", "me", datetime.now(UTC))
                self.planted.add(quarantine.report(entry).identity.key)
                self.counts["files held until metadata was read"] += 1
        self.altered.clear()

    # DMS

    def arm(self, step: Step) -> bool:
        """Let Local DMS die at a failpoint, in one of its next cycles."""
        self.capture.arm(FAILPOINTS[step.seed % len(FAILPOINTS)], step.number % 3 + 1)
        return True

    def resume(self) -> bool:
        """Stop and resume the task."""
        self.capture.resume()
        return True

    def ask_reload(self, names: Sequence[TableName]) -> bool:
        """Ask for tables to be loaded again."""
        self.capture.ask_reload(names)
        return True

    def begin_afresh(self) -> bool:
        """A new stream, which loads every table."""
        self.reloaded()
        self.capture.begin_afresh()
        if self.plan.seed % LOAD_UNREAD:
            self.drain(held=True)
        return self.record()

    def reloaded(self) -> None:
        """Wait for the loads asked for. What was open is committed then: the last recorded state is not the present."""
        if self.capture.reloaded():
            self.record()

    def arrived(self) -> None:
        """Everything committed so far is in landing, loads too."""
        self.capture.running()
        self.reloaded()
        self.capture.captured()

    # Landing and validated

    def tick(self) -> None:
        """What the platform's sensors do every half minute: look at the task, and at how far the log was read."""
        self.capture.poll()
        # One thread drives all sessions, so no commit is on its way.
        with patch.object(watermark, "COMMIT_TO_VISIBLE", timedelta(0)):
            advance_watermark(self.installation, self.spec, self.capture.task().arn)

    def duplicate(self, step: Step) -> bool:
        """One of the change files in landing is there a second time, under a later name."""
        # Of this stream: DMS writes what an earlier one wrote under the earlier one only.
        begun = self.capture.task().fresh_start
        files = [
            meta
            for meta in self.landing.list()
            if (key := parse_key(meta.key, SOURCE)) and key.kind is FileKind.CDC
            if begun and meta.last_modified >= begun
        ]
        if not files:
            return False
        chosen = files[step.seed % len(files)]
        data, _ = self.landing.get(chosen.key)
        name = cdc_file_name(datetime.now(UTC) + timedelta(milliseconds=step.number))
        # DMS may take that very name meanwhile: its file must not be written over.
        with suppress(PreconditionFailedError):
            self.landing.put(f"{chosen.key.rsplit('/', 1)[0]}/{name}", data, if_absent=True)
            return True
        return False

    def ingest(self, late: Random | None = None) -> bool:
        """One run over all tables. With `late`, half of the files are not there yet."""
        self.landing.late = late
        self.tick()
        with Ingestion(self.installation, self.spec, self.capture.dms) as ingestion:
            ingestion._worker = self.worker
            outcomes = [ingestion.take(table.name) for table in self.tables]
        self.landing.late = None
        self.counts["batches"] += sum(outcome.committed for outcome in outcomes)
        self.counts["rows"] += sum(outcome.rows for outcome in outcomes)
        quarantine = Quarantine(self.installation.quarantine, SOURCE)
        reports = [quarantine.report(entry) for entry in quarantine.entries()]
        foreseen = [report for report in reports if report.reason is Reason.SCHEMA and report.table in self.altered]
        rejected = [r.text() for r in reports if r.identity.key not in self.planted and r not in foreseen]
        assert not rejected, f"DMS wrote what validation rejects: {rejected[0]}"
        return any(outcome.committed for outcome in outcomes)

    def loads_wait(self) -> bool:
        """Whether a load of a table that has columns since is in landing: only the metadata before fits it."""
        keys = [parse_key(meta.key, SOURCE) for meta in self.landing.list()]
        return any(key and key.kind is FileKind.LOAD and key.table in self.altered for key in keys)

    def drain(self, *, held: bool = False) -> None:
        """Take in everything, at least once: a load without rows has no file.

        With `held`, quarantine may stay, and with it what waits for it.
        """
        deadline = time.monotonic() + PATIENCE_S
        self.ingest()
        while True:
            inbox = read_inbox(self.landing, self.spec).tables
            quarantined = Quarantine(self.installation.quarantine, SOURCE).held_tables()
            pending = {name for name, files in inbox.items() if files}
            if not (pending - quarantined.keys() if held else pending | quarantined.keys()):
                return
            assert time.monotonic() < deadline, f"files stay: {pending} in landing, {quarantined} in quarantine"
            self.ingest()

    # Curated

    def curate(self) -> bool:
        """As a run of the platform builds, all models of all tables that are not held."""
        models = read_catalogue(self.target).models
        built = build_models(self.installation, [self.spec], self.target, models, _LOG)
        for result in built.results:
            result.raise_for_failures()
        return True

    def record(self) -> bool:
        """Record the source. One thread drives all sessions, so no commit is on its way."""
        self.counts["instants"] += 1
        folder = self.folder / f"instant-{self.counts['instants']}"
        state = record_instant(self.postgres.dsn, CommitGate(), self.tables, folder)
        self.recorded.append(Recorded(state, frozenset(self.diverged), tuple(self.tables)))
        return True

    def rebuilt_differently(self) -> list[str]:
        """Relations whose rows depend on the way in which they grew."""
        self.counts["relations rebuilt"] += 3 * len(self.tables)
        return list(rebuilt_differently(self.target, SOURCE, [table.name for table in self.tables], self.folder))
