"""Dagster's SQLite storage with connections that stay open: an event costs 3 ms to store rather than 18.

The stock storage opens and closes a connection for every event; closing the last one moves the whole write-ahead log
into the database, and every commit waits for the disk. A run of seventeen tables with their checks stores 200 events
before it starts. Here connections are kept, and a commit is safe from any process's death at once; a machine that
loses power may lose the last seconds of what Dagster shows, never what the lake holds, and the databases stay whole.

Overrides the connecting methods of three classes of Dagster that are not promised to stay;
`tests/stack/test_instance_storage.py` says what they must be.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

RUN_DATABASES_OPEN = 8
"""A run's events have a database of their own; of those, so many stay open in a process."""

_lock = threading.Lock()
_lasting: dict[str, db.Engine] = {}
_of_runs: OrderedDict[str, db.Engine] = OrderedDict()
_initialised: WeakSet[db.Engine] = WeakSet()
"""Engines whose database is known to have its tables: not asked again by every sensor's own instance."""


def _forget() -> None:
    """A forked process must not use connections of its parent; nor close them, so they are dropped as they are."""
    for engine in (*_lasting.values(), *_of_runs.values()):
        engine.dispose(close=False)
    _lasting.clear()
    _of_runs.clear()


os.register_at_fork(after_in_child=_forget)


def _make(conn_string: str) -> db.Engine:
    engine = db.create_engine(conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}, max_overflow=-1)

    @db.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.execute("pragma synchronous = normal")

    return engine


def _lasting_engine(conn_string: str) -> db.Engine:
    with _lock:
        if conn_string not in _lasting:
            _lasting[conn_string] = _make(conn_string)
        return _lasting[conn_string]


def _run_engine(conn_string: str) -> db.Engine:
    with _lock:
        engine = _of_runs.pop(conn_string, None) or _make(conn_string)
        _of_runs[conn_string] = engine
        if len(_of_runs) > RUN_DATABASES_OPEN:
            # Connections in use are not touched; they close when they are given back.
            _of_runs.popitem(last=False)[1].dispose()
        return engine


class RunStorage(SqliteRunStorage):
    """Runs, with connections that stay open."""

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """A connection in a transaction."""
        with _lasting_engine(self._conn_string).begin() as connection:
            yield connection


class ScheduleStorage(SqliteScheduleStorage):
    """Ticks and cursors of schedules and sensors, with connections that stay open."""

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """A connection in a transaction."""
        with _lasting_engine(self._conn_string).begin() as connection:
            yield connection


class EventLogStorage(SqliteEventLogStorage):
    """Events, with connections that stay open: of the index, and of the runs that were busy last."""

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        conn_string = self.conn_string_for_shard(shard)
        with self._db_lock:
            engine = _lasting_engine(conn_string) if shard == INDEX_SHARD_NAME else _run_engine(conn_string)
            if engine not in _initialised:
                self._initdb(engine)
                _initialised.add(engine)
            with engine.begin() as connection:
                yield connection


class InstanceStorage(DagsterSqliteStorage):
    """The three of them below one folder, laid out as the stock storage does it: either can read the other's."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLogStorage(self._event_log_storage._base_dir)  # noqa: SLF001
        self._run_storage = RunStorage(self._run_storage._conn_string)  # noqa: SLF001
        self._schedule_storage = ScheduleStorage(self._schedule_storage._conn_string)  # noqa: SLF001

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> InstanceStorage:
        """As Dagster makes it from `dagster.yaml`; the stock method would make the stock class."""
        return cls(str(Path(config_value["base_dir"])), inst_data)
