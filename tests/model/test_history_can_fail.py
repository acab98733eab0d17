"""Each rule is needed: without it, or with a simpler one that looks right, some scenario shows something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random

import pytest

from dms_assets.model import change_log
from dms_assets.model import history as rules
from dms_assets.model.change_log import LogPlace, Row
from dms_assets.model.history import Version
from dms_assets.model.load import Load
from tests.model.test_history_scenarios import check
from tests.strategies.change_log import SETUPS, generate

SEEDS = 40
Patch = Callable[[pytest.MonkeyPatch], None]
real_fold, real_place, real_events = rules.fold, change_log.log_place, rules._events


def _placed(change: Callable[[LogPlace, Row, Sequence[Load]], LogPlace]) -> Patch:
    def place(row: Row, loads: Sequence[Load]) -> LogPlace:
        return change(real_place(row, loads), row, loads)

    return lambda patch: patch.setattr(rules, "log_place", place)


def _copies(place: Callable[[Version], Row], state: Callable[[Version], Row]) -> Patch:
    def versions(*args: object) -> dict[bytes, Version]:
        folded = real_fold(*args)  # type: ignore[arg-type]
        return {key: Version(place(version), state(version)) for key, version in folded.items()}

    return lambda patch: patch.setattr("tests.model.test_history_scenarios.fold", versions)


def _merge_first(patch: pytest.MonkeyPatch) -> None:
    lasting, merged = rules._lasting, rules._merged
    patch.setattr(rules, "_merged", lambda events: events)
    patch.setattr(rules, "_lasting", lambda events: lasting(merged(events)))


def _no_zero_length(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_lasting", lambda events: events)


def _no_merge(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_merged", lambda events: events)


def _loads_close_nothing(patch: pytest.MonkeyPatch) -> None:
    def events(placed: list[tuple[LogPlace, Version]], loads: Sequence[Load]) -> object:
        return real_events(placed, [])

    patch.setattr(rules, "_events", events)


def _no_running_maximum(patch: pytest.MonkeyPatch) -> None:
    def events(placed: list[tuple[LogPlace, Version]], loads: Sequence[Load]) -> object:
        timed = real_events(placed, loads)
        return [replace(event, at=event.version.place.commit_at if event.version else event.at) for event in timed]

    patch.setattr(rules, "_events", events)


def _stamped_at_ingest(patch: pytest.MonkeyPatch) -> None:
    visible: dict[str, int] = {}

    def fold(versions: dict[bytes, Version], rows: Sequence[Row]) -> dict[bytes, Version]:
        visible.update({row.load_id: row.batch for row in rows if row.load_id})
        return real_fold(versions, rows)

    def place(row: Row, loads: Sequence[Load]) -> LogPlace:
        known = [load for load in loads if visible.get(load.load_id, 0) <= row.batch]
        return real_place(row, loads if row.op == "L" else known)

    patch.setattr("tests.model.test_history_scenarios.fold", fold)
    patch.setattr(rules, "log_place", place)


def _late_work_is_skipped(patch: pytest.MonkeyPatch) -> None:
    """An increment found by the largest commit time, not by the batch."""

    def fold(versions: dict[bytes, Version], rows: Sequence[Row]) -> dict[bytes, Version]:
        seen: datetime | None = max((version.state.commit_at for version in versions.values()), default=None)
        return real_fold(versions, [row for row in rows if seen is None or row.op == "L" or row.commit_at >= seen])

    patch.setattr("tests.model.test_history_scenarios.fold", fold)


def _delete_content_counts(patch: pytest.MonkeyPatch) -> None:
    """A delete as a state of its own, merged by content."""
    patch.setattr(rules._Event, "same_state", lambda one, other: one.version == other.version)
    patch.setattr(rules, "DELETE_OP", "none")


SIMPLER_RULES: dict[str, Patch] = {
    "a redelivered change takes the place of its last copy": _copies(lambda v: v.state, lambda v: v.state),
    "a transaction's state is its first change": _copies(lambda v: v.place, lambda v: v.place),
    "streams are not told apart": _placed(lambda place, row, loads: (0, *place[1:])),
    "the order is by commit time": _placed(
        lambda place, row, loads: (*place[:4], place[5].isoformat(), *place[5:])  # in place of the sequence
    ),
    "changes are always after every load": _placed(
        lambda place, row, loads: (place[0], "~", *place[2:]) if row.op != "L" else place
    ),
    "changes are always before a reload": _placed(
        lambda place, row, loads: (place[0], "", "", *place[3:]) if row.op != "L" else place
    ),
    "a change follows the loads that were visible when it came": _stamped_at_ingest,
    "merge before dropping": _merge_first,
    "states of zero length stay": _no_zero_length,
    "equal neighbours stay": _no_merge,
    "a load closes nothing": _loads_close_nothing,
    "valid_from is the commit time": _no_running_maximum,
    "increments by commit time": _late_work_is_skipped,
    "a delete is a state": _delete_content_counts,
}


@pytest.mark.parametrize("rule", SIMPLER_RULES)
def test_a_simpler_rule_is_caught(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SIMPLER_RULES[rule](monkeypatch)
    caught: set[str] = set()
    for setup in SETUPS:
        for seed in range(SEEDS):
            try:
                check(generate(Random(seed), setup))
            except AssertionError:
                caught.add(setup.name)
                break
    assert len(caught) >= 5, f"caught in {caught} only"
