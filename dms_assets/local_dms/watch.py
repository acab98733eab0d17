"""Looks at captured tables while a task runs: they must not be harmed by it, nor go away without a word.

PostgreSQL refuses UPDATE and DELETE of a published table whose rows its log cannot name: its key was dropped, or its
replica identity set to nothing. Such a table leaves the publication at once, so that the source's own statements work
again; what changes from then on is not in the log, and so the table is suspended until it is reloaded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import psycopg

from dms_assets.local_dms.context import TaskContext
from dms_assets.local_dms.faults import RecoverableError, TableError, TaskError
from dms_assets.local_dms.membership import change_publications, lost_message
from dms_assets.local_dms.postgres.identity import unnamed
from dms_assets.local_dms.postgres.publication import publication_names, unpublish
from dms_assets.local_dms.postgres.source import explain
from dms_assets.local_dms.store import StreamState
from dms_assets.local_dms.suspension import suspend
from dms_assets.local_dms.tables import ERROR, LOST_MEMBER, UNTOLD_MEMBER, table_name
from dms_assets.model import failpoints
from dms_assets.model.names import TableName

log = logging.getLogger("local_dms")

_EVERY_S = 1.0
_NAMES = """
select o::int8, n.nspname::text, c.relname::text
from unnest(%s::oid[]) o left join pg_class c on c.oid = o left join pg_namespace n on n.oid = c.relnamespace
"""
_PUBLISHED = """
select r.prrelid::int8 from pg_publication p join pg_publication_rel r on r.prpubid = p.oid where p.pubname = %s
"""


class TableWatch:
    """Looks every second, in a thread and a connection of its own: a load or a long read must not keep it.

    `suspended` is told of tables of which nothing may be written any more.
    """

    def __init__(self, context: TaskContext, suspended: Callable[[Iterable[TableName]], None]) -> None:
        self._context = context
        self._suspended = suspended
        self._ending = threading.Event()
        self._failure: TaskError | None = None
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="table-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    def check(self) -> None:
        """Raises TaskError if a table was lost, and the task's policy is to stop then."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._look_while_it_goes_well()
            except Exception:  # a thread has nobody above it: what cannot even be told must not end it
                log.exception("task %s: tables cannot be looked at", self._context.identifier)
            self._ending.wait(_EVERY_S)

    def _look_while_it_goes_well(self) -> None:
        try:
            with self._context.source.connect() as connection:
                while not self._ending.is_set():
                    self._look(connection)
                    self._ending.wait(_EVERY_S)
        except RecoverableError as error:
            # The task meets it too, and tells.
            log.info("task %s: tables cannot be looked at: %s", self._context.identifier, error)
        except TaskError as error:
            self._tell(f"Tables cannot be looked at: {error}")
        except Exception as error:  # not to look must not go unseen
            log.exception("task %s: tables cannot be looked at", self._context.identifier)
            self._tell(f"Tables cannot be looked at: {type(error).__name__}: {error}; see the log of Local DMS")

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._context.say(message, "failure")
            self._told.add(message)

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        stream = self._context.store.stream(self._context.arn)
        if stream is None:
            return
        published = [row[0] for row in connection.execute(_PUBLISHED, [publication_names(stream.slot)[0]])]
        for oid, reason in unnamed(connection, published).items():
            if oid in stream.tables:
                self._let_go(connection, stream, oid, reason)
        self._tell_lost()
        self._find_moved(connection)

    def _let_go(self, connection: psycopg.Connection[Any], stream: StreamState, oid: int, reason: str) -> None:
        """Unpublish a table, and suspend it before that counts: a kill in between must not leave it flowing."""
        name, _ = stream.tables[oid]
        lost = {LOST_MEMBER: reason, UNTOLD_MEMBER: True, "TableState": ERROR}
        try:
            with change_publications(self._context, connection, stream.slot, {name: lost}):
                unpublish(connection, stream.slot, oid)
        except psycopg.errors.LockNotAvailable:
            self._tell(
                f"Table {name}: {reason}, so that PostgreSQL refuses its updates and deletes, and it cannot be "
                "unpublished while another session has it locked (VACUUM, CREATE INDEX CONCURRENTLY, LOCK): tried again"
            )
            return
        except psycopg.Error as error:
            explained = explain(error, str(self._context.source))
            if isinstance(explained, RecoverableError):
                raise explained from error
            self._tell(
                f"Table {name}: {reason}, and it could not be unpublished, so that PostgreSQL refuses its "
                f"updates and deletes: {explained}"
            )
            return
        failpoints.reach("local_dms.after_unpublishing")

    def _tell_lost(self) -> None:
        """Tell of tables that were unpublished, now or before a kill."""
        for one in self._context.store.statistics(self._context.arn):
            if one.get(UNTOLD_MEMBER):
                self._give_up(TableError(table_name(one), lost_message(one[LOST_MEMBER])))

    def _find_moved(self, connection: psycopg.Connection[Any]) -> None:
        """Find tables that were dropped, or go by another name: what is captured is not the table any more."""
        # States first: a reload makes a new table known before the state says that it is loaded.
        states = self._states()
        stream = self._context.store.stream(self._context.arn)
        if stream is None:
            return
        known = {oid: name for oid, (name, _) in stream.tables.items()}
        latest = {name: oid for oid, name in known.items()}
        asked = [oid for name, oid in latest.items() if states.get(name, ERROR) != ERROR]
        for oid, schema, table in connection.execute(_NAMES, [asked]).fetchall():
            if schema is None:
                happened = "was dropped in the source, or made anew"
            elif TableName(schema, table) != known[oid]:
                happened = f"was renamed in the source, to {schema}.{table}"
            else:
                continue
            self._give_up(TableError(known[oid], f"it {happened}; changes of a new table of its name are not captured"))

    def _states(self) -> Mapping[TableName, str]:
        return {table_name(one): one["TableState"] for one in self._context.store.statistics(self._context.arn)}

    def _give_up(self, error: TableError) -> None:
        self._suspended([error.table])
        context = self._context
        with context.store.transaction():
            try:
                suspend(context, error)
            except TaskError as failure:
                context.say(str(failure), "failure")
                self._failure = failure
            context.store.update_table(context.arn, error.table, **{"TableState": ERROR, UNTOLD_MEMBER: None})
        if self._failure is not None:
            context.wake.set()
