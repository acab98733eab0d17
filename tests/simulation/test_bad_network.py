"""Taking in files while stores and catalog fail; row R3 goes through many more seeds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from dms_assets.validation.worker_process import ValidationWorker
from tests.simulation.bad_network import bad_network
from tests.simulation.faults import Fault, Faults, FaultyStore, PlantedError


def test_nothing_is_lost_or_there_twice(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    with ValidationWorker() as worker:
        for seed in (1, 2):
            counts.update(bad_network(seed, tmp_path / str(seed), worker))
    for fault in Fault:
        assert counts[fault], f"no request was '{fault}'"


def test_an_answer_that_is_lost_has_taken_effect(tmp_path: Path) -> None:
    faults = Faults(Random(1), 1)
    store = FaultyStore(tmp_path, faults)
    for number in range(40):
        before = faults.counts.copy()
        try:
            store.put(str(number), b"x")
        except PlantedError:
            happened = faults.counts - before
            faults.active = False
            there = any(meta.key == str(number) for meta in store.list())
            faults.active = True
            assert there == bool(happened[Fault.LOST] or happened[Fault.HANG_AFTER])
    assert all(faults.counts[fault] for fault in Fault)


def test_a_lost_row_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that says it copied and did not is not found out by errors, but by the accounts."""
    copy_to = FaultyStore.copy_to
    forgotten: list[str] = []

    def forget(store: FaultyStore, key: str, target: FaultyStore, target_key: str, *, if_match: str) -> object:
        if "/accepted/" in target_key and not forgotten:
            forgotten.append(key)
            return store.head(key)
        return copy_to(store, key, target, target_key, if_match=if_match)

    monkeypatch.setattr(FaultyStore, "copy_to", forget)
    with ValidationWorker() as worker, pytest.raises(AssertionError):
        bad_network(1, tmp_path, worker, probability=0)
    assert forgotten
