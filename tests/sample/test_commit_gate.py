"""Behind the gate a snapshot at T is exactly the commits up to T; without it, it is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from dms_assets.demo.recording import record_instant
from dms_assets.model.logical_type import Kind, LogicalType
from dms_assets.model.names import TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.reconcile.source_state import SourceState, take_snapshot
from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.postgres import EmbeddedPostgres

MARKS = TableMetadata(
    TableName("gate", "mark"), (ColumnMetadata("id", LogicalType(Kind.INT64), "bigint"),), key=("id",)
)


class NoGate(CommitGate):
    """What a recorder without a gate would do."""

    def commit(self) -> nullcontext[int]:  # type: ignore[override]
        return nullcontext(1)

    def closed(self, timeout_s: float = 30.0) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()


@pytest.fixture
def marks(sample: EmbeddedPostgres) -> EmbeddedPostgres:
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists gate cascade")
        connection.execute("create schema gate create table mark (id bigint generated always as identity primary key)")
    return sample


@contextmanager
def committing(server: EmbeddedPostgres, gate: CommitGate) -> Iterator[threading.Event]:
    """Four sessions that commit all the time, each commit slow between its timestamp and its visibility."""
    stop, first = threading.Event(), threading.Event()

    def session() -> None:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("set commit_delay = 15000")
            connection.execute("set commit_siblings = 0")
            connection.commit()
            while not stop.is_set():
                connection.execute("insert into gate.mark default values")
                with gate.commit():
                    connection.commit()
                first.set()

    threads = [threading.Thread(target=session) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert first.wait(10)
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def wrong_side(server: EmbeddedPostgres, at: datetime, seen: set[int]) -> set[int]:
    """Marks on the wrong side of `at`, by the source's own commit timestamps."""
    with psycopg.connect(server.dsn) as connection:
        rows = connection.execute("select id, pg_xact_commit_timestamp(xmin) from gate.mark").fetchall()
    return {mark for mark, committed in rows} & ({mark for mark, committed in rows if committed <= at} ^ seen)


def record(server: EmbeddedPostgres, gate: CommitGate, folder: Path) -> list[SourceState]:
    with committing(server, gate):
        return [record_instant(server.dsn, gate, [MARKS], folder / str(n)) for n in range(6)]


def seen(state: SourceState) -> set[int]:
    return {int(text) for text in state.table(MARKS.name).column("id").to_pylist() if text is not None}


@pytest.mark.postgres
def test_no_commit_is_on_the_wrong_side_of_a_recorded_instant(marks: EmbeddedPostgres, tmp_path: Path) -> None:
    states = record(marks, CommitGate(), tmp_path)
    sizes = [state.rows[MARKS.name] for state in states]
    assert sizes == sorted(set(sizes)), "nothing was committed between the instants"
    for state in states:
        assert wrong_side(marks, state.at, seen(state)) == set()
        assert SourceState.open(state.folder) == state


@pytest.mark.postgres
def test_without_the_gate_commits_are_on_the_wrong_side(marks: EmbeddedPostgres, tmp_path: Path) -> None:
    states = record(marks, NoGate(), tmp_path)
    assert any(wrong_side(marks, state.at, seen(state)) for state in states)


@pytest.mark.postgres
def test_a_snapshot_stays_what_it_was(marks: EmbeddedPostgres) -> None:
    with psycopg.connect(marks.dsn) as first, psycopg.connect(marks.dsn, autocommit=True) as second:
        snapshot = take_snapshot(first)
        second.execute("insert into gate.mark default values")
        assert snapshot.connection.execute("select count(*) from gate.mark").fetchone() == (0,)
        assert snapshot.at.utcoffset() is not None


def test_a_commit_that_does_not_end_is_named_and_the_gate_opens_again() -> None:
    gate = CommitGate()
    with gate.commit() as first, gate.commit() as second:
        assert (first, second) == (1, 2)
        with pytest.raises(TimeoutError, match="2 commits are still under way"), gate.closed(timeout_s=0.01):
            pass
    with gate.closed(), pytest.raises(TimeoutError, match="closed by another recorder"), gate.closed(timeout_s=0.01):
        pass
    with gate.commit() as again:
        assert again == 1
