"""R20: a slow, breaking, swallowing network between the parts; everything is done afterwards, once."""

from __future__ import annotations

from collections import Counter

from dms_assets.sample.postgres import EmbeddedPostgres
from tests.network.source_line import SourceLine, Spans
from tests.scorecard.figure import Budget, Outcome, Row

FULL = Spans(latency=20, resets=40, refusing=15, hole=60)
QUICK = Spans(latency=2, resets=3, refusing=1, hole=2)


def _source(budget: Budget) -> Counter[str]:
    folder = budget.folder / "source"
    (folder / "dms").mkdir(parents=True)
    with EmbeddedPostgres(folder / "server" / "data") as postgres:
        return SourceLine(folder / "dms", postgres, budget.seed).run(QUICK if budget.quick else FULL)


def measure(budget: Budget) -> Outcome:
    """Both lines; a span of each fault, one after the other, and all at once where a client cannot know them apart."""
    failed: list[str] = []
    seen: Counter[str] = Counter()
    try:
        seen.update(_source(budget))
    except AssertionError as error:
        failed.append(f"source: {error}")
    told = f": {'; '.join(failed)}" if failed else ""
    wanted = [
        "chunks delayed",
        "connections reset",
        "connections in a hole",
        "reset: attempts given up and begun again",
    ]
    if not budget.quick:
        # Shorter cuts are healed by TCP itself.
        wanted += ["connections refused", "hole: a timeout told"]
    return Outcome(
        f"{len(failed)} lines lost, doubled or hung{told}",
        holds=not failed,
        observed={**dict.fromkeys(wanted, 0), **seen},
        seeds=[budget.seed],
    )


ROW = Row(
    "R20",
    "Networks: 500 ms, 5 % resets, a cut of 60 s without a word, storms of 503",
    "0 rows lost or doubled, requests bounded",
    300,
    None,
    measure,
)
