"""R5: every way to break a stream ends in a state of its own, with the lost range and the remedy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dms_assets.local_dms.postgres.source import SourceAddress
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.gap_cases import CASES, QUICK, Case
from tests.local_dms.gap_restarts import RESTARTS
from tests.local_dms.gap_world import GapWorld
from tests.local_dms.idle import idle_source_keeps_little_log
from tests.local_dms.service import Service
from tests.scorecard.figure import Budget, Outcome, Row

log = logging.getLogger(__name__)


@contextmanager
def _world(folder: Path) -> Iterator[tuple[Service, EmbeddedPostgres]]:
    folder.mkdir(parents=True)
    with EmbeddedPostgres(folder / "server" / "data") as postgres:
        info = postgres.connection_info
        address = SourceAddress(info.host, info.port, info.dbname, info.username, info.password)
        with Service(folder / "dms", address) as service:
            yield service, postgres


def _came(case: Case, number: int, folder: Path, parts: tuple[Service, EmbeddedPostgres]) -> bool:
    """Whether the case came as it must. After one that did not, the parts may be in any state: the next has others."""
    try:
        case.run(GapWorld(*parts, f"case{number}"))
    except Exception:
        log.exception("%s (%s)", case.name, folder)
        return False
    return True


def measure(budget: Budget) -> Outcome:
    """All cases; the reduced run has a few that were silent once."""
    cases = [case for case in CASES + RESTARTS if not budget.quick or case.name in QUICK]
    observed: dict[str, int] = {}
    left, number, megabytes = list(enumerate(cases)), 0, 0.0
    while left:
        number += 1
        with _world(budget.folder / str(number)) as parts:
            if number == 1:
                megabytes = idle_source_keeps_little_log(GapWorld(*parts, "idle"))
            while left:
                place, case = left.pop(0)
                came = _came(case, place, budget.folder, parts)
                observed[case.name] = int(came)
                if not came:
                    break
    broken = [case for case in cases if case.gap is not None and observed[case.name]]
    harmless = sum(observed[case.name] for case in cases if case.gap is None)
    names = {case.gap for case in broken}
    return Outcome(
        f"{len(broken)} broken streams in {len(names)} states, none silent, all failed again on resume; {harmless} "
        f"harmless cases without loss; idle source keeps {megabytes:.1f} MB of log",
        holds=all(observed.values()),
        observed=observed,
    )


ROW = Row(
    "R5",
    "Gaps are loud: slot, publication, restore, failover, position",
    "every case ends in a terminal state with a name",
    300,
    40,
    measure,
)
