"""What is in landing beside files of declared tables is told once, where the UI shows it."""

from datetime import UTC, datetime

import dagster as dg

from dms_assets.lake.landing import landed_file
from dms_assets.lake.object_store import ObjectMeta
from dms_assets.lake.quarantine import Entry, EntryState
from dms_assets.model.landed_file import LandedFile
from dms_assets.model.names import TableName
from dms_assets.pipeline.sensors.landing_folder import (
    STRANGER_CHECK,
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


def file(number: int) -> LandedFile:
    key = f"{SPEC.folder}/{OTHER.schema}/{OTHER.table}/20260101-{number:09d}.parquet"
    found = landed_file(ObjectMeta(key, 1, "e", datetime(2026, 1, 1, tzinfo=UTC)), SPEC.folder)
    assert found is not None
    return found


def entry(name: str, state: EntryState, table: TableName | None = None) -> Entry:
    return Entry(name, f"probation/unknown/{name}", table, state, 1, None)


def digests(verdicts: list[FolderVerdict]) -> dict[str, str]:
    return {verdict.check: verdict.digest for verdict in verdicts}


def test_an_empty_folder_passes_and_is_told_once() -> None:
    verdicts = judge_folder(SPEC, {}, [])
    assert [verdict.passed for verdict in verdicts] == [True, True]
    assert len(news(SPEC, verdicts, {})) == 2
    assert news(SPEC, verdicts, digests(verdicts)) == []


def test_files_of_an_undeclared_table_are_told_with_the_remedy_until_it_is_declared() -> None:
    nothing = judge_folder(SPEC, {}, [])
    one = judge_folder(SPEC, {OTHER: [file(1)]}, [])
    (told,) = news(SPEC, one, digests(nothing))
    assert (told.asset_key, told.check_name, told.passed) == (folder_key("probation"), UNDECLARED_CHECK, False)
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert told.metadata["found"].value == "probation.no_such_table: 1 files"
    assert "declare the tables" in str(told.metadata["remedy"].value)
    more = judge_folder(SPEC, {OTHER: [file(1), file(2)]}, [])
    assert news(SPEC, more, digests(one)) == [], "files of a table that is still captured come all the time"
    (over,) = news(SPEC, nothing, digests(more))
    assert over.passed


def test_only_open_entries_of_no_table_are_strangers() -> None:
    entries = [
        entry("a", EntryState.OPEN),
        entry("b", EntryState.DONE),
        entry("c", EntryState.OPEN, TableName("probation", "region")),
    ]
    _, verdict = judge_folder(SPEC, {}, entries)
    assert (verdict.check, verdict.passed, verdict.found) == (STRANGER_CHECK, False, "1 in quarantine (a)")


def test_many_tables_are_told_in_few_words() -> None:
    many = {TableName("probation", f"t{number:02d}"): [file(number)] for number in range(30)}
    verdict, _ = judge_folder(SPEC, many, [])
    assert verdict.found.endswith("probation.t09: 1 files; and 20 tables more")


def test_both_checks_can_be_asked_for() -> None:
    keys = {spec.key for spec in build_folder_checks(SPEC).check_specs}
    assert keys == {dg.AssetCheckKey(folder_key("probation"), name) for name in (UNDECLARED_CHECK, STRANGER_CHECK)}
