"""What is in landing beside files of declared tables is told once, where the UI shows it."""

from datetime import UTC, datetime, timedelta

import dagster as dg

from dms_assets.lake.landing import Inbox, landed_file
from dms_assets.lake.object_store import ObjectMeta
from dms_assets.lake.quarantine import Entry, EntryState
from dms_assets.model.landed_file import LandedFile
from dms_assets.model.load import Stream
from dms_assets.model.names import TableName
from dms_assets.pipeline.sensors.landing_folder import (
    STRANGER_CHECK,
    STREAM_CHECK,
    UNDECLARED_CHECK,
    FolderVerdict,
    build_folder_checks,
    folder_key,
    judge_folder,
    news,
)
from dms_assets.sources import find_source

SPEC = find_source("probation")
OTHER = TableName("probation", "no_such_table")
STREAM = Stream(1, "arn:task:X", datetime(2026, 1, 1, tzinfo=UTC))
CHECKS = (UNDECLARED_CHECK, STREAM_CHECK, STRANGER_CHECK)


def file(number: int) -> LandedFile:
    key = f"{SPEC.folder}/{OTHER.schema}/{OTHER.table}/20260101-{number:09d}.parquet"
    found = landed_file(ObjectMeta(key, 1, "e", datetime(2026, 1, 1, tzinfo=UTC)), SPEC.folder)
    assert found is not None
    return found


def undeclared(*files: LandedFile) -> Inbox:
    return Inbox({}, {OTHER: files}, ())


def judge(inbox: Inbox) -> list[FolderVerdict]:
    return judge_folder(SPEC, inbox, [STREAM], [])


def entry(name: str, state: EntryState, table: TableName | None = None) -> Entry:
    return Entry(name, f"probation/unknown/{name}", table, state, 1, None)


def digests(verdicts: list[FolderVerdict]) -> dict[str, str]:
    return {verdict.check: verdict.digest for verdict in verdicts}


def test_an_empty_folder_passes_and_is_told_once() -> None:
    verdicts = judge(Inbox({}, {}, ()))
    assert [verdict.passed for verdict in verdicts] == [True, True, True]
    assert len(news(SPEC, verdicts, {})) == 3
    assert news(SPEC, verdicts, digests(verdicts)) == []


def test_files_of_an_undeclared_table_are_told_with_the_remedy_until_it_is_declared() -> None:
    nothing = judge(Inbox({}, {}, ()))
    one = judge(undeclared(file(1)))
    (told,) = news(SPEC, one, digests(nothing))
    assert (told.asset_key, told.check_name, told.passed) == (folder_key("probation"), UNDECLARED_CHECK, False)
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert told.metadata["found"].value == "probation.no_such_table: 1 files"
    assert "declare the tables" in str(told.metadata["remedy"].value)
    more = judge(undeclared(file(1), file(2)))
    assert news(SPEC, more, digests(one)) == [], "files of a table that is still captured come all the time"
    (over,) = news(SPEC, nothing, digests(more))
    assert over.passed


def test_changes_of_a_stream_that_ended_before_the_first_look_are_told_with_what_to_do() -> None:
    region = SPEC.table_names[0]

    def landed(name: str, second: int) -> LandedFile:
        key = f"{SPEC.folder}/{region.schema}/{region.table}/{name}.parquet"
        at = STREAM.fresh_start + timedelta(seconds=second)
        found = landed_file(ObjectMeta(key, 1, "e", at), SPEC.folder)
        assert found is not None
        return found

    early, later = landed("20260101-000000001", -1), landed("20260101-000000002", 0)
    inbox = Inbox({region: (landed("LOAD00000001", -1), early, later)}, {}, ())
    _, unknown, _ = judge_folder(SPEC, inbox, [], [])
    assert unknown.passed, "the task was never looked at"
    good = judge(Inbox({region: (later,)}, {}, ()))
    (told,) = news(SPEC, judge(inbox), digests(good))
    assert (told.check_name, told.passed) == (STREAM_CHECK, False)
    assert told.metadata["found"].value == f"written before 2026-01-01 00:00:00 UTC: {region}: 1 files"
    assert "move the files away" in str(told.metadata["remedy"].value)
    (over,) = news(SPEC, good, digests(judge(inbox)))
    assert over.passed


def test_only_open_entries_of_no_table_are_strangers() -> None:
    entries = [
        entry("a", EntryState.OPEN),
        entry("b", EntryState.DONE),
        entry("c", EntryState.OPEN, TableName("probation", "region")),
    ]
    *_, verdict = judge_folder(SPEC, Inbox({}, {}, ()), [STREAM], entries)
    assert (verdict.check, verdict.passed, verdict.found) == (STRANGER_CHECK, False, "1 in quarantine (a)")


def test_many_tables_are_told_in_few_words() -> None:
    many: dict[TableName, tuple[LandedFile, ...]] = {
        TableName("probation", f"t{number:02d}"): (file(number),) for number in range(30)
    }
    verdict, *_ = judge(Inbox({}, many, ()))
    assert verdict.found.endswith("probation.t09: 1 files; and 20 tables more")


def test_all_checks_can_be_asked_for() -> None:
    keys = {spec.key for spec in build_folder_checks(SPEC).check_specs}
    assert keys == {dg.AssetCheckKey(folder_key("probation"), name) for name in CHECKS}
