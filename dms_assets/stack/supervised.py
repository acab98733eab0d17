"""A child of a long-lived stack that is started again when it dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.stack.backoff import Backoff
from dms_assets.stack.parts import Part
from dms_assets.stack.process import ProcessFailedError, StackProcess, log_tail
from dms_assets.stack.stack_file import State

_POLL_S = 0.1


class Child(Protocol):
    """What can be supervised."""

    @property
    def name(self) -> str:
        """In the stack's file."""

    @property
    def title(self) -> str:
        """In sentences."""

    @property
    def log(self) -> Path:
        """Where it logs."""

    @property
    def ready_timeout_s(self) -> float:
        """How long it may take to become ready."""

    @property
    def pid(self) -> int | None:
        """Its process, None if it was not started."""

    def launch(self) -> None:
        """Start it. May raise OSError or RuntimeError."""

    def ready(self) -> bool:
        """Whether it does its work."""

    def end(self) -> str | None:
        """How it ended, None while it runs."""

    def stop(self) -> None:
        """End it and all it started; also what a dead one left."""


class PartChild:
    """A part as a child."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._process: StackProcess | None = None
        self.name, self.title, self.log = part.name, part.title, part.log
        self.ready, self.ready_timeout_s = part.ready, part.ready_timeout_s

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._process.pid if self._process is not None else None

    def launch(self) -> None:
        """Start it."""
        self._process = self._part.launch()

    def end(self) -> str | None:
        """How it ended."""
        status = None if self._process is None else self._process.returncode
        return None if status is None else f"ended with status {status}"

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop(self._part.stop_timeout_s)


class PostgresChild:
    """The embedded PostgreSQL as a child."""

    name, title, ready_timeout_s = "postgres", "PostgreSQL", 60.0

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self.log = postgres.log_path

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._postgres.pid

    def launch(self) -> None:
        """Start it, and wait until it accepts connections."""
        self._postgres.start()

    def ready(self) -> bool:
        """It is when it was started."""
        return True

    def end(self) -> str | None:
        """How it ended."""
        return None if self._postgres.running else "ended"

    def stop(self) -> None:
        """Shut it down."""
        self._postgres.stop()


class Supervised:
    """Keeps one child alive. `say` is told of its deaths and returns.

    A child that dies again and again is told as failing, with the end of its log; it is still tried every few
    minutes, as what it lacks (space, a port) may come back. One that `needs` another runs only while that is up, so
    that it begins anew when the other did.
    """

    def __init__(
        self,
        child: Child,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        needs: Supervised | None = None,
    ) -> None:
        self.child = child
        self.restarts = 0
        self.state = State.STARTING
        self._say, self._clock, self._needs = say, clock, needs
        self._backoff = Backoff()
        self._since = clock()

    def start(self) -> None:
        """The first start: begin, and do not wait."""
        self._since = self._clock()
        self.child.launch()

    def wait(self) -> None:
        """Wait until the first start is done. Raises ProcessFailedError."""
        while self.state is State.STARTING:
            if (end := self.child.end()) is not None:
                raise ProcessFailedError(self.child.title, end, self.child.log)
            if self._late():
                raise ProcessFailedError(self.child.title, self._not_ready(), self.child.log)
            self._look_if_ready()
            if self.state is State.STARTING:
                time.sleep(_POLL_S)

    def tick(self) -> None:
        """Look once: note a death, start again what is due."""
        if self._needs is not None and self._needs.state is not State.UP:
            self._rest(self._needs)
            return
        if self.state in {State.WAITING, State.FAILING}:
            if self._clock() >= self._since:
                self._again()
            return
        if (end := self.child.end()) is not None:
            self._died(end)
        elif self.state is State.STARTING:
            if self._late():
                self._died(self._not_ready())
            else:
                self._look_if_ready()

    def stop(self) -> None:
        """End the child for good."""
        self.child.stop()

    def _late(self) -> bool:
        return self._clock() - self._since > self.child.ready_timeout_s

    def _not_ready(self) -> str:
        return f"was not ready after {self.child.ready_timeout_s:.0f} s"

    def _look_if_ready(self) -> None:
        if self.child.ready():
            self.state = State.UP
            if self.restarts:
                self._say(f"{self.child.title} is up again")

    def _rest(self, needed: Supervised) -> None:
        if self.state not in {State.WAITING, State.FAILING}:
            self.child.stop()
            self._say(f"{self.child.title} is stopped until {needed.child.title} is up")
            self.state, self._since = State.WAITING, self._clock()

    def _again(self) -> None:
        self.restarts += 1
        self.state, self._since = State.STARTING, self._clock()
        try:
            self.child.launch()
        except (OSError, RuntimeError) as error:
            self._died(f"could not be started: {error}")

    def _died(self, how: str) -> None:
        self._backoff = self._backoff.died(self._clock() - self._since)
        # What it started must not work on beside its successor.
        self.child.stop()
        pause = self._backoff.pause_s
        told = f"{self.child.title} {how}; it is started again in {pause:.0f} s (log: {self.child.log})"
        if self._backoff.failing:
            told += f"\nIt died {self._backoff.deaths} times in a row; the end of its log:\n{log_tail(self.child.log)}"
        self._say(told)
        self.state = State.FAILING if self._backoff.failing else State.WAITING
        self._since = self._clock() + pause
