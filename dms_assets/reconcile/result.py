"""What a reconciliation of one table came to; counts and hashes of keys, never values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dms_assets.model.names import TableName
from dms_assets.reconcile.comparison import Difference, Fault, TableComparison
from dms_assets.reconcile.keys import key_hash

MOST_NAMED = 100
"""Differing keys, and keys in doubt, whose hashes are kept."""


@dataclass(frozen=True, slots=True)
class DifferingKey:
    """One differing key by its hash; `columns` are those whose values differ."""

    fault: Fault
    key_hash: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.fault} {self.key_hash}{': ' + ', '.join(self.columns) if self.columns else ''}"

    @classmethod
    def of(cls, difference: Difference) -> DifferingKey:
        """A difference without its key."""
        return cls(difference.fault, key_hash(list(difference.key.values())), difference.columns)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {"fault": self.fault.value, "key_hash": self.key_hash, "columns": list(self.columns)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DifferingKey:
        """The key that `to_json` wrote."""
        return cls(Fault(data["fault"]), data["key_hash"], tuple(data["columns"]))


@dataclass(frozen=True, slots=True)
class ReconciliationResult:
    """A table of a live source and curated as of `at`, the source's clock.

    `watermark` is the instant the table covered when it was compared. `missing` and `extra` are rows on one side only,
    `different` keys with other values, `duplicates` repeated rows of a table without a key. `in_doubt` keys changed
    around every instant they were compared at, and count as neither. `healed_buckets` are buckets of keys of a big
    table that differed at `at` and did not later on, though nothing in them changed. `structure` says what is wrong
    with the relation. `compared` is False if none of this could be found out, and `reason` says why.
    """

    table: TableName
    at: datetime
    finished_at: datetime
    compared: bool = True
    reason: str | None = None
    method: str = "every row"
    watermark: datetime | None = None
    source_rows: int = 0
    curated_rows: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    duplicates: int = 0
    in_doubt: int = 0
    healed_buckets: int = 0
    structure: tuple[str, ...] = ()
    keys: tuple[DifferingKey, ...] = ()
    doubtful_keys: tuple[str, ...] = ()

    @property
    def differing(self) -> int:
        """Differing keys, or rows where there is no key."""
        return self.missing + self.extra + self.different

    @property
    def equal(self) -> bool:
        """Whether it was compared, and no difference was found. Keys in doubt are not among what was compared."""
        return self.compared and not (self.differing or self.structure or self.healed_buckets)

    @property
    def diverged(self) -> bool:
        """Whether curated is not what the source was."""
        return self.compared and not self.equal

    def with_comparison(self, found: TableComparison) -> ReconciliationResult:
        """The same with what one more comparison, of other keys, surely found."""
        named = (*self.keys, *(DifferingKey.of(difference) for difference in found.differences))
        return replace(
            self,
            missing=self.missing + found.missing,
            extra=self.extra + found.extra,
            different=self.different + found.different,
            duplicates=self.duplicates + found.duplicates,
            structure=found.structure or self.structure,
            keys=named[:MOST_NAMED],
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "table": str(self.table),
            "at": self.at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "watermark": self.watermark.isoformat() if self.watermark else None,
            "compared": self.compared,
            "equal": self.equal,
            "reason": self.reason,
            "method": self.method,
            **{name: getattr(self, name) for name in _COUNTS},
            "structure": list(self.structure),
            "keys": [key.to_json() for key in self.keys],
            "doubtful_keys": list(self.doubtful_keys),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ReconciliationResult:
        """The result that `to_json` wrote."""
        watermark = data["watermark"]
        return cls(
            table=TableName.parse(data["table"]),
            at=datetime.fromisoformat(data["at"]),
            finished_at=datetime.fromisoformat(data["finished_at"]),
            watermark=datetime.fromisoformat(watermark) if watermark else None,
            compared=data["compared"],
            reason=data["reason"],
            method=data["method"],
            structure=tuple(data["structure"]),
            keys=tuple(DifferingKey.from_json(key) for key in data["keys"]),
            doubtful_keys=tuple(data["doubtful_keys"]),
            **{name: data[name] for name in _COUNTS},
        )


_COUNTS = (
    "source_rows",
    "curated_rows",
    "missing",
    "extra",
    "different",
    "duplicates",
    "in_doubt",
    "healed_buckets",
)
