"""What a workload did: counters by name, of committed work only unless the name says otherwise."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

COMMITTED_KINDS: tuple[str, ...] = (
    "multi_table",
    "correction",
    "transfer",
    "merge",
    "delete",
    "delete_reinsert",
    "several_changes_of_a_row",
    "key_update",
    "referenced_key_update",
    "savepoint_rollback",
    "beside_large_value",
    "large_value_update",
    "keyless_insert",
    "awkward_value_touch",
    "bulk_change",
)
"""Kinds of work counted when their transaction has committed."""

OTHER_COUNTS: tuple[str, ...] = ("transactions", "concurrent_commits", "rollback", "retry", "nothing_to_do")
"""Committed transactions, commits that were under way together, deliberate rollbacks, retried errors, empty picks."""


class WorkloadCounts(Mapping[str, int]):
    """An immutable set of counters; every known name is there, 0 if it did not happen."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        given = counts or {}
        self._counts = {name: given.get(name, 0) for name in (*OTHER_COUNTS, *COMMITTED_KINDS)}

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __sub__(self, earlier: WorkloadCounts) -> WorkloadCounts:
        """What happened between two looks."""
        return WorkloadCounts({name: count - earlier[name] for name, count in self.items()})

    @property
    def missing(self) -> list[str]:
        """Kinds of committed work, and rollbacks, that did not happen yet."""
        return [name for name in (*COMMITTED_KINDS, "rollback", "concurrent_commits") if not self[name]]

    def __repr__(self) -> str:
        return f"WorkloadCounts({self._counts})"


class WorkloadTally:
    """Counters that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, counts: Mapping[str, int]) -> None:
        """Add counters, all at once."""
        with self._lock:
            self._counts.update(counts)

    def counts(self) -> WorkloadCounts:
        """A consistent copy."""
        with self._lock:
            return WorkloadCounts(self._counts)
