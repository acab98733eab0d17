"""The SQL of history and the pure rules of `dms_assets.model.history` say the same of the same change logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random

import pytest

from dms_assets.model.change_log import Row
from dms_assets.model.history import fold, history
from dms_assets.model.load import Load
from tests.curation.random_logs import random_log
from tests.curation.rendered import render
from tests.curation.warehouse import Warehouse, normal
from tests.strategies.change_log import KEYLESS, METADATA, SETUPS, Scenario, Setup, generate

LOGS, SCENARIOS = 25, 5
COLUMNS = len(METADATA.columns)
VALID_FROM, VALID_TO, IS_CURRENT = COLUMNS, COLUMNS + 1, COLUMNS + 2


def expected_history(rows: Sequence[Row], loads: Sequence[Load], *, unique: bool) -> Counter[tuple[object, ...]]:
    versions = fold({}, rows)
    # Copies of a change with a unique position all have its state, so it stays with the batch that gives the place.
    batches = {name: version.place.batch if unique else version.state.batch for name, version in versions.items()}
    return Counter(
        normal([*row.content, row.valid_from, row.valid_to, row.is_current, row.change_id, batches[row.change_id]])
        for row in history(versions.values(), loads)
    )


@pytest.fixture(scope="module")
def warehouses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Warehouse]]:
    """Warehouses by how positions are, and one for a table without a key."""
    keyless = replace(METADATA, key=())
    tables = {"unique": (METADATA, True), "shared": (METADATA, False), "keyless": (keyless, False)}
    rendered = render(tmp_path_factory.mktemp("rendered"), tables)
    found = {name: Warehouse(rendered[name], table) for name, (table, _) in tables.items()}
    yield found
    for warehouse in found.values():
        warehouse.connection.close()


@pytest.mark.parametrize("positions", ["unique", "shared"])
@pytest.mark.parametrize("sequenced", [True, False], ids=["sequenced", "unsequenced"])
def test_any_log_in_batches_equals_the_model(warehouses: dict[str, Warehouse], positions: str, sequenced: bool) -> None:
    for seed in range(LOGS):
        check_log(warehouses[positions], seed, unique=positions == "unique", sequenced=sequenced)


def check_log(warehouse: Warehouse, seed: int, *, unique: bool, sequenced: bool) -> None:
    warehouse.reset()
    rows: list[Row] = []
    for batch in random_log(Random(seed), unique_positions=unique, sequenced=sequenced):
        warehouse.append(batch.rows, batch.loads)
        warehouse.build()
        rows += batch.rows
        expected = expected_history(rows, batch.loads, unique=unique)
        assert warehouse.history() == expected, f"seed {seed}"
    assert warehouse.current() == Counter(row[:COLUMNS] for row in expected.elements() if row[IS_CURRENT])
    assert warehouse.versions() == warehouse.rebuilt(), f"seed {seed}"


@pytest.mark.parametrize(
    ("statement", "rule", "without_it"),
    [
        ("history", "where not _scd2_is_merged", "where true"),
        ("history", "(_scd2_ends is null or _scd2_ends > _scd2_begins)", "true"),
        ("history", "place.next_load <= coalesce", "false and place.next_load <= coalesce"),
        ("history", "max(loads._commit_at) over so_far", "loads._commit_at"),
        ("increment", "coalesce(_seq, ''), _file", "_file"),
        ("increment", "_change_id in (select _change_id from fresh)", "false"),
        ("increment", "max(_last_batch) over (partition by _change_id)", "_last_batch"),
        ("increment", ") then -1", "and false) then -1"),
    ],
)
def test_a_rule_that_is_left_out_is_noticed(
    warehouses: dict[str, Warehouse], statement: str, rule: str, without_it: str
) -> None:
    rendered = warehouses["unique"].rendered
    text = getattr(rendered, statement)
    assert rule in text
    broken = Warehouse(replace(rendered, **{statement: text.replace(rule, without_it)}), METADATA)
    noticed = any(_differs(broken, seed) for seed in range(LOGS))
    broken.connection.close()
    assert noticed


def _differs(warehouse: Warehouse, seed: int) -> bool:
    try:
        check_log(warehouse, seed, unique=True, sequenced=True)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_what_a_source_did_is_shown_after_every_batch(warehouses: dict[str, Warehouse], setup: Setup) -> None:
    warehouse = warehouses["unique" if setup.unique_positions else "shared"]
    for seed in range(SCENARIOS):
        scenario = generate(Random(seed), setup)
        warehouse.reset()
        rows: list[Row] = []
        for batch in scenario.batches:
            warehouse.append(batch.rows, batch.loads)
            warehouse.build()
            rows += batch.rows
            shown = warehouse.history()
            assert shown == expected_history(rows, batch.loads, unique=setup.unique_positions), f"seed {seed}"
            for expected in batch.expected:
                expected.assert_shown(_shown(shown, expected.at))
        assert warehouse.versions() == warehouse.rebuilt(), f"seed {seed}"


def _shown(shown: Counter[tuple[object, ...]], at: datetime | None) -> dict[tuple[object, ...], tuple[object, ...]]:
    def holds(row: tuple[object, ...]) -> bool:
        return bool(row[IS_CURRENT]) if at is None else row[VALID_FROM] <= at < row[VALID_TO]

    return {row[: len(METADATA.key)]: row[:COLUMNS] for row in shown if holds(row)}


def test_a_table_without_a_key_keeps_every_row_and_shows_the_latest_load_and_what_came_after(
    warehouses: dict[str, Warehouse],
) -> None:
    for seed in range(SCENARIOS):
        _check_keyless(warehouses["keyless"], generate(Random(seed), KEYLESS))


def _check_keyless(warehouse: Warehouse, scenario: Scenario) -> None:
    warehouse.reset()
    for batch in scenario.batches:
        warehouse.append(batch.rows, batch.loads)
        warehouse.build()
    rows = [row for batch in scenario.batches for row in batch.rows]
    versions = warehouse.versions()
    assert versions == warehouse.rebuilt()
    kept = Counter(row[:COLUMNS] for row in versions.elements() if row[COLUMNS] != "LOAD")
    assert kept == Counter(normal(row.content) for row in rows)
    for op, content in scenario.changes:
        assert any(row[COLUMNS] == op and row[:COLUMNS] == normal(content) for row in versions)
    last = max(scenario.batches[-1].loads, key=lambda load: (load.stream, load.boundary_seq, load.load_id))
    current = Counter(
        normal(row.content)
        for row in rows
        if row.load_id == last.load_id
        or (row.op == "I" and row.stream == last.stream and (row.seq or "") >= last.boundary_seq)
        or (row.op == "I" and row.stream > last.stream)
    )
    assert warehouse.current() == current
