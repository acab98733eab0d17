"""Simulations of a few seeds, whole: PostgreSQL to curated. More of them: `python -m tests.simulation`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dms_assets.model.landed_file import parse_key
from tests.simulation.accounts import unaccounted
from tests.simulation.columns import SMALL
from tests.simulation.schema import Column, Table
from tests.simulation.simulation import run
from tests.simulation.steps import Do, Step, make_plan
from tests.simulation.world import SOURCE, World

SEEDS = [int(seed) for seed in os.environ.get("SIMULATION_SEEDS", "101").split(",")]

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", SEEDS)
def test_curated_equals_the_source_at_every_recorded_instant(seed: int, tmp_path: Path) -> None:
    counts = run(make_plan(seed, 150, 1), tmp_path)
    for needed in (Do.COMMIT, Do.UPDATE, Do.MOVE, Do.DELETE, Do.RECORD, Do.CHECKPOINT, "batches", "rows"):
        assert counts[needed], f"a simulation without any '{needed}' proves nothing of it"


def test_a_key_update_as_aws_writes_it_is_found_and_repaired(tmp_path: Path) -> None:
    """Nothing in landing tells that the old key is gone; comparing with the source does, and a reload repairs it."""
    plan = make_plan(101, 10)
    table = next(number for number, table in enumerate(plan.tables) if table.keys and table.columns[-1].name != "large")
    steps = [Step(do, 0, table, number, number) for number in range(5) for do in (Do.INSERT, Do.COMMIT)]
    moved = [Step(do, 0, table, 1, 7) for do in (Do.MOVE, Do.COMMIT, Do.RECORD, Do.CHECKPOINT)]
    counts = run(replace(plan, steps=(*steps, *moved), strict=True), tmp_path)
    assert counts["divergences found"] == 1


def test_a_plan_is_the_same_every_time_and_another_for_another_seed() -> None:
    assert str(make_plan(7).steps) == str(make_plan(7).steps)
    assert make_plan(7).steps != make_plan(8).steps


def test_a_plan_ends_with_a_comparison() -> None:
    plan = make_plan(3)
    assert [step.do for step in plan.steps[-2:]] == [Do.RECORD, Do.CHECKPOINT]
    assert replace(plan, steps=()).tables == plan.tables


def test_a_truncate_and_a_rewrite_are_found_by_reconciliation_and_repaired(tmp_path: Path) -> None:
    """The tables are told diverged by the product itself, a third one is not, and a reload makes them equal again."""
    columns = (Column("id", "integer", None, nullable=False), Column("plain", "text", SMALL["text"], nullable=False))
    tables = tuple(Table(f"t{number}", columns, ("id",), full_identity=False) for number in range(3))
    steps = [Step(do, 0, table, table, table) for table in range(3) for do in (Do.COPY, Do.COMMIT)]
    steps += [Step(Do.TRUNCATE, 0, 0, 0, 0), Step(Do.INSERT, 0, 0, 1, 1), Step(Do.COMMIT, 0, 0, 0, 0)]
    steps += [Step(do, 0, 1, 0, 0) for do in (Do.REWRITE, Do.RECORD, Do.CHECKPOINT)]
    counts = run(replace(make_plan(1), tables=tables, steps=tuple(steps)), tmp_path)
    assert (counts["truncated and found"], counts["rewritten and found"], counts["divergences found"]) == (1, 1, 2)
    assert counts["verdicts of reconciliation"] == 6


def test_a_file_that_is_lost_in_landing_is_seen_in_the_counts_of_dms(tmp_path: Path) -> None:
    """The check that a simulation ends with would tell of a loss even where curated looks right."""
    columns = (Column("id", "integer", None, nullable=False), Column("plain", "text", SMALL["text"], nullable=False))
    table = Table("t0", columns, ("id",), full_identity=False)
    with World(replace(make_plan(1), tables=(table,), before=()), tmp_path) as world:
        for do in (Do.INSERT, Do.COMMIT):
            assert world.sessions.run(Step(do, 0, 0, 1, 1))
        world.arrived()
        assert list(unaccounted(world)), "what is in landing was not taken in, and nothing tells so"
        world.drain()
        assert not list(unaccounted(world))

        for do in (Do.UPDATE, Do.COMMIT):
            assert world.sessions.run(Step(do, 0, 0, 1, 2))
        world.arrived()
        (lost,) = (meta for meta in world.landing.list() if (key := parse_key(meta.key, SOURCE)) and key.table)
        world.landing.delete(lost.key, if_match=lost.etag)
        world.drain()
        (told,) = unaccounted(world)
    assert "{'I': 1} of stream 1, DMS wrote {'I': 1, 'U': 1, 'D': 0}" in told.told
