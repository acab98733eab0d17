"""R7: mutants of right files, none accepted with other rows where anything in the file can tell."""

from __future__ import annotations

import time
from collections import Counter

from tests.corpus.mutants import ACCEPTED, GROUP, UNTOLD, judge, mutants
from tests.scorecard.figure import Budget, Outcome, Row

WANTED = 2_000


def measure(budget: Budget) -> Outcome:
    """As many mutants as the budget allows, 2,000 at most."""
    ends = time.monotonic() + budget.seconds
    tally: Counter[str] = Counter()
    tried = 0
    while tally.total() < WANTED and time.monotonic() < ends:
        # Each group in a process of its own, which judges all of it: one that dies leaves mutants without a verdict.
        for _, told in judge(list(mutants(budget.seed + tried, GROUP)), budget.folder):
            tally[told] += 1
        tried += GROUP
    wrong = sum(count for told, count in tally.items() if told.startswith("WRONG"))
    judged = tally.total()
    accepted = tally[ACCEPTED] + tally[UNTOLD]
    return Outcome(
        f"{wrong} wrong among {judged:,} mutants; {tally[UNTOLD]} have other values that obey every rule, in plain "
        "files without checksums",
        holds=wrong == 0 and (budget.quick or judged >= WANTED),
        observed={"mutants rejected": judged - wrong - accepted, "accepted and equal": tally[ACCEPTED]},
        seeds=[budget.seed],
    )


ROW = Row(
    "R7",
    "Mutated files: none accepted with other rows where a checksum or a rule can tell, none without a verdict",
    f"0 of {WANTED:,}",
    180,
    15,
    measure,
)
