"""A small stack that runs in the background, as an operator starts it, and everything a test of faults looks at."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg
import duckdb
import psutil
import psycopg

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.pinned_snapshot import pinned_snapshot, validated_identifier
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.sample.connection import read_secret
from dms_assets.sources import find_source
from dms_assets.stack.leftovers import find_leftovers
from dms_assets.stack.stack_file import StackFile, StackState, read_stack_file

SOURCE = "probation"
REGION = TableName("probation", "region")
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
BEGUN = [status for status in UNFINISHED if status not in {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}]


def alive(process: psutil.Process) -> bool:
    """Whether it still runs: a dead one that nobody has asked after yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class RunningStack:
    """A stack on one folder: up inside the block, down after it."""

    home: Path
    scale: str = "0.01"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the folder, whatever its exit status is."""
        line = [sys.executable, "-m", "dms_assets.cli", *arguments, "--dir", str(self.home)]
        return subprocess.run(line, capture_output=True, text=True, timeout=500, check=False)

    def json(self, *arguments: str) -> Any:
        """What a command that must succeed prints."""
        done = self.command(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def up(self) -> Any:
        """Start it; nothing if it is up."""
        return self.json("stack", "up", "--scale", self.scale, "--no-workload")

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "instance" in vars(self):
            self.instance.__exit__(None, None, None)
        self.command("stack", "down")

    @cached_property
    def spec(self) -> SourceSpec:
        """The sample source."""
        return find_source(SOURCE)

    @cached_property
    def installation(self) -> Installation:
        """Its stores."""
        return Installation(Environment(home=self.home))

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Its Dagster instance, beside the processes that use it."""
        return dg.DagsterInstance.from_config(str(self.home / "dagster")).__enter__()

    @property
    def file(self) -> StackFile | None:
        """What the supervisor says of itself, None while there is none."""
        return read_stack_file(self.home)

    @property
    def dsn(self) -> str:
        """The source's address: read every time, the port may be another after a restart."""
        return read_secret(self.installation.environment.secret_path(self.spec.connection.secret)).dsn

    def pid(self, part: str) -> int:
        """The process of a part. Raises LookupError while it has none."""
        found = self.file
        pid = found.processes[part].pid if found is not None else None
        if pid is None:
            raise LookupError(f"{part} has no process now")
        return pid

    def up_with(self, parts: dict[str, int]) -> bool:
        """Whether all is up, and these parts run in other processes than those given."""
        found = self.file
        return (
            found is not None
            and found.state is StackState.UP
            and all(found.processes[part].pid not in {None, pid} for part, pid in parts.items())
        )

    def run_workers(self) -> list[psutil.Process]:
        """The processes of runs: children of the fork server below the code server."""
        try:
            servers = psutil.Process(self.pid("code_server")).children()
            forking = [server for server in servers if "forkserver" in " ".join(server.cmdline())]
            return [child for server in forking for child in server.children()]
        except (psutil.NoSuchProcess, LookupError):
            return []

    def validation_workers(self) -> list[psutil.Process]:
        """The processes that read untrusted files, below those of runs."""
        found = []
        for worker in self.run_workers():
            try:
                found += [c for c in worker.children() if "dms_assets.validation.worker" in c.cmdline()]
            except psutil.NoSuchProcess:
                continue
        return found

    def run_of(self, worker: psutil.Process) -> str | None:
        """The run that a process executes, by its own word in the event log."""
        for record in self.instance.get_run_records(dg.RunsFilter(statuses=BEGUN)):
            run_id = record.dagster_run.run_id
            told = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
            if any(f"pid: {worker.pid})" in event.message for event in told):
                return run_id
        return None

    def unfinished(self) -> list[str]:
        """The runs that have not ended, by id."""
        records = self.instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
        return [record.dagster_run.run_id for record in records]

    def held_slots(self) -> int:
        """Pool slots that somebody holds."""
        storage = self.instance.event_log_storage
        pools = [storage.get_concurrency_info(key) for key in storage.get_concurrency_keys()]
        return sum(pool.active_slot_count for pool in pools)

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        found = self.file
        if found is None:
            return []
        supervisor = psutil.Process(found.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def orphans(self) -> list[psutil.Process]:
        """Processes of the stack that nobody of the stack looks after."""
        own = set(self.family())
        return [process for process in find_leftovers(self.home) if process not in own and alive(process)]

    def insert_region(self, code: str) -> None:
        """One row that everybody can recognise."""
        with psycopg.connect(self.dsn, connect_timeout=5) as connection:
            connection.execute("insert into probation.region (code, name) values (%s, %s)", [code, code])

    def published(self, question: str) -> list[tuple[Any, ...]]:
        """The rows of a question to the published warehouse."""
        with duckdb.connect(str(self.installation.environment.published_file), read_only=True) as connection:
            return connection.execute(question).fetchall()

    def validated_regions(self) -> set[str]:
        """The codes of the regions that were taken in."""
        found = pinned_snapshot(self.installation.catalog, validated_identifier(SOURCE, REGION))
        if found is None or not found.files:
            return set()
        with duckdb.connect() as connection:
            rows = connection.execute("select distinct code from read_parquet(?)", [list(found.files)]).fetchall()
        return {str(code) for (code,) in rows}

    def curated_regions(self) -> set[str]:
        """The codes of the regions that analysts see."""
        return {str(code) for (code,) in self.published("select code from probation_probation_curated.region")}
