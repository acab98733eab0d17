"""One run of a task in its own thread: start or resume, load, follow changes, stop, retry, fail."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from dms_assets.dms.task_status import STOPPING
from dms_assets.local_dms.context import TaskContext, now
from dms_assets.local_dms.continuity import check_history, check_publications, check_slot, check_source
from dms_assets.local_dms.faults import RecoverableError, TaskError, TaskStoppedError
from dms_assets.local_dms.files.naming import ChangeNames
from dms_assets.local_dms.files.target import clear_workspace
from dms_assets.local_dms.gaps import GapError
from dms_assets.local_dms.loading import load_initially, load_without_stream
from dms_assets.local_dms.postgres.catalog import money_digits
from dms_assets.local_dms.postgres.publication import create_publications, published
from dms_assets.local_dms.postgres.slot import (
    advance_slot,
    await_flush,
    drop_slot,
    exporting_slot,
    identify,
    slot_name,
)
from dms_assets.local_dms.reload import Reloads
from dms_assets.local_dms.room import room_awaited
from dms_assets.local_dms.selection import follow_selection
from dms_assets.local_dms.store import Store, StreamState
from dms_assets.local_dms.stream import ChangeStream
from dms_assets.local_dms.tables import (
    BEFORE_LOAD,
    COMPLETED,
    first_tables,
    new_statistics,
    prepare_targets,
)
from dms_assets.local_dms.watch import TableWatch
from dms_assets.model import failpoints

log = logging.getLogger("local_dms")

_POLL_S = 0.1
_BEHIND_EVERY_S = 0.5
_FIRST_RETRY_S = 0.2
_END_RETRY_S = 1.0
_LAST_ATTEMPTS_S = 10.0
"""So long a stop waits for a source or a disk that is not there, to write what was: a new stream may follow it."""
_STOPPED = "Stop Reason NORMAL"


class TaskRunner:
    """Runs a task until it is stopped, done or failed. `make_context` reads its settings (may raise TaskError)."""

    def __init__(
        self, make_context: Callable[[threading.Event, threading.Event], TaskContext], arn: str, store: Store
    ) -> None:
        self.arn = arn
        self._store = store
        self.stop_requested = threading.Event()
        self._wake = threading.Event()
        self._make_context = make_context
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"task-{arn[-6:]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the task to write what it has read, and to stop."""
        self.stop_requested.set()
        self._wake.set()

    def suspend(self) -> None:
        """Stop because the service ends: the task stays `running`, and goes on when the service is back."""
        self._closing = True
        self.stop()

    def wake(self) -> None:
        """Look for requests now."""
        self._wake.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """Work, then store how it ended, once the state can be written: the task would else seem to run for ever."""
        store_end = self._work()
        while True:
            try:
                store_end()
            except sqlite3.OperationalError as error:
                # Whatever keeps it from being stored: nobody else would ever say that the task does not run.
                if self._closing:
                    raise
                log.warning("task %s: how it ended cannot be stored yet: %s", self.arn, error)
                time.sleep(_END_RETRY_S)
            else:
                return

    def _work(self) -> Callable[[], None]:
        """Run until there is nothing more to do; what then has to be stored."""
        try:
            context = self._make_context(self.stop_requested, self._wake)
            reason = self._with_retries(context)
        except TaskError as error:
            lasting = isinstance(error, GapError) and error.gap.lasting
            return partial(self._fail, str(error), broken=lasting)
        except Exception as error:  # a thread has nobody above it: the task must not seem to run
            log.exception("task %s failed", self.arn)
            return partial(self._fail, f"Internal error ({type(error).__name__}): {error}; see the log of Local DMS.")
        if self._closing:
            return partial(log.info, "task %s is suspended with the service", context.identifier)
        return partial(self._stopped, context, reason)

    def _stopped(self, context: TaskContext, reason: str) -> None:
        with self._store.transaction():
            self._store.update(self.arn, Status="stopped", StopReason=reason, StopDate=now().timestamp())
            context.say(f"Replication task stopped. {reason}")

    def _tell_running(self) -> None:
        """Say that the task runs, unless it was asked to stop meanwhile, which a restart must not forget."""
        with self._store.transaction():
            if self._store.get(self.arn)["Status"] != STOPPING:
                self._store.update(self.arn, Status="running")

    def _fail(self, message: str, *, broken: bool = False) -> None:
        """Store why: also when the task has no context, or it would seem to start for ever.

        `broken`: its stream has a gap, and what was lost does not come back when the source looks right again.
        """
        log.error("task %s: %s", self.arn, message)
        sentence = f"Last Error {message} Stop Reason FATAL_ERROR Error Level FATAL"
        stop = {"Status": "failed", "StopReason": sentence, "LastFailureMessage": sentence}
        with self._store.transaction():
            stream = self._store.stream(self.arn)
            if broken and stream is not None:
                self._store.put_stream(self.arn, replace(stream, broken=message))
            document = self._store.update(self.arn, **stop, StopDate=now().timestamp())
            self._store.add_event("replication-task", document["ReplicationTaskIdentifier"], "failure", sentence)

    def _with_retries(self, context: TaskContext) -> str:
        """Why the task stopped."""
        retries, pause, gives_up = 0, _FIRST_RETRY_S, 0.0
        while True:
            began = time.monotonic()
            try:
                with room_awaited():
                    return self._attempt(context)
            except TaskStoppedError:
                return _STOPPED
            except RecoverableError as error:
                if self._closing:
                    return _STOPPED
                if self.stop_requested.is_set():
                    gives_up = gives_up or time.monotonic() + _LAST_ATTEMPTS_S
                    if time.monotonic() > gives_up:
                        # Not as other stops: whoever begins a new stream now loses what was not read of this one.
                        raise TaskError(
                            f"{error}; stopped after {_LAST_ATTEMPTS_S:g} s without having written all changes that "
                            "were there: resume it for them, before anything else"
                        ) from error
                    time.sleep(_FIRST_RETRY_S)
                    continue
                if time.monotonic() - began > context.settings.retry_interval_s:
                    retries, pause = 0, _FIRST_RETRY_S
                retries += 1
                if 0 <= context.settings.retries < retries:
                    raise TaskError(f"{error} (given up after {retries - 1} retries, RecoverableErrorCount)") from error
                self._tell(context, f"{error}; trying again in {pause:g} s")
                self.stop_requested.wait(pause)
                pause = min(pause * 2, context.settings.retry_interval_s, context.settings.retry_max_s)

    def _tell(self, context: TaskContext, message: str) -> None:
        try:
            context.say(message, "warning")
        except sqlite3.OperationalError as error:
            log.warning("task %s: what was said is no event of it, the state cannot be written: %s", self.arn, error)

    def _attempt(self, context: TaskContext) -> str:
        # What an attempt before left unfinished would take the room that this one needs.
        clear_workspace(context.target.workspace)
        with context.source.connect() as connection:
            context.options = replace(context.options, money_digits=money_digits(connection))
        if context.migration_type == "full-load":
            return self._full_load(context)
        stream = context.store.stream(self.arn)
        if stream is None or stream.fresh_start != context.fresh_start:
            context.check_stop()
            stream = self._fresh_stream(context)
        return self._follow(context, stream)

    def _full_load(self, context: TaskContext) -> str:
        with context.source.connect() as connection:
            tables = first_tables(context, connection)
            known = {(d["SchemaName"], d["TableName"]) for d in context.store.statistics(self.arn)}
            if {(t.name.schema, t.name.table) for t in tables} != known:
                prepare_targets(context, tables)
                fresh = [new_statistics(table.name, BEFORE_LOAD) for table in tables]
                context.store.reset_statistics(self.arn, fresh)
            self._tell_running()
            load_without_stream(context, connection, tables)
        return "Stop Reason FULL_LOAD_ONLY_FINISHED"

    def _fresh_stream(self, context: TaskContext) -> StreamState:
        """A new slot at a new snapshot, and the first load at it. What an older stream left is removed."""
        slot = slot_name(self.arn)
        loads = context.migration_type == "full-load-and-cdc"
        with context.source.connect() as connection:
            _require_logical_log(connection)
            tables = first_tables(context, connection)
            drop_slot(connection, slot)
            create_publications(connection, slot, tables)
            prepare_targets(context, tables)
            with exporting_slot(
                context.source,
                slot,
                temporary=False,
                timeout_s=context.settings.consistency_timeout_s,
                stopped=self.stop_requested.is_set,
            ) as snapshot:
                with context.source.connect_replication() as replication:
                    identity = identify(replication)
                stream = StreamState(
                    fresh_start=context.fresh_start,
                    slot=slot,
                    system=identity.system,
                    timeline=identity.timeline,
                    durable=snapshot.lsn,
                    tick=0,
                    counter=1,
                    tables={table.oid: (table.name, table.key) for table in tables},
                    publications=(published(connection, slot),),
                )
                failpoints.reach("local_dms.before_stream")
                with context.store.transaction():
                    state = BEFORE_LOAD if loads else COMPLETED
                    context.store.reset_statistics(self.arn, [new_statistics(t.name, state) for t in tables])
                    context.store.put_stream(self.arn, stream)
                    self._tell_running()
                if loads:
                    # A task that is stopped here still follows its stream to what is there.
                    with TableWatch(context, lambda _: None) as watch, suppress(TaskStoppedError):
                        load_initially(context, tables, snapshot.name)
                    watch.check()
        return context.store.stream(self.arn) or stream

    def _follow(self, context: TaskContext, stream: StreamState) -> str:
        if stream.broken:
            raise TaskError(stream.broken)
        with ExitStack() as stack:
            connection = stack.enter_context(context.source.connect())
            stream = self._check_source(context, connection, stream)
            arrow = stack.enter_context(context.source.connect_arrow())
            # After a crash of the source its slot may stand before what is durable; reading must not begin there.
            advance_slot(connection, stream.slot, stream.durable)
            stream = follow_selection(context, connection, stream)
            names = ChangeNames(context.target.exists)
            changes = ChangeStream(context, connection, arrow, stream, names)
            self._tell_running()
            with TableWatch(context, changes.suspend) as watch, Reloads(context, changes) as reloads:
                self._cycles(context, changes, reloads, watch)
            await_flush(connection)
            changes.catch_up()
        return _STOPPED

    def _cycles(self, context: TaskContext, changes: ChangeStream, reloads: Reloads, watch: TableWatch) -> None:
        interval, due, look = context.layout.max_batch_interval_s, time.monotonic(), 0.0
        due += interval
        while not self.stop_requested.is_set():
            watch.check()
            # A reload that waits for its snapshot gives way to a stop; what is there is to be written even so.
            with suppress(TaskStoppedError):
                reloads.step()
            moment = time.monotonic()
            full = False
            if moment >= look:
                full, look = changes.behind() >= context.layout.min_file_bytes, moment + _BEHIND_EVERY_S
            if full or moment >= due:
                changes.catch_up()
                due = time.monotonic() + interval
            self._wake.wait(min(_POLL_S, max(due - time.monotonic(), 0)))
            self._wake.clear()
        # A failure is one, also of a task that is asked to stop just then.
        watch.check()

    def _check_source(
        self, context: TaskContext, connection: psycopg.Connection[Any], stream: StreamState
    ) -> StreamState:
        """The stream, if it can go on without loss. Raises GapError."""
        with context.source.connect_replication() as replication:
            identity = identify(replication)
        check_source(connection, stream, identity)
        slot = check_slot(connection, stream)
        check_history(connection, stream, slot)
        check_publications(connection, stream)
        if not stream.publications:
            # The state of an earlier version does not have them.
            stream = replace(stream, publications=(published(connection, stream.slot),))
            context.store.put_stream(self.arn, stream)
        return stream


def _require_logical_log(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("show wal_level").fetchone()
    if row is None or row[0] != "logical":
        raise TaskError(
            f"The source has wal_level '{row[0] if row else '?'}'; set wal_level = logical and restart PostgreSQL."
        )
