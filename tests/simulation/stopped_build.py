"""A build that is stopped in the middle, taken for dead, followed by another, and goes on: it must change nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import psutil

from dms_assets.curation.latest_build import BuildOvertakenError
from dms_assets.installation import Installation
from dms_assets.model import failpoints
from tests.processes.waiting import wait_for
from tests.simulation import children
from tests.simulation.instants import unequal
from tests.simulation.steps import Do, Plan, Step, make_plan
from tests.simulation.world import World

PLACES = (
    "build.before_binding",
    "build.after_binding",
    "build.after_dbt",
    "build.before_publishing",
    "build.before_swap",
)
"""Where a build is stopped: it holds no lock at any of them."""

_REFUSED, _WENT_ON = "refused", "went on"
_PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class RisenBuild:
    """`refused`: it ended with the error of a build that was overtaken. `unequal`: what differs from the source."""

    place: str
    refused: bool
    unequal: tuple[str, ...]

    @property
    def harmless(self) -> bool:
        """Whether it had no effect."""
        return self.refused and not self.unequal


def stopped_builds(seed: int, folder: Path, places: tuple[str, ...] = PLACES) -> list[RisenBuild]:
    """One source; at each place a build of what is old, and one of what is new that follows it."""
    plan = Plan(seed, make_plan(seed, 10).tables, (), "")
    with World(plan, folder) as world:
        world.curate()
        return [_rise_again(world, number, place) for number, place in enumerate(places)]


def _rise_again(world: World, number: int, place: str) -> RisenBuild:
    _work(world, 2 * number)
    facts = children.Facts(world.spec, world.target, world.tables)
    receiver, sender = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_build_stopping, args=(facts, dict(os.environ), place, sender))
    process.start()
    sender.close()
    build = psutil.Process(process.pid)
    try:
        wait_for(f"the build stops at {place}", lambda: build.status() == psutil.STATUS_STOPPED, 60)
        _work(world, 2 * number + 1)
        world.curate()
        build.send_signal(signal.SIGCONT)
        refused = receiver.recv() == _REFUSED if receiver.poll(60) else False
        process.join(60)
        assert process.exitcode == 0, f"the build that went on from {place} ended with {process.exitcode}"
    finally:
        process.kill()
    return RisenBuild(place, refused, tuple(f"{found.table} {found.told}" for found in unequal(world, again=True)))


def _work(world: World, number: int) -> None:
    """A row of each table comes, and is taken in."""
    for table in range(len(world.plan.tables)):
        assert world.sessions.run(
            Step(Do.UPSERT if world.plan.tables[table].keys else Do.INSERT, 0, table, number, number)
        )
    assert world.sessions.run(Step(Do.COMMIT, 0, 0, 0, 0))
    world.arrived()
    world.drain()
    world.record()


def _build_stopping(facts: children.Facts, environment: dict[str, str], place: str, answer: Connection) -> None:
    """Build; at `place` the process stops itself, once. Answers how it ended."""
    os.environ.clear()
    os.environ.update(environment)
    failpoints._PLAN[place] = ("kill", 1)
    vars(failpoints)["os"] = SimpleNamespace(_exit=lambda _: os.kill(os.getpid(), signal.SIGSTOP))
    try:
        children.build(facts, Installation())
    except BuildOvertakenError:
        answer.send(_REFUSED)
    else:
        answer.send(_WENT_ON)
