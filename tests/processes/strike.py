"""Kill what is part of a running stack, and measure until everything is as if nothing had been."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg
import psutil
import psycopg

from tests.processes.running_stack import BEGUN, RunningStack, alive
from tests.processes.waiting import wait_for

PARTS = ("code_server", "daemon", "ui", "local_dms", "postgres")
RUN, VALIDATION, EVERYTHING, NOTHING = "run", "validation worker", "everything", "nothing"
"""NOTHING is the control: how long a row takes that no fault meets."""
CUTS = (RUN, "code_server", EVERYTHING)
"""Their end ends runs."""


@dataclass(frozen=True)
class Recovery:
    """What one kill led to, in seconds since then. `killed` counts the processes that died of it, `runs_cut` the runs.

    `parts_s`: every part is up again, in a new process. `runs_s`: every run that was cut off counts as ended.
    `taken_s`: a row committed after the kill is validated. `orphans` are processes left that nobody looks after.
    """

    victim: str
    killed: int
    runs_cut: int
    parts_s: float
    runs_s: float
    taken_s: float
    orphans: int

    @property
    def seconds(self) -> float:
        """Until all parts were up and no run was stuck."""
        return max(self.parts_s, self.runs_s)

    def __str__(self) -> str:
        return f"{self.victim} {self.seconds:.0f} s (new row taken in after {self.taken_s:.0f} s)"


def strike(stack: RunningStack, victim: str, mark: str) -> Recovery:
    """Kill `victim` with SIGKILL in the middle of its work; `mark` is the key of the row committed afterwards.

    Raises AssertionError if something does not come back.
    """
    targets = _targets(stack, victim)
    family = [*targets, *(child for target in targets for child in _below(target))]
    replaced = {part: stack.pid(part) for part in PARTS if victim in {part, EVERYTHING}}
    cut = _cut(stack, victim, targets)
    began = time.monotonic()
    for target in targets:
        # What a dead parent takes along is as good as killed.
        with contextlib.suppress(psutil.NoSuchProcess):
            target.send_signal(signal.SIGKILL)
    gone, surviving = psutil.wait_procs(targets, timeout=10)
    assert not any(alive(process) for process in surviving), "a process survived SIGKILL"
    if victim == EVERYTHING:
        stack.up()
    wait_for("a commit on the source", lambda: _committed(stack, mark))

    def after(what: str, reached: Callable[[], bool]) -> float:
        wait_for(f"{what} after the end of {victim}", reached)
        return time.monotonic() - began

    parts_s = after("all parts", lambda: stack.up_with(replaced))
    runs_s = after("the end of runs", lambda: not set(cut) & set(stack.unfinished())) if cut else 0.0
    taken_s = after("the new row", lambda: mark in stack.validated_regions())
    psutil.wait_procs(family, timeout=10)
    left = [process for process in family if alive(process) and process not in stack.family()]
    orphans = len({*left, *stack.orphans()})
    return Recovery(victim, len(gone), len(cut), parts_s, runs_s, taken_s, orphans)


def _targets(stack: RunningStack, victim: str) -> list[psutil.Process]:
    """The processes to kill. A run and its worker are waited for: they are there only while there is work."""
    if victim == NOTHING:
        return []
    if victim == VALIDATION:
        return [wait_for("a validation worker", stack.validation_workers)[0]]
    if victim in CUTS:
        # One that has begun its steps, not one that is about to say so.
        running = wait_for("a run", lambda: [worker for worker in stack.run_workers() if stack.run_of(worker)])
        if victim == RUN:
            return [running[0]]
    return stack.family() if victim == EVERYTHING else [psutil.Process(stack.pid(victim))]


def _cut(stack: RunningStack, victim: str, targets: list[psutil.Process]) -> list[str]:
    """The runs that this kill ends."""
    if victim == RUN:
        found = stack.run_of(targets[0])
        return [found] if found else []
    if victim in CUTS:
        return [r.dagster_run.run_id for r in stack.instance.get_run_records(dg.RunsFilter(statuses=BEGUN))]
    return []


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _committed(stack: RunningStack, mark: str) -> bool:
    """Whether the row is in the source; tried as long as the source does not answer."""
    try:
        stack.insert_region(mark)
    except psycopg.errors.UniqueViolation:
        # Committed by the try before, whose answer was lost.
        return True
    except (psycopg.OperationalError, LookupError):
        time.sleep(0.25)
        return False
    return True
