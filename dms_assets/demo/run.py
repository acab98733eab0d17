"""The demo: a real PostgreSQL to proven curated history, by sensors and automation alone, with faults on the way."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import dagster as dg
from rich.console import Console

from dms_assets.demo.evidence import happenings, table_evidence
from dms_assets.demo.planted_files import plant_corrupt_file, plant_retyped_file
from dms_assets.demo.recording import record_instant
from dms_assets.demo.report import print_control, print_happenings, print_provenance, print_seconds, print_tables
from dms_assets.installation import Installation
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.model.failpoints import KILLED_STATUS
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.status.progress import TableProgress
from dms_assets.pipeline.status.provenance import read_provenance
from dms_assets.reconcile.compare import compare
from dms_assets.reconcile.comparison import Comparison
from dms_assets.reconcile.negative_control import negative_control
from dms_assets.reconcile.source_state import SourceState
from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.workload import Workload
from dms_assets.sample.workload_counts import WorkloadCounts
from dms_assets.sources import find_source
from dms_assets.stack.capture import ensure_capture
from dms_assets.stack.local_stack import LocalStack
from dms_assets.stack.looks import Looks
from dms_assets.stack.progress_log import ProgressLog
from dms_assets.stack.sample_source import embedded_postgres, ensure_sample
from dms_assets.stack.source_choice import SAMPLE_SOURCE as SOURCE

Command = Callable[..., None]

INSTANTS = 5
CORRUPT_TABLE, RETYPED_TABLE = "address", "payment"
REDELIVERY_FAILPOINT = "local_dms.before_confirm=kill@8"
"""Local DMS dies after the files of its eighth cycle are durable and before it confirms them."""
RATE = 60.0
"""Transactions a second of the workload; the machine also has to run the platform."""
OTHERS = 3
"""So many other tables must go on while two are held."""
INSTANT_EVERY_S = 2.0
_PATIENCE_S = 240.0


class DirectoryNotEmptyError(ValueError):
    """The folder named for the demo holds something."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is not empty; name a new or an empty folder for the demo")


def run_demo(directory: Path | None, command: Command, *, scale: float, keep: bool, seed: int) -> bool:
    """Run everything; whether the proof holds. The scratch folder stays if it does not, or if `keep`.

    `command` runs a command of ours, given by its arguments, as an operator would.
    """
    if directory is None:
        base = Path(".dms").absolute()
        base.mkdir(exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix="demo-", dir=base))
    elif directory.exists() and any(directory.iterdir()):
        # What is removed at the end must be what the demo made.
        raise DirectoryNotEmptyError(directory)
    proved = False
    try:
        with LocalStack(directory) as stack, ExitStack() as cleanup:
            proved = _Demo(stack, cleanup, command, scale=scale, seed=seed).run()
    finally:
        if proved and not keep:
            shutil.rmtree(directory)
        else:
            click.echo(f"Everything is kept in {directory}")
    click.secho("PROVED" if proved else "NOT PROVED", fg="green" if proved else "red", bold=True)
    return proved


class _Demo:
    """The stages in order. What they share is here; each stage reads as what an operator would do and see."""

    def __init__(self, stack: LocalStack, cleanup: ExitStack, command: Command, *, scale: float, seed: int) -> None:
        self.stack = stack
        self._command = command
        self.log = ProgressLog()
        self.spec: SourceSpec = find_source(SOURCE)
        self.installation = Installation(stack.environment)
        self.looks = Looks(self.installation, stack.parts.dms_client(), self.spec)
        self.postgres = embedded_postgres(stack.environment, self.spec)
        self.gate = CommitGate()
        self.scale, self.seed = scale, seed
        self.instants: list[SourceState] = []
        self.held_before: set[TableName] = set()
        self.restarted = False
        self._cleanup = cleanup
        cleanup.callback(self.postgres.stop)

    @property
    def tables(self) -> list[TableMetadata]:
        """The metadata of all tables, in the order of the declaration."""
        known = self.installation.known_metadata(self.spec)
        return [known[name] for name in self.spec.table_names if name in known]

    def run(self) -> bool:
        """All stages; whether the proof holds."""
        self._start()
        workload = self._load_beside_the_workload()
        self._bad_files_beside_good_ones()
        counts = self._release_and_drain(workload)
        return self._prove(counts)

    # Stages

    def _start(self) -> None:
        with self.log.stage("PostgreSQL with the sample source; Local DMS, code server and daemon"):
            self.stack.adopt_environment()
            # It takes longest: it parses the dbt project while the sample is made.
            self.stack.start_code_server()
            self.postgres.start()
            if (report := ensure_sample(self.postgres.dsn, scale=self.scale, seed=self.seed)) is not None:
                self.log.say(f"{report.total:,} rows in {len(report.rows)} tables")
            self.stack.start_local_dms(REDELIVERY_FAILPOINT)
            self.stack.start_daemon()
        with self.log.stage("Metadata, by the source sensor and automation"):
            self._wait(self.looks.no_metadata)

    def _load_beside_the_workload(self) -> Workload:
        with self.log.stage("Full load while the workload runs"):
            workload = Workload(self.postgres.dsn, self.gate, rate=RATE, seed=self.seed)
            self._cleanup.callback(self._stop_quietly, workload)
            workload.start()
            self.log.say(ensure_capture(self.installation, self.looks.client, self.spec))
            self._wait(self.looks.not_loaded)
        with self.log.stage("First build of curated, by the landing sensor and automation"):
            self._wait(self.looks.not_curated)
        workload.check()
        return workload

    def _bad_files_beside_good_ones(self) -> None:
        bucket = self.stack.environment.landing_dir
        corrupt, retyped = (TableName(self.spec.database_schema, name) for name in (CORRUPT_TABLE, RETYPED_TABLE))
        with self.log.stage(f"A corrupt and a retyped file; {INSTANTS - 1} instants recorded behind the commit gate"):
            plant_corrupt_file(bucket, self.spec, corrupt)
            _, column = plant_retyped_file(bucket, self.spec, self._metadata(retyped))
            self.log.say(f"noise for {corrupt}; {retyped} with column {column} as text")
            for _ in range(INSTANTS - 1):
                self._record()
                self._pause(INSTANT_EVERY_S)
        with self.log.stage("Their tables are held, the others flow"):
            self._wait(lambda: self._not_held({corrupt, retyped}))
            self.held_before = {corrupt, retyped}
            before = {item.name: item for item in self.looks.progress()}
            self._wait(lambda: self._others_stand_still(before))

    def _release_and_drain(self, workload: Workload) -> WorkloadCounts:
        with self.log.stage("The operator discards the bad files; workload and task are stopped"):
            self._record()
            self._command("quarantine", "list")
            for entry in self._quarantined():
                self._command("quarantine", "discard", entry, "--reason", "planted by the demo")
            counts = workload.stop()
            end = self.looks.log_end()
            self._wait(lambda: self.looks.not_captured(end))
            self._command("task", "stop", SOURCE)
        with self.log.stage("Held tables go on, everything drains"):
            self._wait(self.looks.not_settled)
        return counts

    def _prove(self, counts: WorkloadCounts) -> bool:
        published = self.stack.environment.published_file
        with self.log.stage(f"Comparison with the source, now and as of {len(self.instants)} instants"):
            final = record_instant(self.postgres.dsn, self.gate, self.tables, self._folder("final"))
            # Two at a time: one comparison keeps little more than one core busy.
            with ThreadPoolExecutor(max_workers=2) as executor:
                compared = partial(compare, warehouse=published, source=SOURCE, tables=self.tables)
                current = executor.submit(compared, final, as_of=False)
                past = {state.at: executor.submit(compared, state, as_of=True) for state in self.instants}
                now = current.result()
                then: dict[datetime, Comparison] = {at: found.result() for at, found in past.items()}
            negative = negative_control(final, published, SOURCE, self.tables, self._folder("control"))
        with dg.DagsterInstance.from_config(str(self.stack.environment.dagster_home)) as instance:
            provenance = read_provenance(instance)
        keyed = {table.name: bool(table.key) for table in self.tables}
        evidence = table_evidence(self.installation, self.spec, keyed)
        happened = happenings(counts, evidence)
        console = Console(width=max(120, Console().width))
        print_tables(console, evidence, now, then, self.held_before)
        print_happenings(console, happened)
        print_provenance(console, provenance)
        print_control(console, negative)
        print_seconds(console, self.log.seconds)
        return (
            now.equal
            and len(then) >= INSTANTS
            and all(comparison.equal for comparison in then.values())
            and len(evidence) == len(self.spec.tables)
            and negative.exact
            and provenance.unattended
            and self.restarted
            and all(item.seen for item in happened)
        )

    # Looks: None when reached, else what is missing

    def _not_held(self, expected: set[TableName]) -> str | None:
        held = {item.name for item in self.looks.progress() if item.held}
        return f"held: {', '.join(map(str, sorted(held))) or 'none'}" if held != expected else None

    def _others_stand_still(self, before: dict[TableName, TableProgress]) -> str | None:
        now = self.looks.progress()
        moved = [item.name for item in now if item.curated_batch > before[item.name].curated_batch]
        # What was committed before they were held may be in a build that was under way.
        beyond = {item.name for item in now if item.curated_batch > before[item.name].batch}
        if wrong := self.held_before & beyond:
            raise RuntimeError(f"held tables were curated: {', '.join(map(str, wrong))}")
        return f"{len(moved)} other tables went on" if len(moved) < OTHERS else None

    # Means

    def _wait(self, look: Callable[[], str | None]) -> None:
        self.log.wait_until(look, _PATIENCE_S, check=self._check_processes)

    def _pause(self, seconds: float) -> None:
        """Let the processes go on for a while."""
        until = time.monotonic() + seconds
        self._wait(lambda: "" if time.monotonic() < until else None)

    def _check_processes(self) -> None:
        """Local DMS is expected to die once, at its failpoint; it is started again and must deliver again."""
        local_dms = self.stack.local_dms
        if not self.restarted and local_dms is not None and local_dms.returncode == KILLED_STATUS:
            self.log.say("Local DMS died between writing files and confirming them; started again")
            self.stack.start_local_dms()
            self.restarted = True
        self.stack.check()

    def _metadata(self, name: TableName) -> TableMetadata:
        return next(table for table in self.tables if table.name == name)

    def _folder(self, name: str) -> Path:
        return self.stack.environment.root / "proof" / name

    def _record(self) -> None:
        number = len(self.instants) + 1
        state = record_instant(self.postgres.dsn, self.gate, self.tables, self._folder(f"instant-{number}"))
        self.instants.append(state)
        self.log.say(f"instant {number}: {state.at:%H:%M:%S.%f} UTC, {sum(state.rows.values()):,} rows")

    def _quarantined(self) -> list[str]:
        entries = Quarantine(self.installation.quarantine, SOURCE).entries()
        return [entry.entry_id for entry in entries if entry.state is EntryState.OPEN]

    @staticmethod
    def _stop_quietly(workload: Workload) -> None:
        if workload.running:
            workload.stop()
