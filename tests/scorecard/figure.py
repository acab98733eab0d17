"""What a row of the scorecard is: its question, its target, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Budget:
    """What a row may use: about so many seconds, a first seed, a folder of its own. `quick` is the reduced run."""

    seconds: float
    seed: int
    folder: Path
    quick: bool


@dataclass(frozen=True)
class Outcome:
    """What a row measured.

    `measured` says it in one line, with counts; `holds` is whether the target is met; `observed` counts the faults
    and cases that really took place, by name; `seeds` are those that were used.
    """

    measured: str
    holds: bool
    observed: Mapping[str, int]
    seeds: Sequence[int] = ()

    @property
    def passed(self) -> bool:
        """Whether the target is met and every fault that should have taken place did."""
        return self.holds and bool(self.observed) and all(self.observed.values())


@dataclass(frozen=True)
class Row:
    """One figure. `seconds` is its full budget, `quick_seconds` the reduced one, None if it is not in that run.

    `alone`: it fills the machine, or measures what other work beside it would change.
    """

    id: str
    question: str
    target: str
    seconds: float
    quick_seconds: float | None
    measure: Callable[[Budget], Outcome]
    alone: bool = False


@dataclass(frozen=True)
class Figure:
    """A row that was run. `outcome` is None if it broke, `error` says how."""

    row: Row
    outcome: Outcome | None
    error: str
    took_s: float

    @property
    def passed(self) -> bool:
        """Whether it counts as passed."""
        return self.outcome is not None and self.outcome.passed

    @property
    def unseen(self) -> list[str]:
        """Faults that should have taken place and did not."""
        return [name for name, count in self.outcome.observed.items() if not count] if self.outcome else []
