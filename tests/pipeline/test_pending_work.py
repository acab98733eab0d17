"""Which tables a run is asked for: those with work it can do, once per state of affairs, and again if it died."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dms_assets.model.landed_file import FileIdentity, FileKind, LandedFile, LandingKey
from dms_assets.model.load import Stream, load_id
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TABLE_COMPLETED, TableState
from dms_assets.pipeline.sensors.pending_work import FIRST_RETRY, Asked, TableWork, due

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)
NAME = TableName("s", "t")
STREAM = Stream(1, "arn", NOW - timedelta(hours=2))
STATE = TableState(NAME, TABLE_COMPLETED, NOW - timedelta(hours=1), NOW - timedelta(minutes=50), 10)
LOADED = load_id(1, STATE.load_started or NOW)


def landed(name: str, kind: FileKind = FileKind.CDC) -> LandedFile:
    key = LandingKey("src", NAME, kind, name)
    return LandedFile(FileIdentity(str(key), "e", NOW.isoformat()), 100, key)


def work(**changes: object) -> TableWork:
    table = TableWork(
        name=NAME,
        files=[landed("20260102-030000000.parquet")],
        replays=(),
        state=STATE,
        stream=STREAM,
        committed=[LOADED],
        metadata_version="v1",
    )
    return replace(table, **changes)  # type: ignore[arg-type]


def test_files_of_a_loaded_table_are_asked_for_once() -> None:
    requests = due([work()], {}, (), NOW)
    assert requests[NAME].attempt == 1
    assert not due([work()], requests, (), NOW + timedelta(seconds=5))


def test_a_new_file_is_asked_for_at_once() -> None:
    asked = due([work()], {}, (), NOW)
    more = work(files=[landed("20260102-030005000.parquet")])
    assert due([more], asked, (), NOW + timedelta(seconds=5))[NAME].attempt == 1


def test_files_without_end_of_a_table_whose_runs_fail_are_asked_for_with_growing_pauses() -> None:
    """A file every ten seconds, and no run takes any: not a run every ten seconds."""
    files, asked, runs = [], {}, []
    for second in range(0, 4 * 3600, 10):
        files.append(landed(f"20260103-{second:09d}.parquet"))
        requests = due([work(files=files)], asked, (), NOW + timedelta(seconds=second))
        asked |= requests
        runs += [second / 60 for _ in requests]
    assert runs == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181, 211]
    files = files[-1:]
    assert due([work(files=files)], asked, (), NOW + timedelta(hours=4))[NAME].attempt == 1, "one run took the others"


def test_what_stays_for_good_reason_delays_nothing() -> None:
    """Files of no known stream and of a load under way stay; the changes beside them are taken, and asked for."""
    stray, load = landed("20250101-000000000.parquet"), landed("LOAD00000001.parquet", FileKind.LOAD)
    asked = due([work(files=[stray, load, landed("20260102-030000000.parquet")])], {}, (), NOW)
    taken = work(files=[stray, load, landed("20260102-030005000.parquet")])
    assert due([taken], asked, (), NOW + timedelta(seconds=5))[NAME].attempt == 1


def test_anything_new_beside_files_is_asked_for_at_once() -> None:
    asked = due([work()], {}, (), NOW)
    soon = NOW + timedelta(seconds=5)
    again = replace(STATE, load_started=NOW, load_ended=NOW)
    for changed in (work(replays=["abc"]), work(metadata_version="v2"), work(state=again)):
        assert due([changed], asked, (), soon)[NAME].attempt == 1


def test_what_was_asked_for_survives_the_cursor() -> None:
    (asked,) = due([work()], {}, (), NOW).values()
    assert Asked.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    of_the_last_release = Asked.from_json(["abc", NOW.isoformat(), 2])
    assert due([work()], {NAME: of_the_last_release}, (), NOW)[NAME].attempt == 1


def test_unchanged_work_is_asked_for_again_with_growing_pauses() -> None:
    asked = due([work()], {}, (), NOW)
    second = due([work()], asked, (), NOW + FIRST_RETRY)
    assert second[NAME].attempt == 2
    assert not due([work()], second, (), NOW + 2 * FIRST_RETRY)
    assert due([work()], second, (), NOW + 3 * FIRST_RETRY)[NAME].attempt == 3


def test_a_table_in_a_run_is_left_alone() -> None:
    assert not due([work()], {}, {NAME}, NOW)


def test_changes_wait_for_the_first_load() -> None:
    assert not due([work(committed=[], state=replace(STATE, state="Full load"))], {}, (), NOW)


def test_a_complete_load_is_work_even_without_files() -> None:
    table = work(files=[], committed=[])
    assert table.load_due == LOADED
    assert NAME in due([table], {}, (), NOW)
    assert not due([work(files=[])], {}, (), NOW)


def test_a_reload_is_work() -> None:
    again = replace(STATE, load_started=NOW, load_ended=NOW)
    assert work(files=[], state=again).load_due == load_id(1, NOW)


def test_nothing_is_asked_for_without_metadata() -> None:
    assert not due([work(metadata_version=None)], {}, (), NOW)


def test_a_replay_is_work() -> None:
    assert NAME in due([work(files=[], replays=["abc"])], {}, (), NOW)
