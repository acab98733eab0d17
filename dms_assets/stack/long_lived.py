"""The stack that looks after itself: everything on one folder, started in order, kept alive, stopped in order."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec
from dms_assets.sample.connection import read_secret
from dms_assets.sources import read_sources
from dms_assets.stack.detached import LOG_NAME
from dms_assets.stack.leftovers import end_leftovers
from dms_assets.stack.log_rotation import rotate
from dms_assets.stack.milestones import Milestones
from dms_assets.stack.parts import Part, Parts
from dms_assets.stack.progress_log import ProgressLog
from dms_assets.stack.sample_source import embedded_postgres, ensure_sample
from dms_assets.stack.source_choice import is_embedded
from dms_assets.stack.stack_file import STACK_FILE, ProcessInfo, StackFile, StackState, State, write_stack_file
from dms_assets.stack.stack_lock import take
from dms_assets.stack.supervised import Child, PartChild, PostgresChild, Supervised

_TICK_S = 0.5
_ROTATE_EVERY_S = 60.0
SAMPLE_SEED = 20_260_101
_STOP_ORDER = (("workload", "ui", "ui_read_only"), ("daemon",), ("code_server",), ("local_dms",), ("postgres",))


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What a long-lived stack has. `port` is for the read-write web server; `scale` 1 is 200,000 rows."""

    web: bool = True
    workload: bool = True
    port: int | None = None
    scale: float = 1.0


class LongLivedStack:
    """One stack on one folder; a second one is refused (StackInUseError). What a dead one left running is ended."""

    def __init__(self, home: Path, options: StackOptions, log: ProgressLog) -> None:
        self.environment = Environment(home=home.absolute())
        self.parts = Parts(self.environment)
        self.specs: list[SourceSpec] = list(read_sources()[0].values())
        self.log = log
        self._options = options
        self._children: list[Supervised] = []
        self._state = StackState.STARTING
        self._started_at = datetime.now(UTC)
        self._written: StackFile | None = None
        self._rotate_at = 0.0
        self._lock = take(self.environment.root)
        if ended := end_leftovers(self.environment.root):
            log.say(f"ended {ended} processes that an earlier stack left when it was killed")
        self._milestones = Milestones(Installation(self.environment), self.parts.dms_client, self.specs, log.say)

    def start(self) -> None:
        """Start everything, each step told with its seconds. Raises ProcessFailedError or PostgresError."""
        if self._options.web:
            self.parts.choose_ui_ports(self._options.port)
        # Its start takes longest and needs nothing: it begins first, and is awaited when it is needed.
        code_server = self._launch(self.parts.code_server())
        embedded = [spec for spec in self.specs if is_embedded(self.environment, spec)]
        for spec in embedded:
            self._start_postgres(spec)
        with self.log.stage("Local DMS"):
            self._launch(self.parts.local_dms()).wait()
        with self.log.stage("Code server: parses the dbt project if it changed, then loads the definitions"):
            code_server.wait()
        with self.log.stage("Daemon" + (" and web servers" if self._options.web else "")):
            # With the code server its runs die. They are started again by the daemon, which gives each one chance:
            # it must not take it before there is a code server again.
            self._launch(self.parts.daemon(), needs=code_server).wait()
            if self._options.web:
                servers = [self._launch(self.parts.web_server(read_only=read_only)) for read_only in (False, True)]
                for server in servers:
                    server.wait()
        if self._options.workload:
            for spec in embedded:
                self._launch(self.parts.workload(spec.connection.secret)).wait()
        self._milestones.start()
        self._state = StackState.UP
        self.tick()

    def run(self) -> None:
        """Look after it for ever; an exception raised by a signal is the end."""
        while True:
            self.tick()
            time.sleep(_TICK_S)

    def tick(self) -> None:
        """Look once after every child, capture and logs. Short, but for the start of a child that died."""
        for child in self._children:
            child.tick()
        if self._state is not StackState.STARTING:
            up = all(child.state is State.UP for child in self._children)
            self._state = StackState.UP if up else StackState.DEGRADED
            self._milestones.check()
        if time.monotonic() >= self._rotate_at:
            for log in (*(child.child.log for child in self._children), self.parts.logs / LOG_NAME):
                rotate(log)
            self._rotate_at = time.monotonic() + _ROTATE_EVERY_S
        self._write()

    def describe(self) -> StackFile:
        """What other processes may know of it."""
        environment = self.environment
        urls = {"local_dms": self.parts.dms_url}
        if self._options.web:
            urls |= {"ui": self.parts.ui_url(read_only=False), "ui_read_only": self.parts.ui_url(read_only=True)}
        paths = {
            "warehouse": environment.published_file,
            "landing": environment.landing_dir,
            "lake": environment.lake_dir,
            "archive": environment.archive_dir,
            "quarantine": environment.quarantine_dir,
            "ledger": environment.ledger_dir,
            "state": environment.state_dir,
            "dagster": environment.dagster_home,
            "secrets": environment.secrets_dir,
            "logs": self.parts.logs,
            "workspace": self.parts.workspace_file,
        }
        processes = {
            child.child.name: ProcessInfo(child.child.pid, str(child.child.log), child.state, child.restarts)
            for child in self._children
        }
        return StackFile(
            pid=os.getpid(),
            home=str(environment.root),
            state=self._state,
            started_at=self._started_at,
            urls=urls,
            databases=self._databases(),
            paths={name: str(path) for name, path in paths.items()},
            processes=processes,
        )

    def stop(self) -> None:
        """Stop everything, users before what they use, told step by step, and give the folder back."""
        self._state = StackState.STOPPING
        running = {child.child.name: child for child in self._children}
        with ExitStack() as end:
            end.callback(self._lock.close)
            end.callback((self.environment.root / STACK_FILE).unlink, missing_ok=True)
            # What a signal cut off in the middle of its start is on no list.
            end.callback(end_leftovers, self.environment.root)
            end.callback(self._milestones.stop)
            for group in reversed(_STOP_ORDER):
                end.callback(self._stop, [running[name] for name in group if name in running])
            self._write()
        self._children = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _databases(self) -> dict[str, str]:
        """Read every time: a database may have another port after it was started again."""
        paths = {spec.name: self.environment.secret_path(spec.connection.secret) for spec in self.specs}
        known = {name: read_secret(path) for name, path in paths.items() if path.is_file()}
        return {name: f"postgresql://{i.username}@{i.host}:{i.port}/{i.dbname}" for name, i in known.items()}

    def _start_postgres(self, spec: SourceSpec) -> None:
        postgres = embedded_postgres(self.environment, spec)
        with self.log.stage("PostgreSQL with the sample source"):
            self._supervise(PostgresChild(postgres)).wait()
            report = ensure_sample(postgres.dsn, scale=self._options.scale, seed=SAMPLE_SEED)
            self.log.say(f"{report.total:,} rows in {len(report.rows)} tables" if report else "the sample is there")

    def _launch(self, part: Part, *, needs: Supervised | None = None) -> Supervised:
        return self._supervise(PartChild(part), needs=needs)

    def _supervise(self, child: Child, *, needs: Supervised | None = None) -> Supervised:
        supervised = Supervised(child, self._tell, needs=needs)
        self._children.append(supervised)
        supervised.start()
        self._write()
        return supervised

    def _stop(self, children: list[Supervised]) -> None:
        """Those of one group at the same time."""

        def stop(child: Supervised) -> None:
            began = time.monotonic()
            child.stop()
            self.log.say(f"{child.child.title} is stopped ({time.monotonic() - began:.1f} s)")

        with ThreadPoolExecutor(max_workers=len(_STOP_ORDER[0])) as executor:
            for stopped in [executor.submit(stop, child) for child in children]:
                stopped.result()

    def _tell(self, text: str) -> None:
        self.log.say(f"{datetime.now(UTC):%H:%M:%S} UTC: {text}")

    def _write(self) -> None:
        found = self.describe()
        if found != self._written:
            write_stack_file(self.environment.root, found)
            self._written = found
