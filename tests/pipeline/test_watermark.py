"""The watermark never says more than what is confirmed, goes on by itself, and begins anew where it must."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.landed_file import cdc_file_name
from dms_assets.model.task_state import TaskState
from dms_assets.model.watermark import (
    COMMIT_TO_VISIBLE,
    KEPT,
    LogReading,
    Note,
    SlotUnknownError,
    Watermark,
    WatermarkState,
    choose_slot,
)
from dms_assets.pipeline.reconciliation.watermark import (
    WatermarkStore,
    advance_watermark,
    covered_instant,
    landing_delay,
    read_log,
)
from dms_assets.sample.connection import write_secret
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import PERSON, World, cdc_table, load_table, rows, source_spec

ARN = "arn:aws:dms:eu-west-2:1:task:ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NO_DELAY = timedelta(0)


def second(value: float) -> datetime:
    return BEGIN + timedelta(seconds=value)


def reading(at: float, position: int, confirmed: int, slot: str = "s") -> LogReading:
    return LogReading(Note(second(at), position), slot, confirmed)


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 20),
            st.lists(st.floats(0, COMMIT_TO_VISIBLE.total_seconds()), max_size=4),
            st.integers(0, 30),
        ),
        max_size=40,
    )
)
def test_every_commit_up_to_the_instant_lies_before_what_is_confirmed(
    ticks: list[tuple[float, list[float], int]],
) -> None:
    """Commits enter the log up to the allowed time after their timestamps, and in any order of these."""
    state, now, position, confirmed = WatermarkState(1, "s"), 0.0, 0, 0
    commits: list[tuple[datetime, int]] = []
    for wait, lags, behind in ticks:
        now += wait
        for lag in lags:
            position += 10
            commits.append((second(now - lag), position))
        confirmed = max(confirmed, position - behind)
        state = state.advanced(1, reading(now, position, confirmed), landed_by=second(now))
        for mark in state.reached:
            assert all(at > mark.instant or place <= confirmed for at, place in commits)
        assert [mark.instant for mark in state.reached] == sorted({mark.instant for mark in state.reached})
    assert WatermarkState.from_json(state.to_json()) == state


def test_an_idle_source_goes_on_and_a_stopped_slot_does_not() -> None:
    state = WatermarkState(1, "s")
    for tick in range(3):
        state = state.advanced(1, reading(tick, 100, 100), landed_by=second(tick))
    assert state.reached[-1] == Watermark(second(2) - COMMIT_TO_VISIBLE, second(2))
    assert state.notes == ()
    for tick in range(3, 2_000):
        state = state.advanced(1, reading(tick, 100 + tick, 100), landed_by=second(tick))
    assert state.reached[-1].instant == second(2) - COMMIT_TO_VISIBLE
    assert len(state.notes) <= KEPT
    late = state.advanced(1, reading(2_000, 3_000, 2_098), landed_by=second(2_000))
    assert late.reached[-1] == Watermark(second(1_998) - COMMIT_TO_VISIBLE, second(2_000))


def test_a_new_stream_a_new_slot_and_a_restored_source_begin_anew() -> None:
    state = WatermarkState(1, "s").advanced(1, reading(0, 100, 100), landed_by=second(0))
    assert state.reached
    waiting = state.advanced(1, reading(1, 200, 100), landed_by=second(1))
    for begun in (
        waiting.advanced(2, reading(2, 300, 100), landed_by=second(2)),
        waiting.advanced(1, reading(2, 300, 100, slot="other"), landed_by=second(2)),
        waiting.advanced(1, reading(2, 150, 100), landed_by=second(2)),
    ):
        assert begun.reached == ()
        assert [note.at for note in begun.notes] == [second(2)]


def test_the_slot_is_the_declared_one_or_the_tasks_or_the_only_one() -> None:
    local, amazon = "local_dms_abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnop_00016402_aec1"
    assert choose_slot([local, "x"], ARN, None) == local
    assert choose_slot([amazon, "x"], ARN, None) == amazon
    assert choose_slot(["x"], ARN, None) == "x"
    assert choose_slot([local, "x"], ARN, "x") == "x"
    for slots, declared in (([], None), (["x", "y"], None), ([local], "x")):
        with pytest.raises(SlotUnknownError, match="slot"):
            choose_slot(slots, ARN, declared)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("watermark") / "postgres") as server:
        yield server


@pytest.mark.postgres
def test_a_real_slot_is_read_and_reached_when_it_is_advanced(server: EmbeddedPostgres, tmp_path: Path) -> None:
    installation = Installation(Environment(home=tmp_path))
    spec = source_spec(confirms_durable=True, clock_skew_s=0)
    assert "never started" in str(advance_watermark(installation, spec, ARN))
    StreamStore(installation.state, spec.name).register(TaskState(ARN, "t", "running", second(0)))
    assert "secret 'shop/dms' is not there" in str(advance_watermark(installation, spec, ARN))
    write_secret(installation.environment.secret_path("shop/dms"), server.connection_info)
    assert "0 logical slots" in str(advance_watermark(installation, spec, ARN))
    store = WatermarkStore(installation.state, spec.name)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("select pg_create_logical_replication_slot('local_dms_abcdefghijklmnopq', 'pgoutput')")
        try:
            connection.execute("create table noted (id int)")
            found = read_log(connection, ARN, None)
            assert found.confirmed < found.note.position
            assert advance_watermark(installation, spec, ARN) is None
            assert store.reached() is None
            connection.execute(
                "select pg_replication_slot_advance('local_dms_abcdefghijklmnopq', pg_current_wal_flush_lsn())"
            )
            assert advance_watermark(installation, spec, ARN) is None
            reached = store.reached()
        finally:
            connection.execute("select pg_drop_replication_slot('local_dms_abcdefghijklmnopq')")
    assert reached is not None
    assert timedelta(0) < reached.landed_by - reached.instant < COMMIT_TO_VISIBLE + timedelta(seconds=60)
    assert "slots" in str(advance_watermark(installation, spec, ARN)), "the dropped slot is told of"
    write_secret(installation.environment.secret_path("shop/dms"), replace(server.connection_info, port=1))
    assert "cannot be reached" in str(advance_watermark(installation, spec, ARN))
    assert store.reached() == reached


def test_what_dms_may_still_hold_counts_unless_it_confirms_only_what_is_durable() -> None:
    assert landing_delay(source_spec(clock_skew_s=3, confirms_durable=True)) == timedelta(seconds=3)
    assert landing_delay(source_spec(clock_skew_s=3, cdc_max_batch_interval_s=60)) == timedelta(seconds=123)


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


def test_the_covered_instant_is_that_of_the_newest_watermark_whose_files_are_all_taken_in(
    tmp_path: Path, worker: ValidationWorker
) -> None:
    installation = Installation(Environment(home=tmp_path))
    spec = source_spec()
    lake = installation.lake
    world = World(tmp_path, installation.landing, lake, worker, spec=spec, streams=[])
    task = TaskState(ARN, "t", "running", world.start - timedelta(hours=1))
    world.streams = list(StreamStore(installation.state, spec.name).register(task))
    store, names = WatermarkStore(installation.state, spec.name), [PERSON.name]

    def mark(instant: datetime, landed_by: datetime) -> None:
        found = LogReading(Note(instant + COMMIT_TO_VISIBLE, 1), "s", 1)
        store.advance(1, found, landed_by=landed_by)

    def covered() -> datetime | None:
        return covered_instant(installation, spec, names)

    assert covered() is None
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    assert world.state is not None
    assert world.state.load_ended is not None
    first = world.state.load_ended + timedelta(seconds=1)
    mark(world.state.load_ended - timedelta(seconds=1), world.start)
    mark(first, world.start)
    assert covered() is None, "before its load a table holds nothing"
    assert world.ingest().committed
    assert covered() == first
    key = world.land(cdc_file_name(world.start), cdc_table(rows(1, 9)))
    late = world.start + timedelta(minutes=1)
    os.utime(tmp_path / "buckets" / "landing" / key, times=(late.timestamp(), late.timestamp()))
    mark(first + timedelta(seconds=1), late - timedelta(seconds=1))
    mark(first + timedelta(seconds=2), late)
    assert covered() == first + timedelta(seconds=1), "the waiting file may hold commits up to the newest instant"
    assert world.ingest().committed
    assert covered() == first + timedelta(seconds=2)
    world.land(cdc_file_name(late), b"noise")
    world.ingest()
    assert world.quarantine.held(PERSON.name)
    assert covered() is None
    went_on = spec.model_copy(
        update={"tables": (spec.tables[0].model_copy(update={"on_quarantine": "continue"}), spec.tables[1])}
    )
    assert covered_instant(installation, went_on, names) == first + timedelta(seconds=2)
    StreamStore(installation.state, spec.name).register(replace(task, fresh_start=world.start))
    assert covered_instant(installation, went_on, names) is None, "a new stream, not loaded yet"
    assert covered_instant(installation, spec, []) is None
