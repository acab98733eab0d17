"""Load tables of a source again: who asked and why is kept, and the load's place in the log is right.

A load takes its place by its boundary, which must not lie before a change that was lost, or the changes after the
boundary would bring back what the load no longer has. Local DMS gives the exact boundary. Where it is only a time,
known to the skew of the clocks, a reload begins that much later, so that what was lost before the request lies before
the boundary. What a broken stream lost has no place at all: it takes a new stream, in which every table is loaded.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dms_assets.dms import control
from dms_assets.dms.task_reader import task_identifier
from dms_assets.installation import Installation
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.stuck_loads import StuckLoads
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.document_format import load
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.task_state import TABLE_ERROR, TaskState
from dms_assets.pipeline.checks.hold import read_summaries
from dms_assets.pipeline.declared_tables import declared_tables
from dms_assets.pipeline.status.progress import curated_batches

if TYPE_CHECKING:
    from mypy_boto3_dms import DatabaseMigrationServiceClient

FORMAT = 1
LOOK_S = 2.0
REFUSED_AFTER_S = 10.0
"""How long DMS must say that a table is in error: right after the request that may still be what was wrong before."""


class ReloadRefusedError(ValueError):
    """A request for a reload that cannot be met as it is."""


class ReloadNotDoneError(TimeoutError):
    """The tables were not loaded and curated in time; the reload goes on."""


@dataclass(frozen=True, slots=True)
class Reload:
    """One request: which tables, who asked, when and why. `fresh_stream`: all tables, in a new stream."""

    tables: tuple[TableName, ...]
    reason: str
    by: str
    at: datetime
    fresh_stream: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "tables": [str(name) for name in self.tables],
            "reason": self.reason,
            "by": self.by,
            "at": self.at.isoformat(),
            "fresh_stream": self.fresh_stream,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reload:
        """The request that `to_json` wrote."""
        tables = tuple(TableName.parse(name) for name in data["tables"])
        return cls(tables, data["reason"], data["by"], datetime.fromisoformat(data["at"]), data["fresh_stream"])


class ReloadStore:
    """The requests of a source, a document each; never changed."""

    def __init__(self, state: ObjectStore, source: str) -> None:
        self._state = state
        self._prefix = f"reloads/{source}/"

    def record(self, reload: Reload) -> None:
        """Keep a request."""
        key = f"{self._prefix}{reload.at:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}.json"
        self._state.put(key, json.dumps({"format": FORMAT, **reload.to_json()}, indent=1).encode(), if_absent=True)

    def reloads(self) -> list[Reload]:
        """All requests, oldest first."""
        keys = sorted(meta.key for meta in self._state.list(self._prefix))
        return [Reload.from_json(load(self._state.get(key)[0], FORMAT, key)) for key in keys]


def plan_reload(spec: SourceSpec, tables: Sequence[str], reason: str, by: str, *, fresh_stream: bool = False) -> Reload:
    """A request, checked. Raises ReloadRefusedError or UnknownTableError."""
    if not reason.strip():
        raise ReloadRefusedError("a reload needs a reason; say what was found, it is kept with the request")
    if fresh_stream and tables:
        raise ReloadRefusedError("a fresh stream loads every table of the source; name no tables with it")
    if not fresh_stream and not tables:
        raise ReloadRefusedError("no table is named; name the tables to load again, or ask for a fresh stream")
    names = spec.table_names if fresh_stream else declared_tables(spec, tables)
    return Reload(tuple(names), reason.strip(), by, datetime.now(UTC), fresh_stream)


def carry_out(
    installation: Installation,
    spec: SourceSpec,
    client: DatabaseMigrationServiceClient,
    reload: Reload,
    *,
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Keep the request, and have DMS load. Raises TaskNotFoundError, TaskStateError or botocore's ClientError."""
    ReloadStore(installation.state, spec.name).record(reload)
    identifier = task_identifier(spec.name)
    if reload.fresh_stream:
        if unread := _loads_unread(installation, spec):
            say(
                f"DMS writes over loads that were never taken in, of {', '.join(name.table for name in unread)}: what "
                "these held between the last stream and this one stays unknown"
            )
        say(f"task {identifier} begins a new stream: every table is loaded again, and held until its load is in")
        control.start_afresh(client, identifier)
        return
    if spec.dms.clock_skew_s > 0:
        # Once for DMS's clock ahead of the source's, once for behind it.
        seconds = 2 * spec.dms.clock_skew_s
        say(f"waiting {seconds:.0f} s: the load's place in the log is only known to the skew of the clocks")
        pause(seconds)
    control.reload_tables(client, identifier, list(reload.tables))
    say(f"DMS loads {', '.join(name.table for name in reload.tables)} again")


def _loads_unread(installation: Installation, spec: SourceSpec) -> list[TableName]:
    """Tables without the load that the present stream began with. None before the first stream."""
    stream = max((known.ordinal for known in StreamStore(installation.state, spec.name).streams()), default=0)
    summaries = read_summaries(installation, spec, spec.table_names)
    return [name for name in summaries if stream and all(load.stream < stream for load in summaries[name].loads)]


@dataclass(frozen=True, slots=True)
class LoadsBefore:
    """The loads that tables had before a reload, and what was said of stuck ones, to tell the new from them."""

    loads: Mapping[TableName, frozenset[str]]
    stuck: Mapping[TableName, str | None]

    @classmethod
    def read(cls, installation: Installation, spec: SourceSpec, tables: Sequence[TableName]) -> LoadsBefore:
        """Those they have now."""
        summaries = read_summaries(installation, spec, tables)
        stuck = StuckLoads(installation.state, spec.name)
        return cls(
            {name: frozenset(load.load_id for load in found.loads) for name, found in summaries.items()},
            {name: stuck.reason(name) for name in tables},
        )

    def wait_for_new(
        self,
        installation: Installation,
        spec: SourceSpec,
        *,
        task: Callable[[], TaskState | None],
        timeout_s: float,
        say: Callable[[str], None],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Until every table has a new load that is curated. `task` asks DMS for its task; None if it does not answer.

        Raises ReloadRefusedError for a load that is stuck, or that DMS does not make; ReloadNotDoneError when the time
        is over.
        """
        deadline, told = time.monotonic() + timeout_s, ""
        refused: dict[TableName, float] = {}
        while waiting := self._waiting(installation, spec):
            if (known := task()) is not None:
                self._check_task(known, refused)
            if time.monotonic() >= deadline:
                raise ReloadNotDoneError(
                    f"{waiting}; the reload goes on. Let the stack run, and see `dms-assets status`"
                )
            if waiting != told:
                say(waiting)
            told = waiting
            pause(LOOK_S)

    def _check_task(self, task: TaskState, refused: dict[TableName, float]) -> None:
        """`refused` has since when (monotonic seconds) DMS says that tables are in error."""
        if task.status in {"failed", "stopped"}:
            reason = task.failure or task.stop_reason or "DMS gives no reason"
            raise ReloadRefusedError(f"task {task.identifier} is {task.status}: {reason}; start it again")
        now = time.monotonic()
        for name in self.loads:
            if name not in task.tables or task.tables[name].state != TABLE_ERROR:
                refused.pop(name, None)
            elif now - refused.setdefault(name, now) >= REFUSED_AFTER_S:
                raise ReloadRefusedError(
                    f"DMS does not load {name}: its state is '{TABLE_ERROR}'; the events of task {task.identifier} say "
                    "why. Remove the cause, then reload the table again"
                )

    def _waiting(self, installation: Installation, spec: SourceSpec) -> str | None:
        summaries = read_summaries(installation, spec, list(self.loads))
        curated = curated_batches(installation, spec.name)
        for name, summary in summaries.items():
            stuck = StuckLoads(installation.state, spec.name).reason(name)
            if stuck and stuck != self.stuck[name]:
                raise ReloadRefusedError(f"the load of {name} is stuck: {stuck}")
            if not {load.load_id for load in summary.loads} - self.loads[name]:
                return f"waiting for the load of {name}"
            if curated.get(name, 0) < summary.batch:
                return f"waiting for {name} to be curated"
        return None
