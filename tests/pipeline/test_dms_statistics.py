"""Rows against DMS's counters: what is missing or too much is found, what is under way is not held against anybody."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.change_counts import ChangeCounts, count_changes
from dms_assets.lake.folder_store import FolderStore
from dms_assets.metadata.version_store import DamagedVersionError
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TABLE_COMPLETED, TableState
from dms_assets.pipeline.checks.dms_statistics import Counters, Looks, LooksStore, SetAside, compare_counts
from dms_assets.pipeline.checks.dms_statistics_checks import LOOK_EVERY, copies_recognised, next_look
from tests.lake.conftest import worker, world
from tests.lake.world import NO_KEY, PERSON, World, cdc_table, load_table, rows, source_spec

__all__ = ["worker", "world"]
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOTED = Counters(inserts=5, updates=3, deletes=1, load_rows=10, reloaded=False)
EXACT = {"I": 5, "U": 3, "D": 1}


@pytest.mark.parametrize(
    ("counts", "later", "aside", "told"),
    [
        ({}, {}, SetAside(), None),
        ({"rows": {**EXACT, "U": 2}}, {}, SetAside(), "1 updates are missing"),
        ({"rows": {**EXACT, "U": 2}}, {}, SetAside(rows=1), None),
        ({"rows": {**EXACT, "U": 1}}, {}, SetAside(rows=1), "2 updates are missing"),
        ({"rows": {**EXACT, "U": 1}}, {}, SetAside(unknown=1), None),
        # Redelivered: rows twice, changes once.
        ({"rows": {"I": 10, "U": 6, "D": 2}}, {}, SetAside(), None),
        ({"rows": {"I": 7}, "distinct": {"I": 7}}, {}, SetAside(), "2 inserts more than DMS wrote"),
        # DMS went on meanwhile.
        ({"rows": {**EXACT, "I": 7}, "distinct": {**EXACT, "I": 7}}, {"inserts": 8}, SetAside(), None),
        ({"rows": {**EXACT, "I": 7}, "distinct": {**EXACT, "I": 7}}, {"reloaded": True}, SetAside(), None),
        ({"load_rows": 9}, {}, SetAside(), "9 rows of the load, DMS loaded 10"),
    ],
)
def test_rows_and_counters(
    counts: dict[str, object], later: dict[str, object], aside: SetAside, told: str | None
) -> None:
    accepted = replace(ChangeCounts(EXACT, EXACT, 10), **counts)  # type: ignore[arg-type]
    verdict = compare_counts(
        NOTED,
        accepted,
        replace(NOTED, **later),  # type: ignore[arg-type]
        aside=aside,
        copies_recognised=True,
        load_is_in=True,
    )
    assert verdict.passed is (told is None)
    assert (told or "they agree") in verdict.found
    assert bool(verdict.remedy) is not verdict.passed


def test_copies_are_recognised_of_a_table_that_always_had_a_key(tmp_path: Path) -> None:
    """Rows from before the key are told apart by their place in a file; a copy of one is a change more."""
    installation, spec = Installation(Environment(home=tmp_path)), source_spec()
    store = installation.versions(spec.name)
    assert not copies_recognised(installation, spec, PERSON.name)
    store.record(PERSON, NOW)
    assert copies_recognised(installation, spec, PERSON.name)
    for metadata in (NO_KEY, replace(NO_KEY, key=(NO_KEY.columns[0].name,))):
        store.record(metadata, NOW)
        assert not copies_recognised(installation, spec, NO_KEY.name)
    (version,) = (tmp_path / "state" / "metadata" / spec.name / str(PERSON.name)).glob("*.json")
    version.write_bytes(version.read_bytes()[:-9])
    with pytest.raises(DamagedVersionError):
        store.current(PERSON.name)
    assert not copies_recognised(installation, spec, PERSON.name), "the tables beside it are judged all the same"


def test_where_positions_do_not_tell_changes_apart_a_surplus_may_be_copies() -> None:
    many = ChangeCounts({"I": 50, "U": 3, "D": 1}, {"I": 50, "U": 3, "D": 1}, 10)
    facts = {"aside": SetAside(), "load_is_in": True}
    assert compare_counts(NOTED, many, NOTED, copies_recognised=False, **facts).passed  # type: ignore[arg-type]
    assert not compare_counts(NOTED, many, NOTED, copies_recognised=True, **facts).passed  # type: ignore[arg-type]


def test_a_table_is_counted_only_once_it_holds_what_was_noted() -> None:
    state = TableState(TableName("s", "t"), TABLE_COMPLETED, inserts=5)
    spec = source_spec(clock_skew_s=60)
    noted, count = next_look(Looks(1), state, NOW, spec, NOW)
    assert (noted.noted, noted.noted_at, count) == (Counters.of(state), NOW, False)
    later = replace(state, inserts=9)
    for covered, due in ((None, False), (NOW, False), (NOW + timedelta(seconds=60), True)):
        assert next_look(noted, later, covered, spec, NOW + timedelta(minutes=2)) == (noted, due)


def test_a_table_is_looked_at_again_when_its_counters_moved_and_not_all_the_time() -> None:
    state = TableState(TableName("s", "t"), TABLE_COMPLETED, inserts=5)
    judged = Looks(1, judged=Counters.of(state), judged_at=NOW)
    spec = source_spec()
    assert next_look(judged, state, NOW, spec, NOW + 2 * LOOK_EVERY) == (judged, False)
    moved = replace(state, inserts=6)
    assert next_look(judged, moved, NOW, spec, NOW + LOOK_EVERY / 2) == (judged, False)
    assert next_look(judged, moved, NOW, spec, NOW + LOOK_EVERY)[0].noted == Counters.of(moved)


def test_looks_are_remembered(tmp_path: Path) -> None:
    store = LooksStore(FolderStore(tmp_path), "shop")
    assert store.read() == {}
    looks = {
        TableName("s", "a"): Looks(1, NOTED, NOW, ChangeCounts(EXACT, EXACT, 3), NOW, load_is_in=True),
        TableName("s", "b"): Looks(2, judged=NOTED, judged_at=NOW),
    }
    store.write(looks)
    assert LooksStore(FolderStore(tmp_path), "shop").read() == looks


def test_rows_are_counted_from_the_data_files(world: World) -> None:
    """The same changes in two files are rows twice, and changes once."""
    world.land_load(load_table(rows(3)))
    world.loaded(3)
    world.land("20260101-000000001.parquet", cdc_table(rows(2, first=4)))
    world.land("20260101-000000002.parquet", cdc_table(rows(2, first=4)))
    world.land("20260101-000000003.parquet", cdc_table(rows(1), op="D", seq=9))
    outcome = world.ingest()
    load_id = outcome.loads[0].load_id
    counts = count_changes(world.pinned().files, 1, load_id)
    assert counts == ChangeCounts({"I": 4, "D": 1}, {"I": 2, "D": 1}, 3)
    assert count_changes(world.pinned().files, 2, None) == ChangeCounts()
    assert count_changes((), 1, load_id) == ChangeCounts()
