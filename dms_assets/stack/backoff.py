"""When a process that died is started again: soon at first, then ever more rarely, but always."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
STABLE_AFTER_S = 60.0
FAILING_AFTER = 4


@dataclass(frozen=True, slots=True)
class Backoff:
    """The deaths in a row of one process; one that ran for STABLE_AFTER_S begins a new row."""

    deaths: int = 0

    def died(self, ran_s: float) -> Backoff:
        """After a death of a process that had run for `ran_s` seconds."""
        return Backoff(1 if ran_s >= STABLE_AFTER_S else self.deaths + 1)

    @property
    def pause_s(self) -> float:
        """How long to wait before the next start: doubled with every death."""
        return min(FIRST_PAUSE_S * 2.0 ** max(0, self.deaths - 1), LONGEST_PAUSE_S)

    @property
    def failing(self) -> bool:
        """Whether it dies so often that somebody must look at it."""
        return self.deaths >= FAILING_AFTER
