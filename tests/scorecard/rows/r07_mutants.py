"""R7: mutants of right files, none accepted with other rows."""

from __future__ import annotations

import time
from collections import Counter

from tests.corpus.mutants import GROUP, judge, mutants
from tests.scorecard.figure import Budget, Outcome, Row

WANTED = 2_000


def measure(budget: Budget) -> Outcome:
    """As many mutants as the budget allows, 2,000 at most."""
    ends = time.monotonic() + budget.seconds
    tally: Counter[str] = Counter()
    tried = 0
    while tried < WANTED and time.monotonic() < ends:
        # Each group in a process of its own, which judges all of it: one that dies leaves mutants without a verdict.
        for _, told in judge(list(mutants(budget.seed + tried, GROUP)), budget.folder):
            tally[told] += 1
        tried += GROUP
    wrong = sum(count for told, count in tally.items() if told.startswith("WRONG"))
    judged = tally.total()
    return Outcome(
        f"{wrong} wrong among {judged:,} mutants",
        holds=wrong == 0 and (budget.quick or tried >= WANTED),
        observed={"mutants rejected": judged - wrong - tally["accepted"], "accepted and equal": tally["accepted"]},
        seeds=[budget.seed],
    )


ROW = Row("R7", "Mutated files: none accepted with other rows, none without a verdict", "0 of 2,000", 180, 15, measure)
