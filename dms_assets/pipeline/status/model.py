"""What the platform can say of itself at one moment: plain data, and what of it is not well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dms_assets.model.names import TableName
from dms_assets.reconcile.result import ReconciliationResult

FORMAT = 1
"""Format of the JSON; raised when the meaning of a field changes."""


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _reconciliation(result: ReconciliationResult) -> dict[str, Any]:
    """The result without the hashes of keys: a status is read by many, and is short."""
    found = result.to_json()
    return {
        name: found[name] for name in ("at", "compared", "equal", "reason", "missing", "extra", "different", "in_doubt")
    }


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason why a table's curated relations stay as they are: the blocking check and what it found."""

    check: str
    told: str


@dataclass(frozen=True, slots=True)
class TableStatus:
    """One table. `batch` is the last one committed, `curated_batch` the last one in the published read copy.

    `state` is DMS's word for the table, `trouble` why its changes do not arrive, with the remedy; `damaged` why its
    metadata cannot be read. `pending_since` is when the oldest pending file was written. `complete_to`: every commit of
    the source up to then is in the validated table, as far as that is known. `quarantined` counts undecided files
    by reason.
    """

    name: TableName
    state: str | None = None
    trouble: str | None = None
    damaged: str | None = None
    pending_files: int = 0
    pending_bytes: int = 0
    pending_since: datetime | None = None
    batch: int = 0
    curated_batch: int = 0
    validated_at: datetime | None = None
    curated_at: datetime | None = None
    complete_to: datetime | None = None
    holds: tuple[Hold, ...] = ()
    quarantined: Mapping[str, int] | None = None
    reconciliation: ReconciliationResult | None = None

    @property
    def held(self) -> bool:
        """Whether the curated relations stay as they are until somebody decides."""
        return bool(self.holds)

    @property
    def curated_complete_to(self) -> datetime | None:
        """Every commit of the source up to then is in the curated relations too; None where that is not known."""
        return self.complete_to if self.curated_batch >= self.batch and not self.held else None

    @property
    def phase(self) -> str:
        """Where the table is, in a word or two: the worst that is true of it."""
        words = [
            (self.damaged, "damaged metadata"),
            (self.held, "held"),
            (self.trouble, "not captured"),
            (self.reconciliation is not None and self.reconciliation.diverged, "diverged"),
            (self.batch == 0, "not loaded yet"),
            (self.pending_files, "taking in"),
            (self.curated_batch < self.batch, "building"),
        ]
        return next((word for is_true, word in words if is_true), "up to date")

    def problems(self) -> Iterator[str]:
        """What somebody has to look at."""
        if self.damaged:
            yield self.damaged
        for hold in self.holds:
            yield f"{self.name} is held ({hold.check}): {hold.told}"
        if self.trouble:
            yield f"{self.name}: {self.trouble}"
        if self.reconciliation is not None and self.reconciliation.diverged:
            found = f"in {self.reconciliation.differing} keys" if self.reconciliation.differing else "in its structure"
            yield f"{self.name} differs from its source {found}; `dms-assets reload {self.name.table}` repairs it"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "table": str(self.name),
            "phase": self.phase,
            "state": self.state,
            "trouble": self.trouble,
            "damaged": self.damaged,
            "pending": {"files": self.pending_files, "bytes": self.pending_bytes, "since": _time(self.pending_since)},
            "batch": self.batch,
            "curated_batch": self.curated_batch,
            "validated_at": _time(self.validated_at),
            "curated_at": _time(self.curated_at),
            "complete_to": _time(self.complete_to),
            "curated_complete_to": _time(self.curated_complete_to),
            "held": [{"check": hold.check, "found": hold.told} for hold in self.holds],
            "quarantined": dict(self.quarantined or {}),
            "reconciliation": _reconciliation(self.reconciliation) if self.reconciliation else None,
        }


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source. `task` is the DMS task's status as it was last seen to change, `polled_at` when it was last asked.

    `watermark`: every commit of the source up to then is in landing or further. `strangers` counts undecided objects
    in quarantine that are no file of a declared table, by reason.
    """

    name: str
    engine: str
    owner: str
    tables: tuple[TableStatus, ...]
    task: str | None = None
    polled_at: datetime | None = None
    watermark: datetime | None = None
    strangers: Mapping[str, int] | None = None

    @property
    def trouble(self) -> str | None:
        """What keeps the changes of every table from arriving, if it is one thing."""
        told = {table.trouble for table in self.tables}
        return told.pop() if len(told) == 1 else None

    @property
    def quarantined(self) -> Mapping[str, int]:
        """Undecided files by reason, over all tables and strangers."""
        counts: Counter[str] = Counter(self.strangers or {})
        for table in self.tables:
            counts.update(table.quarantined or {})
        return dict(counts.most_common())

    def lag_s(self, now: datetime) -> float | None:
        """Seconds since the instant of the watermark, None where there is none."""
        return max((now - self.watermark).total_seconds(), 0.0) if self.watermark else None

    def problems(self) -> Iterator[str]:
        """What somebody has to look at; what is wrong with all tables is said once."""
        if self.trouble:
            yield f"{self.name}: {self.trouble}"
        for table in self.tables:
            for problem in table.problems():
                if self.trouble is None or problem != f"{table.name}: {self.trouble}":
                    yield f"{self.name}: {problem}"

    def to_json(self, now: datetime) -> dict[str, Any]:
        """A JSON object."""
        return {
            "source": self.name,
            "engine": self.engine,
            "owner": self.owner,
            "task": {"status": self.task, "polled_at": _time(self.polled_at), "trouble": self.trouble},
            "watermark": _time(self.watermark),
            "lag_s": self.lag_s(now),
            "quarantined": dict(self.quarantined),
            "tables": [table.to_json() for table in self.tables],
        }


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run that failed. `repaired`: all it was for was made by later runs."""

    run_id: str
    what: str
    at: datetime
    repaired: bool

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"run_id": self.run_id, "what": self.what, "at": self.at.isoformat(), "repaired": self.repaired}


@dataclass(frozen=True, slots=True)
class PlatformStatus:
    """Everything, as of `at`. `invalid`: source folders whose declaration has mistakes, with what they are."""

    at: datetime
    sources: tuple[SourceStatus, ...]
    failed_runs: tuple[FailedRun, ...] = ()
    invalid: Mapping[str, str] | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What somebody has to look at; empty if all is well."""
        found = [f"{name} is not loaded: {told}" for name, told in (self.invalid or {}).items()]
        for source in self.sources:
            found += source.problems()
        found += [f"run {run.run_id} ({run.what}) failed" for run in self.failed_runs if not run.repaired]
        return tuple(found)

    @property
    def well(self) -> bool:
        """Whether nobody has to look at anything."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "v": FORMAT,
            "at": self.at.isoformat(),
            "well": self.well,
            "problems": list(self.problems),
            "sources": [source.to_json(self.at) for source in self.sources],
            "failed_runs": [run.to_json() for run in self.failed_runs],
            "invalid_sources": dict(self.invalid or {}),
        }
