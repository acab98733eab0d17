"""Every failpoint of a pipeline, one after the other while a source works: the process dies there, all goes on."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from psycopg import sql

from dms_assets.lake import ledger
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.quarantine import Quarantine
from dms_assets.lake.strangers import quarantine_strangers
from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.model.failpoints import KILLED_STATUS, NAMES
from dms_assets.model.landed_file import cdc_file_name, load_file_name
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TABLE_ERROR
from tests.local_dms.service import until
from tests.simulation import children
from tests.simulation.accounts import unaccounted
from tests.simulation.capture import PATIENCE_S
from tests.simulation.evidence import evidence
from tests.simulation.instants import unequal
from tests.simulation.sessions import SCHEMA
from tests.simulation.steps import STATEMENTS, Do, Plan, Step, make_plan
from tests.simulation.world import SOURCE, World

multiprocessing.get_context("forkserver").set_forkserver_preload(["tests.simulation.forked_dms", *children.PRELOADED])

ATTEMPTS = 3
KEPT_INSTANTS = 5
_ENDLESS = 5_000
_LEFT_OUT = {Do.PREPARE}
"""A prepared transaction would hold up the reloads that some failpoints need."""

CAPTURE = ("local_dms.before_confirm", "local_dms.before_advance", "local_dms.between_files")
RELOAD = ("local_dms.during_load", "local_dms.after_load", "local_dms.before_boundary")
UNPUBLISH = ("local_dms.before_publishing", "local_dms.after_publishing", "local_dms.after_unpublishing")
AFRESH = "local_dms.before_stream"
START, STOP, FORGET = "local_dms.after_start_asked", "local_dms.after_stop_asked", "local_dms.after_forgetting"
REJECT = (
    "lake.after_quarantine_copy",
    "lake.after_quarantine_text",
    "lake.after_quarantine_report",
    "lake.after_rejection_event",
)
DISCARD = ("lake.after_discard_decision", "lake.after_discard_copy", "lake.after_discard_event", "lake.after_done_mark")
SUPERSEDE = ("lake.after_superseded_copy", "lake.after_superseded_event")
MEMORY = ("memory.before_write", "memory.after_write")


class Kills:
    """Goes through failpoints in a world. `counts` has the kills that were seen, by the failpoint's group."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.unreached: list[str] = []
        self._steps = _statements(seed)

    def run(self, names: Sequence[str]) -> None:
        """Kill at each of these places. Raises AssertionError if anything is lost, doubled, different or stuck."""
        order = list(names)
        self.random.shuffle(order)
        self.check("before any kill")
        for number, name in enumerate(order, 1):
            for _ in range(ATTEMPTS):
                if self._killed(name):
                    self.counts[name.partition(".")[0]] += 1
                    break
            else:
                self.unreached.append(name)
            self.settle()
            if name.startswith("build.") or number % 10 == 0 or number == len(order):
                self.check(name)

    def work(self) -> None:
        """Some transactions, committed; something of the first table among them."""
        sessions = self.world.sessions
        while not sum(sessions.run(step) for step in islice(self._steps, 8)):
            continue
        sessions.end_all()
        while not sessions.run(Step(Do.INSERT, 0, 0, self.random.randrange(60), self.random.getrandbits(32))):
            sessions.run(Step(Do.DELETE, 0, 0, self.random.randrange(60), 0))
        sessions.end_all()

    def settle(self) -> None:
        """Everything arrives, and what was planted is decided on."""
        world = self.world
        world.arrived()
        inbox = read_inbox(world.landing, world.spec)
        quarantine_strangers(world.installation.lake, world.spec, inbox.strangers, datetime.now(UTC))
        world.drain(held=True)
        children.discard(self.facts, world.installation)
        world.ingest()
        assert not Quarantine(world.installation.quarantine, SOURCE).held_tables(), "a table is held for ever"
        assert not list(world.landing.list()), "files stay in landing"

    def check(self, after: str) -> None:
        """Curated equals the source, at all recorded instants and now; every file is accounted for once."""
        self.world.record()
        self.settle()
        self.world.curate()
        found = [*unaccounted(self.world), *unequal(self.world, again=True)]
        if found:
            raise AssertionError(f"after a kill at {after}: {found[0].told}{evidence(self.world, found[0].table)}")
        self.world.counts["checks"] += 1
        # Each costs a comparison at every later check; some of all ages are enough.
        while len(self.world.recorded) > KEPT_INSTANTS:
            self.world.recorded.pop(self.random.randrange(KEPT_INSTANTS))

    @property
    def facts(self) -> children.Facts:
        """What a child is told."""
        return children.Facts(self.world.spec, self.world.target, self.world.tables)

    def _killed(self, name: str) -> bool:
        """Whether the process died at the place."""
        if name.startswith("local_dms."):
            return self._dms_killed(name)
        status = children.run(self._scene(name), self.facts, f"{name}=kill")
        assert status in {0, KILLED_STATUS}, f"what was to be killed at {name} broke: exit status {status}"
        return status == KILLED_STATUS

    def _dms_killed(self, name: str) -> bool:
        before = self.world.counts["DMS killed"]

        def dead() -> bool:
            return self.world.counts["DMS killed"] > before

        if name in UNPUBLISH:
            self._killed_unpublishing(name, dead)
        elif name in RELOAD:
            self.work()
            self.world.capture.arm(name)
            self.world.ask_reload([TableName(SCHEMA, self.world.plan.tables[0].name)])
        elif name in CAPTURE:
            self.world.capture.arm(name)
            self.work()
        else:
            self.work()
            self._killed_between_runs(name, dead)
        until(dead, PATIENCE_S)
        return True

    def _killed_between_runs(self, name: str, dead: Callable[[], bool]) -> None:
        """The task is started or stopped, or one beside it is deleted."""
        capture = self.world.capture
        if name == AFRESH:
            self.world.reloaded()
            capture.begin_afresh_dying(name, dead)
            self.world.record()
        elif name == START:
            capture.resume_dying(name, dead)
        elif name == STOP:
            capture.stop_dying(name, dead)
        else:
            assert name == FORGET, f"nothing leads to {name}"
            capture.delete_another_dying(name, dead)

    def _killed_unpublishing(self, name: str, dead: Callable[[], bool]) -> None:
        """A table loses its identity; when it has it again, it is loaded."""
        table = self.world.plan.tables[0]
        self.work()
        self.world.capture.arm(name)
        self.world.capture.running()
        self.world.sessions.identify_rows(table, "nothing")
        until(dead, PATIENCE_S)
        self.world.sessions.identify_rows(table, "full" if table.full_identity else "default")
        self.world.capture.running()
        named = TableName(SCHEMA, table.name)
        assert self.world.capture.task().tables[named].state == TABLE_ERROR
        self.world.ask_reload([named])

    def _scene(self, name: str) -> children.Work:
        """Make it so that the place will be reached; the work that reaches it."""
        if name.startswith("metadata."):
            return self._changed_metadata()
        if name in MEMORY:
            self.work()
            self.world.ask_reload([TableName(SCHEMA, self.world.plan.tables[0].name)])
            self.world.reloaded()
            return children.ingest
        if name.startswith("retention."):
            # Several batches to put together; and a run that dies before it commits leaves files nobody refers to.
            for _ in range(children.LEDGER_PART + 1):
                self._arrived()
                self.world.ingest()
            self._arrived()
            children.run(children.ingest, self.facts, "lake.before_commit=kill")
            self.settle()
            return children.clean
        self._arrived()
        if name.startswith("build."):
            self.world.drain()
            return children.build
        if name.startswith("sensor."):
            return children.sense
        return self._planted(name)

    def _planted(self, name: str) -> children.Work:
        """Plant what is no good, where the place is about that."""
        if name in REJECT:
            self._plant(cdc_file_name(datetime.now(UTC)))
        elif name in SUPERSEDE:
            self._plant(load_file_name(9), age_s=86_400)
        elif name == "lake.after_stranger_event":
            self._plant("readme.txt")
        elif name in DISCARD or name == "lake.after_decision":
            self._plant(cdc_file_name(datetime.now(UTC)))
            self.world.ingest()
            if name == "lake.after_decision":
                return children.discard
            children.discard(self.facts, self.world.installation)
        return children.ingest

    def _arrived(self) -> None:
        self.work()
        self.world.capture.running()
        self.world.capture.captured()

    def _changed_metadata(self) -> children.Work:
        table = self.world.plan.tables[0]
        comment = sql.SQL("comment on table {} is {}").format(
            sql.Identifier(SCHEMA, table.name), sql.Literal(f"number {self.random.getrandbits(32)}")
        )
        self.world.sessions.admin.execute(comment)
        with self.world.installation.source_connection(self.world.spec) as connection:
            found = reflect(connection, SCHEMA, [table.name for table in self.world.plan.tables])
        self.world.tables = list(found.tables.values())
        return children.remember

    def _plant(self, name: str, age_s: float = 0) -> None:
        folder = "/".join(filter(None, [self.world.spec.folder, SCHEMA, self.world.plan.tables[0].name]))
        key = f"{folder}/{name}"
        self.world.landing.put(key, b"no parquet")
        self.world.planted.add(key)
        path: Path = self.world.landing.root / key
        at = path.stat().st_mtime - age_s
        os.utime(path, (at, at))


def _statements(seed: int) -> Iterator[Step]:
    for step in make_plan(seed, _ENDLESS).steps:
        if step.do in STATEMENTS and step.do not in _LEFT_OUT:
            yield step


def share_of(part: int, parts: int) -> list[str]:
    """One of several equal parts of all failpoints."""
    return sorted(NAMES)[part::parts]


def kill_everywhere(seed: int, folder: Path, names: Sequence[str]) -> Kills:
    """One source under kills at these places."""
    plan = Plan(seed, make_plan(seed, 10).tables, (), "")
    with pytest.MonkeyPatch.context() as patch, World(plan, folder) as world:
        patch.setattr(ledger, "PART", children.LEDGER_PART)
        kills = Kills(world, seed)
        kills.run(names)
        kills.counts["checks against the source"] = world.counts["checks"]
        return kills
