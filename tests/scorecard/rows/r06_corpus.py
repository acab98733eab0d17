"""R6: a corpus of hostile files; each verdict is the expected one, and good neighbours flow."""

from __future__ import annotations

from collections import Counter

from tests.corpus.corpus import CORPUS
from tests.corpus.judged import GOOD_NEIGHBOURS, judge_corpus
from tests.scorecard.figure import Budget, Outcome, Row


def measure(budget: Budget) -> Outcome:
    """The whole corpus in one landing, ingested once."""
    judged = judge_corpus(budget.folder)
    verdicts = {name: judged.reason(name) for name in CORPUS}
    wrong = [name for name, file in CORPUS.items() if verdicts[name] is not file.reason]
    flow = judged.neighbours == GOOD_NEIGHBOURS
    groups = Counter(reason.value if reason else "accepted" for reason in verdicts.values())
    return Outcome(
        f"{len(CORPUS) - len(wrong)} of {len(CORPUS)} as expected; good neighbours {'flow' if flow else 'are stopped'}"
        + (f"; wrong: {', '.join(wrong)}" if wrong else ""),
        holds=not wrong and flow and len(CORPUS) >= 80 and judged.world.listed() == [],
        observed=dict(sorted(groups.items())),
    )


ROW = Row("R6", "Hostile files: the expected verdict on each, good ones beside them flow", "100 %", 120, 30, measure)
