"""When a load is complete, and whose a file is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dms_assets.model.landed_file import FileIdentity, LandedFile, load_file_name, parse_key
from dms_assets.model.load import Stream, load_id
from dms_assets.model.load_closing import (
    LoadCommitted,
    LoadComplete,
    LoadDecision,
    LoadFile,
    LoadStuck,
    LoadWaiting,
    decide_load,
    older_than,
    register_streams,
    stream_of,
)
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR, TableState

START = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)
STREAM = Stream(1, "arn:one", START - timedelta(seconds=5))
NAME = load_id(1, START)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def landed(number: int, seconds: float) -> LandedFile:
    key = f"src/app/t/{load_file_name(number)}"
    parsed = parse_key(key, "src")
    assert parsed
    return LandedFile(FileIdentity(key, f"etag-{number}", at(seconds).isoformat(timespec="microseconds")), 1, parsed)


def table(rows: int, state: str = TABLE_COMPLETED, started: float | None = 0, ended: float | None = 10) -> TableState:
    times = [None if seconds is None else at(seconds) for seconds in (started, ended)]
    return TableState(TableName("app", "t"), state, times[0], times[1], rows)


def decide(
    later: TableState,
    files: dict[float, int] | None = None,
    *,
    earlier: TableState | None = None,
    committed: tuple[str, ...] = (),
    now: float = 20,
) -> LoadDecision:
    """`files`: seconds written -> rows."""
    load_files = [LoadFile(landed(n, seconds), rows) for n, (seconds, rows) in enumerate((files or {}).items(), 1)]
    return decide_load(
        STREAM,
        earlier=earlier or later,
        later=later,
        files=load_files,
        committed=committed,
        now=at(now),
        stuck_after_s=60,
    )


def test_a_load_is_complete_when_its_rows_are_there() -> None:
    decision = decide(table(30), {1: 10, 2: 20})
    assert decision == LoadComplete(NAME, at(0), at(10), 30, (landed(1, 1), landed(2, 2)), ())


def test_no_rows_and_no_files_are_a_complete_load() -> None:
    assert decide(table(0)) == LoadComplete(NAME, at(0), at(10), 0, (), ())


def test_older_files_are_superseded_however_well_they_would_fit() -> None:
    decision = decide(table(20), {-30: 20, 1: 20})
    assert isinstance(decision, LoadComplete)
    assert (decision.files, decision.superseded) == ((landed(2, 1),), (landed(1, -30),))
    assert isinstance(decide(table(20), {-30: 20}), LoadWaiting)


@pytest.mark.parametrize("state", ["Before load", "Full load", "Table is being reloaded"])
def test_a_load_that_is_under_way_waits_however_long(state: str) -> None:
    assert isinstance(decide(table(10, state), {1: 10}, now=1e6), LoadWaiting)


@pytest.mark.parametrize(
    "earlier",
    [table(9), table(10, "Full load"), table(10, ended=9), table(10, started=-100), table(10, ended=None)],
)
def test_the_end_must_be_the_same_in_two_polls(earlier: TableState) -> None:
    assert isinstance(decide(table(10), {1: 10}, earlier=earlier), LoadWaiting)
    assert isinstance(decide(table(10), {1: 10}, earlier=earlier, now=1e6), LoadWaiting), "the next poll tells"
    assert isinstance(decide(table(10), {1: 10}), LoadComplete)


@pytest.mark.parametrize(
    ("state", "files"),
    [
        (table(10), {1: 9}),
        (table(10), {1: 11}),
        (table(10), {}),
        (table(0), {1: 1}),
        (table(10, ended=None), {1: 10}),
        (table(10, started=None), {1: 10}),
        (table(10, ended=-1), {1: 10}),
    ],
)
def test_what_does_not_add_up_waits_and_then_is_stuck(state: TableState, files: dict[float, int]) -> None:
    assert isinstance(decide(state, files), LoadWaiting)
    decision = decide(state, files, now=10 + 60)
    assert isinstance(decision, LoadStuck)
    assert "reload the table" in decision.remedy


def test_a_file_that_comes_late_gives_more_time() -> None:
    assert isinstance(decide(table(10), {1: 4}, now=75), LoadStuck)
    assert isinstance(decide(table(10), {1: 4, 30: 5}, now=75), LoadWaiting)


def test_a_table_that_dms_gave_up_is_stuck_at_once() -> None:
    decision = decide(table(10, TABLE_ERROR), {1: 10})
    assert isinstance(decision, LoadStuck)
    assert "Table error" in decision.reason


def test_a_committed_load_is_not_taken_again() -> None:
    assert decide(table(10), committed=(NAME,)) == LoadCommitted(NAME, ())
    assert decide(table(10), {-1: 5}, committed=(NAME,)) == LoadCommitted(NAME, (landed(1, -1),))
    strange = decide(table(10), {5: 10}, committed=(NAME,))
    assert isinstance(strange, LoadWaiting)
    assert isinstance(decide(table(10), {5: 10}, committed=(NAME,), now=1e6), LoadStuck)


def test_statistics_of_the_stream_before_are_no_load_of_this_one() -> None:
    assert isinstance(decide(table(0, started=-10), now=1e6), LoadWaiting)


counts = st.dictionaries(st.floats(-100, 100).map(lambda at: round(at, 3)), st.integers(0, 5), max_size=5)


@given(counts, st.integers(0, 15), st.floats(0, 200))
def test_a_load_is_never_accepted_by_guess(files: dict[float, int], rows: int, now: float) -> None:
    decision = decide(table(rows), files, now=now)
    members = {seconds: count for seconds, count in files.items() if seconds >= 0}
    sure = all(at(seconds).microsecond for seconds in files)
    if sure:
        assert isinstance(decision, LoadComplete) == (sum(members.values()) == rows)
    if isinstance(decision, LoadComplete):
        assert len(decision.files) + len(decision.superseded) == len(files)
        assert decision.rows == rows


def test_a_store_that_gives_whole_seconds_may_mean_the_whole_second() -> None:
    whole = at(-0.5)
    file = replace(landed(1, 0), identity=FileIdentity("k", "e", whole.isoformat(timespec="microseconds")))
    assert not older_than(file, START)
    assert not older_than(file, whole)
    assert older_than(file, whole + timedelta(seconds=1))
    assert older_than(landed(1, -0.4), START)
    assert not older_than(landed(1, 0), START)


def test_a_file_belongs_to_the_newest_stream_that_had_begun() -> None:
    streams = register_streams(register_streams([], "arn:one", at(0)), "arn:two", at(10))
    assert stream_of(landed(1, -1), streams) is None
    assert stream_of(landed(1, 0), streams) == streams[0]
    assert stream_of(landed(1, 9), streams) == streams[0]
    assert stream_of(landed(1, 10), streams) == streams[1]


def test_streams_are_counted_in_order_of_registration() -> None:
    first = register_streams([], "arn:one", at(0))
    assert first == (Stream(1, "arn:one", at(0)),)
    assert register_streams(first, "arn:one", at(0)) == first, "a resumed task goes on with its stream"
    second = register_streams(first, "arn:one", at(10))
    assert [stream.ordinal for stream in second] == [1, 2]
    assert register_streams(second, "arn:one", at(0)) == second, "a late answer changes nothing"
    with pytest.raises(ValueError, match="a source has one task"):
        register_streams(second, "arn:two", at(5))
