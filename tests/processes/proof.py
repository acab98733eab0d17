"""What must hold when a stack has come to rest after faults: curated is the source, and nothing is stuck or held."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from dms_assets.demo.recording import record_instant
from dms_assets.reconcile.compare import compare
from dms_assets.sample.commit_gate import CommitGate
from tests.processes.running_stack import SOURCE, RunningStack
from tests.processes.waiting import NotReachedError, wait_for

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Proof:
    """`unequal` names tables of curated that are not the source's, `rows` counts those compared."""

    unequal: tuple[str, ...]
    rows: int
    stuck_runs: int
    held_slots: int
    held_tables: int

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing doubled, nothing stuck."""
        return self.rows > 0 and not (self.unequal or self.stuck_runs or self.held_slots or self.held_tables)

    def __str__(self) -> str:
        wrong = f"; unequal: {', '.join(self.unequal)}" if self.unequal else ""
        return (
            f"{self.rows:,} rows equal to the source{wrong}; {self.stuck_runs} stuck runs, "
            f"{self.held_slots} held slots, {self.held_tables} held tables"
        )


def prove(stack: RunningStack, patience_s: float = 120.0) -> Proof:
    """Let everything drain (no work on the source any more), and look."""
    synced: dict[str, Any] = stack.json("sync")
    known = stack.installation.known_metadata(stack.spec)
    tables = [known[name] for name in stack.spec.table_names]
    folder = stack.home / "proof" / str(next(_numbers))
    state = record_instant(stack.dsn, CommitGate(), tables, folder)
    published = stack.installation.environment.published_file
    found = [compare(state, published, SOURCE, tables, as_of=as_of) for as_of in (False, True)]
    unequal = sorted({str(table.table) for comparison in found for table in comparison.unequal})
    try:
        wait_for("no run under way", lambda: not stack.unfinished(), patience_s)
    except NotReachedError:
        stuck = len(stack.unfinished())
    else:
        stuck = 0
    return Proof(tuple(unequal), sum(state.rows.values()), stuck, stack.held_slots(), len(synced["held"]))
