"""Rejected files grouped by what is wrong: one cause however many files, each with its remedy."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa

from dms_assets.lake.quarantine import EntryState
from dms_assets.lake.quarantine_causes import Cause, group_causes, read_causes, remedy_of
from dms_assets.validation.outcome import CheckOutcome, Group, Reason
from tests.lake.world import World, cdc_table, rows


def quarantined(world: World) -> list[Cause]:
    """Two files with names too long, one of them with a bad status too, and one that is no Parquet."""
    world.loaded(0)
    long = pa.array(["a" * 11, "b" * 12])
    world.land("20260101-000000001.parquet", cdc_table(rows(2, name=long)))
    world.land("20260101-000000002.parquet", cdc_table(rows(2, name=long, status=pa.array(["OPEN", "GONE"]))))
    world.land("20260101-000000003.parquet", b"no Parquet")
    world.ingest()
    return read_causes(world.quarantine)


def test_files_are_grouped_by_reason_rule_and_column(world: World) -> None:
    causes = {(cause.reason, cause.rule, cause.column): cause for cause in quarantined(world)}
    assert set(causes) == {
        (Reason.LENGTH, "max_length", "name"),
        (Reason.DOMAIN, "isin", "status"),
        (Reason.UNREADABLE, "whole", ""),
    }
    length = causes[Reason.LENGTH, "max_length", "name"]
    assert (len(length.files), length.failing, length.open_files) == (2, 4, 2)
    assert length.expected == "at most 10 characters"
    assert length.files[0].rows == (0, 1)
    assert length.first_seen <= length.last_seen
    assert length.title == "app.person: length (max_length of column name)"
    domain = causes[Reason.DOMAIN, "isin", "status"]
    assert {file.entry_id for file in domain.files} < {file.entry_id for file in length.files}
    assert "aaaaaaaaaaa" not in json.dumps([cause.to_json() for cause in causes.values()])


def test_a_cause_keeps_its_name_and_is_gone_when_its_files_are_decided_on(world: World) -> None:
    before = {cause.cause_id: cause for cause in quarantined(world)}
    assert {cause.cause_id for cause in read_causes(world.quarantine, world.name)} == set(before)
    (broken,) = [cause for cause in before.values() if cause.reason is Reason.UNREADABLE]
    entry = world.quarantine.entry(broken.files[0].entry_id)
    world.quarantine.decide(entry, EntryState.DISCARD, "not ours", "me", world.start)
    assert {cause.cause_id for cause in read_causes(world.quarantine)} == set(before) - {broken.cause_id}
    (again,) = read_causes(world.quarantine, states={EntryState.DISCARD})
    assert (again.cause_id, again.open_files) == (broken.cause_id, 0)


def test_every_reason_has_a_remedy() -> None:
    assert all(remedy_of(reason) for reason in Reason)


def test_a_report_that_names_no_rules_is_a_cause_of_its_group(world: World) -> None:
    quarantined(world)
    entry = world.quarantine.entries()[0]
    outcome = CheckOutcome(
        Group.UNIQUE, passed=False, expected="every key once", found="2 rows", failing=2, rows=(1, 3)
    )
    report = replace(world.quarantine.report(entry), reason=Reason.DUPLICATE_KEY, outcomes=(outcome,))
    (cause,) = group_causes([(entry, report, report.at)])
    assert (cause.reason, cause.rule, cause.failing, cause.files[0].rows) == (Reason.DUPLICATE_KEY, "unique", 2, (1, 3))
