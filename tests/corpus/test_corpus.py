"""Hostile files: each is quarantined for the reason it deserves, what is right gets in, good files beside them too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from dms_assets.lake.quarantine import EntryState
from dms_assets.lake.quarantine_causes import read_causes
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.validation.outcome import Group, Reason
from dms_assets.validation.worker_process import ValidationWorker, WorkerLimits
from tests.corpus.corpus import CORPUS
from tests.lake.world import World, cdc_table, folder_world, rows, source_spec

SMALL = WorkerLimits(memory_bytes=1 << 30, cpu_seconds=10)
NUMBERS = {name: f"20260101-{number:09d}.parquet" for number, name in enumerate(CORPUS, 1)}


@dataclass
class Judged:
    """The table, what became of its files, and by how many bytes the parent grew."""

    world: World
    outcome: TableOutcome
    growth: int

    def reason(self, name: str) -> Reason | None:
        """Why a file of the corpus was rejected; None if it was not."""
        key = self.world.key(NUMBERS[name])
        return next((item.reason for item in self.outcome.rejected if item.key == key), None)

    def text(self, name: str) -> str:
        """The report on a file of the corpus."""
        key = self.world.key(NUMBERS[name])
        found = [item.entry_id for item in self.outcome.rejected if item.key == key]
        return self.world.quarantine.report(self.world.quarantine.entry(found[0])).text() if found else "accepted"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A table into whose landing every hostile file fell at once, between good ones; ingested once."""
    with ValidationWorker(SMALL) as worker:
        world = folder_world(tmp_path_factory.mktemp("corpus"), worker, spec=source_spec(ordered_files=True))
        world.loaded(0)
        world.land("20260101-000000000.parquet", cdc_table(rows(2, first=900_001)))
        for name, file in CORPUS.items():
            world.land(NUMBERS[name], file.build())
        world.land("20260102-000000000.parquet", cdc_table(rows(2, first=900_003)))
        before = psutil.Process().memory_info().rss
        outcome = world.ingest()
        return Judged(world, outcome, psutil.Process().memory_info().rss - before)


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
    assert [row for row in judged.world.table_rows() if row[1] > 900_000 and row[1] < 2**30] == [
        ("I", 900_000 + number) for number in range(1, 5)
    ]


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
