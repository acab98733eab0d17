"""Quarantine: reports, decisions, replay under the original identity, discard; and its command."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from dms_assets.commands.quarantine import QuarantineAccess, quarantine
from dms_assets.lake.batch_attempt import Observation
from dms_assets.lake.landing import landed_file
from dms_assets.lake.quarantine import EntryState, QuarantineError, Report
from dms_assets.model.failpoints import FailpointError
from dms_assets.model.load import Stream
from dms_assets.validation.outcome import Reason
from tests.lake.world import World, cdc_table, dying_at, event_counts, load_table, newer, rows, source_spec

CDC_1 = "20260101-000000001.parquet"


@pytest.fixture
def bad(world: World) -> str:
    """A table with one file in quarantine: an amount that the declaration forbids. Its id."""
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.land(CDC_1, cdc_table(_negative()))
    outcome = world.ingest()
    (rejected,) = outcome.rejected
    assert rejected.reason is Reason.DECLARED
    return rejected.entry_id


def _negative() -> dict[str, object]:
    return rows(2, first=2, amount=pa.array([-1, -2], pa.decimal128(10, 2)))


@pytest.fixture
def run(world: World) -> Callable[..., Result]:
    access = QuarantineAccess(world.stores, {"shop": "shop"})
    return lambda *arguments: CliRunner().invoke(quarantine, list(arguments), obj=access)


def test_a_decision_is_made_once(world: World, bad: str) -> None:
    quarantine = world.quarantine
    entry = quarantine.entry(bad)
    assert entry.state is EntryState.OPEN
    with pytest.raises(QuarantineError, match="reason"):
        quarantine.decide(entry, EntryState.DISCARD, " ", "me", world.start)
    quarantine.decide(entry, EntryState.REPLAY, "fixed", "me", world.start)
    with pytest.raises(QuarantineError, match="just now"):
        quarantine.decide(entry, EntryState.DISCARD, "no", "you", world.start)
    with pytest.raises(QuarantineError, match="not open"):
        quarantine.decide(quarantine.entry(bad), EntryState.DISCARD, "no", "you", world.start)
    with pytest.raises(QuarantineError, match="quarantine list"):
        quarantine.entry("nothing")


def test_replay_takes_the_file_under_its_original_identity(world: World, bad: str, run: Callable[..., Result]) -> None:
    report = world.quarantine.report(world.quarantine.entry(bad))
    # Meanwhile a new stream began and another file came under the same key.
    world.streams.append(Stream(2, "arn:task", world.start + timedelta(minutes=1)))
    key = world.land(CDC_1, cdc_table(rows(1, first=7)))
    newer(world.landing, key, 120)  # type: ignore[arg-type]
    world.spec = source_spec().model_copy(update={"tables": (_without_checks(),)})
    assert run("replay", bad, "--reason", "rule was wrong").exit_code == 0
    assert world.quarantine.held_tables() == {world.name: (bad,)}
    outcome = world.ingest()
    assert outcome.held == ()
    assert world.table_rows("id, _stream, _file", "id") == [
        (1, 1, world.key("LOAD00000001.parquet")),
        (2, 1, report.identity.key),
        (3, 1, report.identity.key),
        (7, 2, key),
    ]
    assert world.quarantine.entry(bad).state is EntryState.DONE
    assert world.quarantine.entry(bad).file is None
    assert world.listed() == []
    assert event_counts(world.ledger_rows()) == {"accepted": 3, "quarantined": 1, "replayed": 1}
    accepted = [row for row in world.ledger_rows() if row.quarantine_id == bad and row.event == "accepted"]
    assert [(row.etag, row.last_modified) for row in accepted] == [
        (report.identity.etag, report.identity.last_modified)
    ]
    assert not world.ingest().committed


def _without_checks() -> object:
    return source_spec().tables[0].model_copy(update={"checks": ()})


def test_replay_of_a_file_that_is_still_bad_opens_it_again(world: World, bad: str, run: Callable[..., Result]) -> None:
    assert run("replay", bad, "--reason", "try").exit_code == 0
    outcome = world.ingest()
    assert [item.entry_id for item in outcome.rejected] == [bad]
    entry = world.quarantine.entry(bad)
    assert (entry.state, entry.reports) == (EntryState.OPEN, 2)
    assert world.ingest().rejected == []
    assert run("discard", bad, "--reason", "give up").exit_code == 0
    assert event_counts(world.ledger_rows()) == {"accepted": 1, "quarantined": 2, "replayed": 1, "discarded": 1}


def test_discard_releases_the_table_and_keeps_the_file(world: World, bad: str, run: Callable[..., Result]) -> None:
    assert run("discard", bad, "--reason", "planted").exit_code == 0
    assert world.quarantine.held_tables() == {}
    assert [key for key in world.archived() if "/discarded/" in key]
    row = next(row for row in world.ledger_rows() if row.event == "discarded")
    assert (row.reason, row.quarantine_id) == ("planted", bad)
    assert row.by
    assert run("discard", bad, "--reason", "again").exit_code == 1
    assert world.ingest().held == ()


def test_a_discard_that_died_is_carried_out_by_the_next_run(world: World, bad: str, run: Callable[..., Result]) -> None:
    with dying_at("dms_assets.lake.clearing", "lake.after_discard_decision"):
        assert isinstance(run("discard", bad, "--reason", "planted").exception, FailpointError)
    assert world.quarantine.entry(bad).state is EntryState.DISCARD
    world.ingest()
    assert world.quarantine.entry(bad).state is EntryState.DONE
    assert event_counts(world.ledger_rows())["discarded"] == 1


def test_a_replay_whose_decider_died_is_in_the_ledger_all_the_same(
    world: World, bad: str, run: Callable[..., Result]
) -> None:
    with dying_at("dms_assets.lake.quarantine", "lake.after_decision"):
        died = run("replay", bad, "--reason", "rule was wrong")
    assert isinstance(died.exception, FailpointError)
    assert "replayed" not in event_counts(world.ledger_rows())
    world.ingest()
    (row,) = [row for row in world.ledger_rows() if row.event == "replayed"]
    assert (row.quarantine_id, row.reason) == (bad, "rule was wrong")


def test_replay_of_a_load_file_completes_the_load(world: World, run: Callable[..., Result]) -> None:
    world.land_load(load_table(rows(2)), load_table(_negative() | {"id": rows(2, first=3)["id"]}))
    world.loaded(4)
    outcome = world.ingest()
    assert outcome.stuck is not None
    (rejected,) = outcome.rejected
    world.spec = source_spec().model_copy(update={"tables": (_without_checks(),)})
    assert run("replay", rejected.entry_id, "--reason", "rule was wrong").exit_code == 0
    outcome = world.ingest()
    assert outcome.ops == {"L": 4}
    assert (outcome.stuck, outcome.held) == (None, ())


def test_several_files_are_decided_on_at_once(world: World, bad: str, run: Callable[..., Result]) -> None:
    world.land("20260101-000000002.parquet", cdc_table(_negative(), seq=5))
    world.ingest()
    ids = [entry.entry_id for entry in world.quarantine.entries()]
    assert run("discard", bad, "nothing", "--reason", "planted").exit_code == 1
    assert {entry.state for entry in world.quarantine.entries()} == {EntryState.OPEN}, "all ids are looked up first"
    assert run("discard", *ids, "--reason", "planted").exit_code == 0
    assert {entry.state for entry in world.quarantine.entries()} == {EntryState.DONE}
    assert len(ids) == 2


def test_list_and_show(world: World, bad: str, run: Callable[..., Result]) -> None:
    listed = run("list")
    assert listed.exit_code == 0
    assert bad in listed.output
    assert "app.person" in listed.output
    found = json.loads(run("list", "--json").output)
    assert [(row["id"], row["reason"], row["state"], row["table"]) for row in found] == [
        (bad, "declared check", "open", "app.person")
    ]
    shown = run("show", bad)
    assert "at least 0" in shown.output
    assert "rows 0, 1" in shown.output
    told = json.loads(run("show", bad, "--json").output)
    assert told["report"]["outcomes"]
    run("discard", bad, "--reason", "x")
    assert json.loads(run("list", "--json").output) == []
    assert [row["state"] for row in json.loads(run("list", "--all", "--json").output)] == ["done"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("show", "none"), 1), (("replay", "none", "--reason", "x"), 1), (("replay", "x"), 2), (("nothing",), 2)],
)
def test_exit_status(run: Callable[..., Result], arguments: tuple[str, ...], status: int) -> None:
    assert run(*arguments).exit_code == status


def test_the_ledger_is_read_by_duckdb(world: World, bad: str, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        query = "select event, count(*)::int from read_json(?, union_by_name => true) group by event order by event"
        found = connection.execute(query, [f"{tmp_path}/ledger/shop/**/*.jsonl"]).fetchall()
    assert found == [("accepted", 1), ("quarantined", 1)]


def test_a_file_that_another_worker_rejects_while_it_is_committed_holds_nothing(world: World) -> None:
    """A slow worker with older metadata may reject what this one is about to commit; the commit stands."""
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    key = world.land(CDC_1, cdc_table(rows(2, first=2)))
    seen = world.landing.head(key)

    def slow_worker_rejects_it() -> Observation:
        landed = landed_file(seen, world.spec.folder)
        assert landed is not None
        report = Report(
            identity=seen.identity,
            size=seen.size,
            folder=world.spec.folder,
            table=world.name,
            kind=landed.parsed.kind,
            reason=Reason.SCHEMA,
            outcomes=(),
            at=world.start,
            metadata_version="older",
            rows=2,
        )
        world.quarantine.put(report, world.landing, key, seen.etag)
        return Observation(tuple(world.streams), world.state)

    outcome = world.ingest(observe=slow_worker_rejects_it)
    assert outcome.rows == 2
    assert world.quarantine.held_tables(), "the other worker's entry is there"
    world.ingest()
    assert not world.quarantine.held_tables()
    assert world.table_rows() == [("I", 2), ("I", 3), ("L", 1)]
