"""Loads inside a live stream: at a snapshot with an exact boundary, while changes go on.

The boundary is made between two cycles of the stream: a temporary slot gives a snapshot at an LSN; all changes before
it are made durable; then the clock is raised above theirs and stored as the loads' start, so that sequences of earlier
changes are below it and those of later changes are not. The start is no later than it must be: about when the
snapshot was asked for, so that what commits after it has a later time too, but for what shares a hundredth of a second
with a commit before it. From there
on the two are independent: the rows are read at the snapshot by a thread of their own, and changes flow, those of the
tables that are loading too.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from dms_assets.local_dms.context import TaskContext, now
from dms_assets.local_dms.faults import TableError, TaskError, TaskStoppedError
from dms_assets.local_dms.loading import load_at
from dms_assets.local_dms.membership import take_up
from dms_assets.local_dms.postgres.catalog import SourceTable, read_tables
from dms_assets.local_dms.postgres.slot import SlotBlockedError, Snapshot, exporting_slot
from dms_assets.local_dms.stream import ChangeStream
from dms_assets.local_dms.suspension import suspend
from dms_assets.local_dms.tables import (
    COMPLETED,
    ERROR,
    RELOAD_MEMBER,
    RELOADING,
    UNTOLD_MEMBER,
    prepare_targets,
    table_name,
)
from dms_assets.model import failpoints
from dms_assets.model.names import TableName
from dms_assets.model.sequence import hundredths

_WAIT_S = 0.005
_AHEAD_S = 1.0
_SLOT_WAIT_S = 5.0
"""How long changes may wait for a snapshot before they are let through and it is tried again."""


@dataclass(slots=True)
class _Running:
    """A reload under way. `held` keeps its snapshot; `stop` ends it early."""

    held: ExitStack
    stop: threading.Event
    suspended: Future[list[TableName]]


@dataclass(slots=True)
class Reloads:
    """The reloads of a stream, one at a time; a request that comes meanwhile is the next one."""

    context: TaskContext
    changes: ChangeStream
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reload"))
    _running: _Running | None = None
    _blocked: bool = False

    def __enter__(self) -> Self:
        """Ask again for what a stop, a kill or a lost connection interrupted: its snapshot is gone."""
        for statistics in self.context.store.statistics(self.context.arn):
            if statistics["TableState"] not in {COMPLETED, ERROR}:
                self.context.store.update_table(self.context.arn, table_name(statistics), **{RELOAD_MEMBER: True})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cancel()
        self._pool.shutdown()

    def step(self) -> None:
        """Take note of a reload that has ended, and begin the one that was asked for."""
        if self._running is not None and self._running.suspended.done():
            self._finish(self._running)
        if self._running is None:
            statistics = self.context.store.statistics(self.context.arn)
            # The loss of a table is told first: taking it up again would forget it.
            names = [table_name(one) for one in statistics if one.get(RELOAD_MEMBER) and UNTOLD_MEMBER not in one]
            if names:
                self._try(names)

    def _try(self, names: Sequence[TableName]) -> None:
        """Begin, or let changes flow and try again: an open transaction may last, and changes wait for it."""
        try:
            self._begin(names)
        except SlotBlockedError as error:
            if not self._blocked:
                self.context.say(f"A reload waits for its snapshot. {error}", "warning")
            self._blocked = True
        else:
            self._blocked = False

    def cancel(self) -> None:
        """End a reload that runs; its tables stay `Table is being reloaded`, and are asked for at the next start."""
        if self._running is None:
            return
        running, self._running = self._running, None
        running.stop.set()
        with running.held:
            # Whatever ended it now: the task stops, or tries again, for a reason of its own.
            running.suspended.exception()

    def _finish(self, running: _Running) -> None:
        self._running = None
        with running.held:
            self.changes.suspend(running.suspended.result())
        if "FullLoadFinishDate" not in self.context.store.get(self.context.arn):
            self.context.store.update(self.context.arn, FullLoadFinishDate=now().timestamp())

    def _begin(self, names: Sequence[TableName]) -> None:
        context = self.context
        names = take_up(context, self.changes, names)
        if not names:
            return
        asked = hundredths(now()) + 1
        with ExitStack() as stack:
            snapshot = stack.enter_context(
                exporting_slot(
                    context.source,
                    f"local_dms_reload_{uuid.uuid4().hex[:12]}",
                    temporary=True,
                    timeout_s=min(context.settings.consistency_timeout_s, _SLOT_WAIT_S),
                    stopped=context.stop.is_set,
                )
            )
            boundary = self._boundary(snapshot, asked, names)
            tables = self._present(names)
            prepare_targets(context, tables)
            self.changes.resume(table.name for table in tables)
            if boundary - now().timestamp() > _AHEAD_S:
                context.say(f"A reload waits until {boundary:.2f} (s since 1970): the clock here went back", "warning")
            while now().timestamp() < boundary:
                # A file of this load must not be older than the load's start.
                context.stop.wait(_WAIT_S)
                context.check_stop()
            stop = threading.Event()
            job = self._pool.submit(
                _load, replace(context, stop=stop), tables, snapshot.name, datetime.fromtimestamp(boundary, UTC)
            )
            self._running = _Running(stack.pop_all(), stop, job)

    def _boundary(self, snapshot: Snapshot, asked: int, names: Sequence[TableName]) -> float:
        """Make the boundary durable and take the request; seconds since 1970.

        `asked` is when the snapshot was asked for, in hundredths.
        """
        context, changes = self.context, self.changes
        changes.catch_up(snapshot.lsn)
        if changes.state.durable != snapshot.lsn:
            raise TaskError("A change was read beyond the boundary of a reload; start the task with reload-target.")
        # Files of the load before this one are older than its start.
        ended = [context.store.table(context.arn, name).get("FullLoadEndTime") or 0.0 for name in names]
        tick = max(changes.state.tick + 1, asked, *(int(end * 100) + 1 for end in ended))
        failpoints.reach("local_dms.before_boundary")
        boundary = tick / 100
        began = {"FullLoadStartTime": boundary, "FullLoadEndTime": None, "FullLoadRows": 0, "FullLoadReloaded": True}
        with context.store.transaction():
            changes.raise_clock(tick)
            for name in names:
                # Taken here, not at the end: what is asked for from now on is another load.
                taken = {"TableState": RELOADING, RELOAD_MEMBER: None}
                context.store.update_table(context.arn, name, **began, **taken)
        return boundary

    def _present(self, names: Sequence[TableName]) -> list[SourceTable]:
        tables = {table.name: table for table in read_tables(self.changes.connection, names)}
        for name in names:
            if name not in tables:
                suspend(self.context, TableError(name, "it is no longer in the source, and cannot be reloaded"))
        self.changes.suspend(name for name in names if name not in tables)
        return list(tables.values())


def _load(context: TaskContext, tables: Sequence[SourceTable], snapshot: str, started: datetime) -> list[TableName]:
    """Load the tables; those that had to be suspended."""
    try:
        return [table.name for table in tables if not load_at(context, table, snapshot, started)]
    except TaskStoppedError:
        return []
    finally:
        context.wake.set()
