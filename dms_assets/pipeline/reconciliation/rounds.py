"""One table on its way through the instants of a reconciliation: what to compare next, and what was found so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import duckdb

from dms_assets.model.table_metadata import TableMetadata
from dms_assets.model.watermark import COMMIT_TO_VISIBLE
from dms_assets.reconcile.at_instant import InstantComparison, compare_at_instant, curated_digests_at, doubtful_buckets
from dms_assets.reconcile.comparison import Difference
from dms_assets.reconcile.digests import BUCKETS, Digests, curated_digests, differing_buckets, in_buckets
from dms_assets.reconcile.keys import Key, in_keys, key_hash
from dms_assets.reconcile.result import MOST_NAMED, ReconciliationResult
from dms_assets.reconcile.source_state import Condition, SourceState

MOST_ROWS = 1_000_000
"""Rows of differing buckets that are compared one by one at most; the rest counts as differing buckets."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of one table. `differences` have keys and values, `doubtful` keys: for the operator's eyes only."""

    result: ReconciliationResult
    differences: tuple[Difference, ...] = ()
    doubtful: tuple[Key, ...] = ()


@dataclass
class TableWork:
    """To be compared next: some `keys`, some `buckets`, or, of a `big` table, all buckets' digests; else every row.

    `suspects` are buckets that differed although no key of theirs was in doubt.
    """

    source: str
    table: TableMetadata
    big: bool
    keys: tuple[Key, ...] | None = None
    buckets: frozenset[int] | None = None
    suspects: frozenset[int] = frozenset()
    result: ReconciliationResult | None = None
    differences: list[Difference] = field(default_factory=list)
    done: bool = False

    @property
    def by_digest(self) -> bool:
        """Whether the next comparison is of digests."""
        return self.big and self.keys is None and self.buckets is None

    @property
    def condition(self) -> Condition | None:
        """What to read of the source next; None for every row."""
        if self.keys is not None:
            return in_keys(self.table.key, self.keys)
        return in_buckets(self.table.key, self.buckets) if self.buckets is not None else None

    def reconciled(self) -> Reconciled:
        """What came of it. Raises ValueError before anything did."""
        if self.result is None:
            raise ValueError(f"table {self.table.name} was neither compared nor given up")
        return Reconciled(self.result, tuple(self.differences), self.keys or ())

    def give_up(self, at: datetime, reason: str) -> None:
        """The table cannot be compared, or not again."""
        now = datetime.now(UTC)
        if self.result is None:
            self.result = ReconciliationResult(self.table.name, at, now, compared=False, reason=reason)
        else:
            # Buckets that differ are no finding before their keys are looked at.
            open_buckets = self.buckets is not None and self.keys is None
            told = f"not compared again: {reason}"
            self.result = replace(self.result, finished_at=now, reason=told, compared=not open_buckets)
        self.done = True

    def compare(
        self, connection: duckdb.DuckDBPyConnection, state: SourceState, digests: Digests | None, covered: datetime
    ) -> None:
        """Compare what is next with curated as of the state's instant."""
        if digests is not None:
            self._compare_digests(connection, state.at, digests, covered)
            return
        found = compare_at_instant(
            connection, state, self.source, self.table, COMMIT_TO_VISIBLE, keys=self.keys, buckets=self.buckets
        )
        if self.result is None or not self.table.key:
            self.result = self._begun(state.at, covered, found.surely.source_rows, found.surely.curated_rows)
            self.differences.clear()
        if self.buckets is not None and self.keys is None:
            self._explain(connection, found)
        self._take(found)

    def _begun(self, at: datetime, covered: datetime, source_rows: int, curated_rows: int) -> ReconciliationResult:
        method = f"digests of {BUCKETS} buckets of keys" if self.big else "every row"
        return ReconciliationResult(
            self.table.name,
            at,
            datetime.now(UTC),
            method=method,
            watermark=covered,
            source_rows=source_rows,
            curated_rows=curated_rows,
        )

    def _compare_digests(
        self, connection: duckdb.DuckDBPyConnection, at: datetime, digests: Digests, covered: datetime
    ) -> None:
        curated, wrong = curated_digests_at(connection, self.source, self.table, at)
        rows = [sum(count for count, _, _ in side.values()) for side in (digests, curated)]
        self.result = replace(self._begun(at, covered, *rows), structure=wrong)
        differing = differing_buckets(digests, curated)
        if wrong or not differing:
            self.done = True
            return
        chosen: list[int] = []
        taken = 0
        for bucket, count in sorted(differing.items()):
            if chosen and taken + count > MOST_ROWS:
                break
            chosen.append(bucket)
            taken += count
        if len(chosen) < len(differing):
            told = f"{len(differing)} of {BUCKETS} buckets differ; the keys of {len(chosen)} were compared"
            self.result = replace(self.result, reason=told)
        self.buckets = frozenset(chosen)
        self.suspects = self.buckets - doubtful_buckets(connection, self.source, self.table, at, COMMIT_TO_VISIBLE)

    def _explain(self, connection: duckdb.DuckDBPyConnection, found: InstantComparison) -> None:
        """Buckets that differed for no reason and do not any more: history is not what it was."""
        sides = [curated_digests(connection, self.table, f"from {side}_side") for side in ("source", "curated")]
        healed = self.suspects - differing_buckets(*sides).keys() - found.doubtful_buckets
        assert self.result is not None  # noqa: S101  digests were compared before
        self.result = replace(self.result, healed_buckets=len(healed))

    def _take(self, found: InstantComparison) -> None:
        assert self.result is not None  # noqa: S101  the caller began it
        self.differences += found.surely.differences
        self.result = replace(
            self.result.with_comparison(found.surely),
            finished_at=datetime.now(UTC),
            in_doubt=found.in_doubt,
            doubtful_keys=tuple(key_hash(key) for key in found.keys[:MOST_NAMED]),
        )
        if found.in_doubt and self.table.key:
            self.keys = found.keys
        # Rows without a key are all compared again, unless it is clear already that some differ.
        elif not found.in_doubt or found.surely.missing or found.surely.extra:
            self.keys = None
            self.done = True
