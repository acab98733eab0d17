"""Do the rows of a table agree with what DMS counted (DMS: DescribeTableStatistics)?

DMS's counters run ahead of the files, and files are visible before they are counted: neither side is ever at rest. So
three looks are taken, one after the other:

1. DMS's counters are noted;
2. once the table is known to hold everything up to that instant, its rows are counted: no fewer than were noted;
3. after DMS had time to count, its counters are read again: no more rows than these.

Copies of redelivered changes are rows too, so that only distinct changes are held against the third look, and only
where copies are recognised: positions tell changes apart, and the table has a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dms_assets.lake.change_counts import ChangeCounts
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.state_document import StateDocument
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TableState

FORMAT = 1
_NAMES = {"I": "inserts", "U": "updates", "D": "deletes"}


@dataclass(frozen=True, slots=True)
class Counters:
    """What DMS counted of a table in one stream, by operation. `reloaded`: counted anew from within the stream."""

    inserts: int
    updates: int
    deletes: int
    load_rows: int
    reloaded: bool

    @classmethod
    def of(cls, state: TableState) -> Counters:
        """The counters of a poll."""
        return cls(state.inserts, state.updates, state.deletes, state.load_rows, state.reloaded)

    def by_op(self) -> dict[str, int]:
        """Changes by I, U and D."""
        return {"I": self.inserts, "U": self.updates, "D": self.deletes}


@dataclass(frozen=True, slots=True)
class SetAside:
    """Change rows that are in quarantine, or were discarded from it; `unknown` files whose rows nobody could count."""

    rows: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class StatisticsVerdict:
    """Whether accepted rows and DMS's counters agree."""

    passed: bool
    expected: str
    found: str
    remedy: str = ""


def compare_counts(
    noted: Counters,
    accepted: ChangeCounts,
    later: Counters,
    *,
    aside: SetAside,
    copies_recognised: bool,
    load_is_in: bool,
) -> StatisticsVerdict:
    """The three looks of the module's text, in their order. `load_is_in`: DMS's load is the table's newest one."""
    wrong: list[str] = []
    if load_is_in and accepted.load_rows != noted.load_rows:
        wrong.append(f"{accepted.load_rows} rows of the load, DMS loaded {noted.load_rows}")
    missing = {op: count - accepted.rows.get(op, 0) for op, count in noted.by_op().items()}
    missing = {op: count for op, count in missing.items() if count > 0}
    if missing and sum(missing.values()) > aside.rows and not aside.unknown:
        wrong += [f"{count} {_NAMES[op]} are missing" for op, count in missing.items()]
    # A reload inside the stream may begin the count anew, and not the table.
    if copies_recognised and not later.reloaded:
        surplus = {op: accepted.distinct.get(op, 0) - count for op, count in later.by_op().items()}
        wrong += [f"{count} {_NAMES[op]} more than DMS wrote" for op, count in surplus.items() if count > 0]
    told = ", ".join(f"{accepted.rows.get(op, 0)} {name}" for op, name in _NAMES.items())
    if aside.rows or aside.unknown:
        told += f"; in quarantine or discarded: {aside.rows} rows"
        told += f" and {aside.unknown} files that cannot be counted" if aside.unknown else ""
    return StatisticsVerdict(
        passed=not wrong,
        expected=_expected(noted, later, load_is_in=load_is_in),
        found=(f"{accepted.load_rows} rows of the load; " if load_is_in else "")
        + f"{told}; "
        + ("; ".join(wrong) or "they agree"),
        remedy=_REMEDY if wrong else "",
    )


_REMEDY = (
    "look at quarantine, and at the archive and the ledger for files that went another way; then reconcile the table "
    "with its source, and reload it if it differs"
)


def _expected(noted: Counters, later: Counters, *, load_is_in: bool) -> str:
    before, after = noted.by_op(), later.by_op()
    changes = ", ".join(
        f"{before[op]} {name}" if before[op] == after[op] else f"{before[op]} to {after[op]} {name}"
        for op, name in _NAMES.items()
    )
    return (f"{noted.load_rows} rows of the load; " if load_is_in else "") + changes


@dataclass(frozen=True, slots=True)
class Looks:
    """How far the comparison of one table is: noted, or noted and counted. `judged` are the counters judged last."""

    stream: int
    noted: Counters | None = None
    noted_at: datetime | None = None
    counted: ChangeCounts | None = None
    counted_at: datetime | None = None
    load_is_in: bool = False
    judged: Counters | None = None
    judged_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        data = asdict(self)
        for name in ("noted_at", "counted_at", "judged_at"):
            data[name] = data[name].isoformat() if data[name] else None
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Looks:
        """The looks that `to_json` wrote."""
        fields = dict(data)
        for name in ("noted", "judged"):
            fields[name] = Counters(**fields[name]) if fields[name] else None
        for name in ("noted_at", "counted_at", "judged_at"):
            fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
        fields["counted"] = ChangeCounts(**fields["counted"]) if fields["counted"] else None
        return cls(**fields)


class LooksStore:
    """How far the comparisons of a source's tables are."""

    def __init__(self, state: ObjectStore, source: str) -> None:
        self._document = StateDocument(state, f"statistics/{source}.json", format=FORMAT)

    def read(self) -> dict[TableName, Looks]:
        """Tables that were looked at."""
        data = self._document.read() or {"tables": {}}
        return {TableName.parse(name): Looks.from_json(row) for name, row in data["tables"].items()}

    def write(self, looks: Mapping[TableName, Looks]) -> None:
        """Replace what is known: looks taken by two processes at once are both true, and the later ones stay."""
        rows = {str(name): item.to_json() for name, item in looks.items()}
        self._document.change(lambda _: {"tables": rows})
