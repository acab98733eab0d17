"""Commits that are overtaken, refused, or answered by nothing: what became of them is read from the table."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Transaction

from dms_assets.lake.validated_table import UnknownCommitError
from tests.lake.world import World, cdc_table, event_counts, folder_world, load_table, rows

CDC_1 = "20260101-000000001.parquet"


@pytest.fixture
def loaded(world: World) -> World:
    """A table with a load, and one change file that waits."""
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    world.land(CDC_1, cdc_table(rows(1, first=2)))
    return world


def data_files(world: World) -> set[str]:
    folder = world.home / "lake" / "shop_app_validated" / "person" / "data"
    return {str(path) for path in folder.iterdir()}


def test_a_response_that_was_lost_after_the_commit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.land_load(load_table(rows(2)))
    world.loaded(2)
    catalog = world.catalog
    commit = catalog.commit_table
    answered: list[str] = []

    def lose_response(*arguments: Any) -> Any:
        commit(*arguments)
        answered.append("lost")
        raise ConnectionError("connection reset")

    monkeypatch.setattr(catalog, "commit_table", lose_response)
    outcome = world.ingest()
    assert answered == ["lost"]
    assert (outcome.batch, outcome.rows) == (1, 2)
    monkeypatch.undo()
    assert not world.ingest().committed
    assert len(world.table_rows()) == 2


def test_a_commit_of_unknown_outcome_is_not_repeated_blindly(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.land_load(load_table(rows(2)))
    world.loaded(2)

    def fail(*_: Any) -> Any:
        raise ConnectionError("connection refused")

    monkeypatch.setattr(world.catalog, "commit_table", fail)
    with pytest.raises(UnknownCommitError, match="the next run looks"):
        world.ingest()
    assert world.listed() == ["LOAD00000001.parquet"]
    monkeypatch.undo()
    assert world.ingest().rows == 2


def test_a_commit_that_another_overtook_begins_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.land_load(load_table(rows(1)))
    world.loaded(1)
    world.ingest()
    world.land(CDC_1, cdc_table(rows(1, first=2)))
    other = folder_world(world.home, world.worker, state=world.state, streams=world.streams)
    commit = Transaction.commit_transaction
    overtaken: list[int] = []

    def overtake(transaction: Any) -> Any:
        if not overtaken:
            overtaken.append(1)
            other.ingest()
        return commit(transaction)

    monkeypatch.setattr(Transaction, "commit_transaction", overtake)
    outcome = world.ingest()
    assert overtaken
    assert outcome.attempts == 2
    assert not outcome.committed
    assert world.table_rows() == [("I", 2), ("L", 1)]
    assert event_counts(world.ledger_rows()) == {"accepted": 2}
    data = list((world.home / "lake" / "shop_app_validated" / "person" / "data").iterdir())
    assert len(data) == len(world.pinned().files)


def test_a_refusal_that_answers_a_request_sent_twice_is_a_commit(
    loaded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that repeats a request after a time-out is refused, for the first one was carried out."""
    commit = loaded.catalog.commit_table
    refused: list[str] = []

    def carry_out_and_refuse(*arguments: Any) -> Any:
        commit(*arguments)
        refused.append("the table version has moved")
        raise CommitFailedException(refused[0])

    monkeypatch.setattr(loaded.catalog, "commit_table", carry_out_and_refuse)
    outcome = loaded.ingest()
    monkeypatch.undo()
    assert refused
    assert (outcome.attempts, outcome.batch, outcome.rows) == (1, 2, 1)
    assert data_files(loaded) == set(loaded.pinned().files), "what the snapshot names is there"
    assert loaded.table_rows() == [("I", 2), ("L", 1)]
    assert event_counts(loaded.ledger_rows()) == {"accepted": 2}


def test_another_workers_commit_of_the_same_files_is_not_taken_for_ones_own(
    loaded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder_world(loaded.home, loaded.worker, state=loaded.state, streams=loaded.streams)
    theirs: list[Any] = []

    def lose_response_to_a_request_that_came_too_late(*_: Any) -> Any:
        theirs.append(other.ingest())
        raise ConnectionError("connection reset")

    monkeypatch.setattr(loaded.catalog, "commit_table", lose_response_to_a_request_that_came_too_late)
    outcome = loaded.ingest()
    assert [found.rows for found in theirs] == [1]
    assert not outcome.committed, "the other worker tells of this batch"
    assert outcome.attempts == 2
    assert data_files(loaded) == set(loaded.pinned().files), "the loser's data files are gone"
    accepted = [row for row in loaded.ledger_rows() if row.batch == 2]
    assert [row.batch_id for row in accepted] == [theirs[0].batch_id]


def test_a_loser_leaves_the_winners_announcement_alone(loaded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The winner is killed before the ledger; the loser, who had the same files, must not take its rows away."""
    other = folder_world(loaded.home, loaded.worker, state=loaded.state, streams=loaded.streams)
    commit = Transaction.commit_transaction
    overtaken: list[str] = []

    def die(name: str) -> None:
        if name == "lake.after_commit":
            raise KeyboardInterrupt

    def overtake(transaction: Any) -> Any:
        if not overtaken:
            overtaken.append("yes")
            with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
                patch.setattr("dms_assets.lake.batch_attempt.reach", die)
                other.ingest()
        return commit(transaction)

    monkeypatch.setattr(Transaction, "commit_transaction", overtake)
    outcome = loaded.ingest()
    assert overtaken
    assert (outcome.attempts, outcome.committed) == (2, False)
    assert loaded.pinned().batch == 2, "the other one's"
    (row,) = [row for row in loaded.ledger_rows() if row.batch == 2]
    assert row.archive_key, "as announced, not as read from the table again"


def test_a_commit_whose_outcome_nobody_can_look_up_is_unknown(loaded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    load_table = loaded.catalog.load_table

    def fail(*_: Any) -> Any:
        monkeypatch.setattr(loaded.catalog, "load_table", fail)
        raise ConnectionError("connection refused")

    monkeypatch.setattr(loaded.catalog, "commit_table", fail)
    with pytest.raises(UnknownCommitError, match="connection refused; then: connection refused"):
        loaded.ingest()
    monkeypatch.setattr(loaded.catalog, "load_table", load_table)
    assert data_files(loaded) > set(loaded.pinned().files), "what may still be committed is not deleted"
