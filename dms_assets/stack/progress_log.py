"""What a command says while it works: each stage, what it waits for, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import click

_TICK_S = 1.0


class StageTimeoutError(TimeoutError):
    """A stage did not reach its end in time; the message says what it saw last."""


@dataclass
class ProgressLog:
    """Prints stages as they begin and end, and remembers their seconds. `err`: on standard error."""

    err: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """One stage; its seconds are printed at its end."""
        click.echo(f"[{self.elapsed:6.1f} s] {title} ...", err=self.err)
        began = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - began
        click.secho(f"             {'done':>4} in {self.seconds[title]:.1f} s", fg="green", err=self.err)

    def say(self, text: str) -> None:
        """One line inside a stage."""
        click.echo(f"             {text}", err=self.err)

    def wait_until(
        self, look: Callable[[], str | None], timeout_s: float, *, check: Callable[[], None] = lambda: None
    ) -> None:
        """Wait until `look()` says None; what else it says is printed when it changes.

        `check` may raise when waiting has become pointless. Raises StageTimeoutError.
        """
        deadline = time.monotonic() + timeout_s
        said = None
        while (told := look()) is not None:
            check()
            if told != said and told:
                self.say(told)
                said = told
            if time.monotonic() > deadline:
                raise StageTimeoutError(f"after {timeout_s:.0f} s still: {told}")
            time.sleep(_TICK_S)
