"""What a comparison found, per table; counts and keys, never values in its texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dms_assets.model.names import TableName


class Fault(StrEnum):
    """How a key differs."""

    MISSING = "missing"
    """In the source, not in curated."""
    EXTRA = "extra"
    """In curated, not in the source."""
    DIFFERENT = "different"
    """In both, with other values."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One differing key, as comparable texts. `values` has (source, curated) of each differing column; for people who
    may see the data: it is not part of any text of this object.
    """

    key: dict[str, str | None]
    fault: Fault
    columns: tuple[str, ...] = ()
    values: dict[str, tuple[str | None, str | None]] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.key.items())
        return f"{self.fault} ({key}){': ' + ', '.join(self.columns) if self.columns else ''}"


@dataclass(frozen=True, slots=True)
class TableComparison:
    """Source and curated of one table, at `at` or, if that is None, now.

    `missing` and `extra` count rows on one side only; `different` counts keys on both sides with other values.
    `duplicates` are copies beyond the source's in a table without a key, `in_doubt` rows of one that differ but changed
    around the instant. `structure` says what is wrong with the
    relation itself (then nothing else was compared). `differences` are the first of them.
    """

    table: TableName
    at: datetime | None
    source_rows: int
    curated_rows: int
    missing: int = 0
    extra: int = 0
    different: int = 0
    duplicates: int = 0
    in_doubt: int = 0
    structure: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether curated is the source, by the published rules."""
        return not (self.missing or self.extra or self.different or self.structure)

    def to_json(self) -> dict[str, Any]:
        """A JSON object for reports and metadata, with keys but without values."""
        return {
            "table": str(self.table),
            "at": self.at.isoformat() if self.at else None,
            "source_rows": self.source_rows,
            "curated_rows": self.curated_rows,
            "missing": self.missing,
            "extra": self.extra,
            "different": self.different,
            "duplicates": self.duplicates,
            "in_doubt": self.in_doubt,
            "structure": list(self.structure),
            "differences": [str(difference) for difference in self.differences],
            "equal": self.equal,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All tables of a source, and how long it took in seconds."""

    tables: dict[TableName, TableComparison]
    seconds: float

    @property
    def equal(self) -> bool:
        """Whether every table is equal, and there is one."""
        return bool(self.tables) and all(table.equal for table in self.tables.values())

    @property
    def unequal(self) -> list[TableComparison]:
        """The tables that differ."""
        return [table for table in self.tables.values() if not table.equal]
