"""Hostile files: each is quarantined for the reason it deserves, what is right gets in, good files beside them too."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from dms_assets.lake.quarantine import EntryState
from dms_assets.lake.quarantine_causes import read_causes
from dms_assets.validation.outcome import Group, Reason
from dms_assets.validation.worker_process import ValidationWorker
from tests.corpus.corpus import CORPUS
from tests.corpus.judged import GOOD_NEIGHBOURS, NUMBERS, Judged, judge_corpus
from tests.lake.world import cdc_table, folder_world, rows


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A table into whose landing every hostile file fell at once, between good ones; ingested once."""
    return judge_corpus(tmp_path_factory.mktemp("corpus"))


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 140
    assert sum(file.reason is not None for file in CORPUS.values()) >= 110
    unjudged = {Reason.UNKNOWN_KEY, Reason.UNKNOWN_TABLE, Reason.DUPLICATE_KEY}
    assert {file.reason for file in CORPUS.values()} == {None, *Reason} - unjudged


@pytest.mark.parametrize("name", CORPUS)
def test_the_verdict_is_the_expected_one(judged: Judged, name: str) -> None:
    assert judged.reason(name) is CORPUS[name].reason, judged.text(name)


def test_nothing_is_left_and_nothing_of_a_rejected_file_gets_in(judged: Judged) -> None:
    world, rejected = judged.world, [name for name, file in CORPUS.items() if file.reason]
    assert world.listed() == []
    assert len(world.quarantine.entries()) == len(rejected)
    files = {row[0].rpartition("/")[2] for row in world.table_rows("distinct _file", "1")}
    assert files.isdisjoint(NUMBERS[name] for name in rejected)
    right = {NUMBERS[name] for name, file in CORPUS.items() if not file.reason and not name.startswith("no_row")}
    assert files == right | {"20260101-000000000.parquet", "20260102-000000000.parquet"}


def test_good_neighbours_get_in(judged: Judged) -> None:
    assert judged.neighbours == GOOD_NEIGHBOURS


def test_the_parent_stays_small(judged: Judged) -> None:
    assert judged.growth < 200 << 20


def test_reports_hold_no_values(judged: Judged) -> None:
    quarantine = judged.world.quarantine
    for entry in quarantine.entries():
        report = quarantine.report(entry)
        text = json.dumps(report.to_json()) + report.text()
        for value in ("bbbbbbbbbbb", "2026-02-30", "9999-12-31", "xxxxxxxxxx", "far too long", "GONE", "999999999999"):
            assert value not in text
        assert "\0" not in text
        assert "\x1b" not in text
        assert len(text) < 20_000
        assert entry.state is EntryState.OPEN


def test_a_report_says_where_and_what(judged: Judged) -> None:
    found = {item.key: item for item in judged.outcome.rejected}
    entry = judged.world.quarantine.entry(found[judged.world.key(NUMBERS["too_long"])].entry_id)
    report = judged.world.quarantine.report(entry)
    length = next(outcome for outcome in report.outcomes if outcome.group is Group.LENGTH)
    assert (length.passed, length.failing, length.rows) == (False, 1, (1,))
    assert "name: at most 10 characters" in length.expected
    assert len(length.key_hashes[0]) == 16
    (broken,) = length.broken
    assert (broken.rule, broken.column, broken.rows) == ("max_length", "name", (1,))


def test_there_are_fewer_causes_than_files(judged: Judged) -> None:
    causes = read_causes(judged.world.quarantine)
    assert len(causes) < len(judged.world.quarantine.entries())
    length = next(cause for cause in causes if cause.reason is Reason.LENGTH)
    assert {file.key for file in length.files} == {
        judged.world.key(NUMBERS[name]) for name, file in CORPUS.items() if file.reason is Reason.LENGTH
    }


def test_all_differences_of_a_schema_are_listed(judged: Judged, tmp_path: Path) -> None:
    with ValidationWorker() as worker:
        world = folder_world(tmp_path, worker)
        world.loaded(0)
        table = cdc_table(rows(1)).drop_columns(["name"]).append_column("extra", pa.array([1]))
        index = table.schema.get_field_index("id")
        world.land("20260101-000000000.parquet", table.set_column(index, "id", pa.array([1], pa.int64())))
        outcome = world.ingest()
    found = outcome.checks[Group.SCHEMA]
    for told in ("'name' (string) is missing", "'extra' (INT64", "'id' is INT64"):
        assert told in found.found
    assert sorted((rule.rule, rule.column) for rule in found.failed[0].outcome.broken) == [
        ("known", "extra"),
        ("present", "name"),
        ("type", "id"),
    ]
