"""The rules of the change log and the history, against a naive source, after every batch."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings

from dms_assets.model.history import HistoryRow, Version, as_of, current, fold, history
from tests.strategies.change_log import KEYLESS, SETUPS, Scenario, Setup, comparable, generate, scenarios

SEEDS = 60


def check(scenario: Scenario) -> Counter[str]:
    """Feed the batches one by one and compare after each. Returns how much was compared."""
    counts: Counter[str] = Counter()
    rows = []
    versions: dict[bytes, Version] = {}
    for batch in scenario.batches:
        rows += batch.rows
        versions = fold(versions, batch.rows)
        assert versions == fold({}, rows), "incremental differs from a rebuild"
        shown = history(versions.values(), batch.loads)
        assert_well_formed(shown)
        for expected in batch.expected:
            expected.assert_shown(current(shown) if expected.at is None else as_of(shown, expected.at))
            counts["promised"] += len(expected.promised)
            counts["looked at"] += len(expected.promised) + len(expected.unpromised)
    counts["redelivered"] = scenario.redelivered
    return counts


def assert_well_formed(rows: list[HistoryRow]) -> None:
    """No overlap, no empty state, no equal neighbours, and at most one open row, the last, per key."""
    by_key = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    for states in by_key.values():
        states.sort(key=lambda row: row.valid_from)
        assert all(row.valid_from < row.valid_to for row in states)
        assert [row.is_current for row in states[:-1]] == [False] * (len(states) - 1)
        for row, after in pairwise(states):
            assert row.valid_to <= after.valid_from
            assert row.valid_to < after.valid_from or comparable(row.content) != comparable(after.content)


@settings(max_examples=150, deadline=None)
@given(scenarios())
def test_curated_shows_what_the_source_was(scenario: Scenario) -> None:
    check(scenario)


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_curated_shows_what_the_source_was_for_many_seeds(setup: Setup) -> None:
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        counts += check(generate(Random(seed), setup))
    # What is promised must not shrink to nothing, and redelivery must have happened where the setup has it.
    assert counts["promised"] > 0.4 * counts["looked at"]
    assert (counts["redelivered"] > SEEDS) == (setup.redelivery != "none")


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_the_order_of_arrival_does_not_matter(scenario: Scenario) -> None:
    rows = [row for batch in scenario.batches for row in batch.rows]
    shuffled = list(rows)
    Random(len(rows)).shuffle(shuffled)
    assert fold({}, shuffled) == fold({}, rows)


@pytest.mark.parametrize("seed", range(10))
def test_a_table_without_a_key_keeps_every_delivered_row(seed: int) -> None:
    scenario = generate(Random(seed), KEYLESS)
    rows = [row for batch in scenario.batches for row in batch.rows]
    log = fold({}, rows)
    assert len(log) == len(rows)
    delivered = Counter((row.op, comparable(row.content)) for row in rows)
    captured = Counter((op, comparable(content)) for op, content in scenario.changes)
    assert not captured - delivered, "a change was lost"
    with pytest.raises(ValueError, match="a table without a key is a log"):
        history(log.values(), scenario.batches[-1].loads)
