"""Run a plan on the real parts; at each checkpoint curated equals the source, now and at every recorded instant.

After every batch it equals it at the instants up to which the platform calls it complete. At the end, history that
grew batch by batch equals one built from scratch.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from dms_assets.model.names import TableName
from tests.simulation.accounts import unaccounted
from tests.simulation.evidence import evidence
from tests.simulation.instants import Difference, unequal, unequal_now, unequal_though_complete
from tests.simulation.sessions import SCHEMA
from tests.simulation.steps import STATEMENTS, Do, Plan, Step
from tests.simulation.verdicts import judge, plainly_broken
from tests.simulation.world import World

_LOG = logging.getLogger(__name__)


class DifferenceError(AssertionError):
    """Curated is not what the source was."""

    def __init__(self, plan: Plan, done: int, told: Sequence[str], evidence: str = "") -> None:
        self.done = done
        super().__init__(
            f"seed {plan.seed}, after {done} of {len(plan.steps)} steps: {len(told)} differences, the "
            f"first: {told[0]}. Run it again: {plan.again}; with --shrink to find the steps that matter{evidence}"
        )


def run(plan: Plan, folder: Path) -> Counter[str]:
    """What was done and found, counted. Raises DifferenceError, or what a part raises."""
    with World(plan, folder) as world:
        for number, step in enumerate(plan.steps, 1):
            effect = _do(world, step)
            _LOG.info("%d. %s%s", number, step, "" if effect else ": no effect")
            if effect:
                world.counts[step.do] += 1
            if effect and step.do in {Do.COMMIT, Do.COMMIT_PREPARED, Do.BULK}:
                world.tick()
                world.record()
            if effect and step.do is Do.INGEST:
                _compare_complete(world, plan, number)
            if step.do is Do.CHECKPOINT:
                _checkpoint(world, plan, number)
        world.count_cut_transactions()
        if told := world.rebuilt_differently():
            raise DifferenceError(plan, len(plan.steps), told)
        return world.counts


def _do(world: World, step: Step) -> bool:
    if step.do in STATEMENTS:
        effect = world.sessions.run(step)
        if world.plan.strict and step.do in {Do.MOVE, Do.SWAP}:
            world.diverged.add(TableName(SCHEMA, world.plan.tables[step.table].name))
        return effect
    if step.do is Do.RELOAD:
        return world.ask_reload([TableName(SCHEMA, world.plan.tables[step.table].name)])
    if step.do is Do.INGEST:
        return world.ingest(Random(step.seed))
    choosing = {
        Do.COMMIT_PREPARED: world.sessions.resolve_prepared,
        Do.ROLLBACK_PREPARED: world.sessions.resolve_prepared,
        Do.BULK: world.sessions.bulk,
        Do.TRUNCATE: world.break_log,
        Do.REWRITE: world.break_log,
        Do.ADD_COLUMN: world.add_column,
        Do.QUIET_DDL: world.change_no_row,
        Do.KILL: world.arm,
        Do.DUPLICATE: world.duplicate,
    }
    if step.do in choosing:
        return choosing[step.do](step)
    plain = {
        Do.RECORD: world.record,
        Do.RESUME: world.resume,
        Do.AFRESH: world.begin_afresh,
        Do.CURATE: world.curate,
    }
    return plain[step.do]() if step.do in plain else True


def _compare_complete(world: World, plan: Plan, number: int) -> None:
    """Build what a batch brought. What the platform then calls complete, it is."""
    world.curate()
    if found := unequal_though_complete(world):
        raise _told(world, plan, number, found)


def _checkpoint(world: World, plan: Plan, number: int) -> None:
    if world.altered:
        # Files of both forms wait now, and some of the new one are in quarantine.
        world.arrived()
        if world.loads_wait():
            world.drain(held=True)
        world.read_metadata()
        world.record()
    _arrive(world, plan, number)
    if world.diverged:
        _find_diverged(world, plan)
        world.ask_reload(sorted(world.diverged))
        world.reloaded()
        world.diverged.clear()
        world.broken.clear()
        world.record()
        _arrive(world, plan, number)
    if alarms := judge(world):
        raise DifferenceError(plan, number, [f"reconciliation finds {name} diverged" for name in sorted(alarms)])
    if found := unequal(world, again=number == len(plan.steps)):
        raise _told(world, plan, number, found)


def _told(world: World, plan: Plan, number: int, found: Sequence[Difference]) -> DifferenceError:
    return DifferenceError(plan, number, [one.told for one in found], evidence(world, found[0].table))


def _find_diverged(world: World, plan: Plan) -> None:
    """What no change told of: reconciliation finds exactly the tables that differ, and says so of no other."""
    present = {found.table for found in unequal_now(world)}
    assert present <= world.diverged, f"seed {plan.seed}: {present - world.diverged} differ without a cause"
    judged = judge(world)
    assert judged == present, f"seed {plan.seed}: {present} differ, but reconciliation says {judged}"
    broken = plainly_broken(world)
    assert broken.keys() <= judged, f"seed {plan.seed}: {broken} differ by count, but reconciliation says {judged}"
    world.counts["divergences found"] += len(judged)
    for causes in broken.values():
        world.counts["truncated and found"] += Do.TRUNCATE in causes
        world.counts["rewritten and found"] += Do.REWRITE in causes


def _arrive(world: World, plan: Plan, number: int) -> None:
    """Everything committed so far is captured, taken in and built; as many changes as DMS counted."""
    world.arrived()
    world.drain()
    world.curate()
    if found := list(unaccounted(world)):
        raise _told(world, plan, number, found)


def shrink(plan: Plan, fails: Sequence[Step] | None, folder: Path, attempts: int) -> Plan:
    """A shorter plan that fails too: halves, quarters and so on are left out while it still does."""
    steps = list(fails or plan.steps)
    size, tried = len(steps) // 2, 0
    while size and tried < attempts:
        for start in range(0, len(steps), size):
            shorter = [*steps[:start], *steps[start + size :]]
            if not any(step.do is Do.RECORD for step in shorter) or shorter[-1].do is not Do.CHECKPOINT:
                continue
            tried += 1
            try:
                run(replace(plan, steps=tuple(shorter)), folder / f"attempt-{tried}")
            except AssertionError:
                steps = shorter
                break
        else:
            size //= 2
    return replace(plan, steps=tuple(steps))
