"""R20: a slow, breaking, swallowing network between the parts; everything is done afterwards, once."""

from __future__ import annotations

from collections import Counter

from dms_assets.lake.s3_client import ATTEMPTS
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.validation.worker_process import ValidationWorker
from tests.network.s3_faults import S3Fault
from tests.network.s3_line import S3Line
from tests.network.source_line import SourceLine, Spans
from tests.scorecard.figure import Budget, Outcome, Row

FULL = Spans(latency=8, resets=20, refusing=8, hole=60)
ROUNDS, HOLE_S = 12, 12
WANTED = (
    "source: transactions written meanwhile",
    "source: chunks delayed",
    "source: connections reset",
    "source: connections cut off",
    "source: connections refused",
    "source: connections in a hole",
    "source: reset: attempts given up and begun again",
    "source: refused: attempts given up and begun again",
    "source: hole: a timeout told",
    "S3: chunks delayed",
    "S3: connections reset",
    "S3: connections in a hole",
    "S3: further pages of listings",
    *(f"S3: {fault.word}" for fault in S3Fault),
    "S3: runs ended by ObjectStoreError (storm)",
    "S3: runs ended by ObjectStoreError (refusals)",
    f"S3: requests given up after {ATTEMPTS} attempts",
)


def _source(budget: Budget) -> Counter[str]:
    folder = budget.folder / "source"
    (folder / "dms").mkdir(parents=True)
    with EmbeddedPostgres(folder / "server" / "data") as postgres:
        return SourceLine(folder / "dms", postgres, budget.seed).run(FULL)


def _s3(budget: Budget) -> Counter[str]:
    with ValidationWorker() as worker:
        return S3Line(budget.folder / "s3", budget.seed, worker).run(ROUNDS, HOLE_S)


def measure(budget: Budget) -> Outcome:
    """Both lines, one after the other."""
    failed: list[str] = []
    seen: Counter[str] = Counter()
    for name, line in (("source", _source), ("S3", _s3)):
        try:
            seen.update({f"{name}: {what}": count for what, count in line(budget).items()})
        except AssertionError as error:
            failed.append(f"{name}: {error}")
    told = f": {'; '.join(failed)}" if failed else ""
    rows = seen["source: rows equal to the source"]
    return Outcome(
        f"{len(failed)} of 2 lines lost, doubled or hung{told}; {rows:,} rows behind the one, "
        f"{seen['S3: requests']:,} requests over the other",
        holds=not failed,
        observed={name: seen[name] for name in dict.fromkeys((*WANTED, *sorted(n for n in seen if "runs ended" in n)))},
        seeds=[budget.seed],
    )


ROW = Row(
    "R20",
    "Networks: to the source 500 ms, 5 % resets, a cut of 60 s without a word; to S3 100 ms, resets, a cut of 12 s, "
    "storms of 503",
    "0 rows lost or doubled, requests bounded",
    300,
    None,
    measure,
)
