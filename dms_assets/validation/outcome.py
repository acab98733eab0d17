"""What validation found: per rule group, per file; only counts, ordinals and hashes, never a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MAX_REPORTED_ROWS = 20
"""How many failing rows of a group a report names."""


class Group(StrEnum):
    """A group of rules; the names are those of the asset checks and do not change."""

    READABLE = "readable"
    SCHEMA = "schema"
    OP = "op"
    SEQUENCE = "sequence"
    KEY = "key"
    NULLABILITY = "nullability"
    LENGTH = "length"
    DOMAIN = "domain"
    UNIQUE = "unique"


class Reason(StrEnum):
    """Why a file is in quarantine. Where several rules failed: the first of this order."""

    UNKNOWN_KEY = "unknown key"
    UNKNOWN_TABLE = "unknown table"
    UNREADABLE = "unreadable"
    RESOURCE_LIMIT = "resource limit"
    SCHEMA = "schema"
    OP = "op"
    SEQUENCE = "sequence"
    KEY = "key"
    NULLABILITY = "nullability"
    LENGTH = "length"
    DOMAIN = "domain"
    DUPLICATE_KEY = "duplicate key"


_REASONS: dict[Group, Reason] = {
    Group.READABLE: Reason.UNREADABLE,
    Group.SCHEMA: Reason.SCHEMA,
    Group.OP: Reason.OP,
    Group.SEQUENCE: Reason.SEQUENCE,
    Group.KEY: Reason.KEY,
    Group.NULLABILITY: Reason.NULLABILITY,
    Group.LENGTH: Reason.LENGTH,
    Group.DOMAIN: Reason.DOMAIN,
    Group.UNIQUE: Reason.DUPLICATE_KEY,
}


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The result of one rule group over one file, or over a batch.

    `failing` counts rows (or, for `schema`, columns); `rows` are ordinals in the file, from 0, at most
    MAX_REPORTED_ROWS of them, with `key_hashes` beside them.
    """

    group: Group
    passed: bool
    expected: str
    found: str
    failing: int = 0
    rows: tuple[int, ...] = ()
    key_hashes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "group": self.group.value,
            "passed": self.passed,
            "expected": self.expected,
            "found": self.found,
            "failing": self.failing,
            "rows": list(self.rows),
            "key_hashes": list(self.key_hashes),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CheckOutcome:
        """The outcome that `to_json` wrote."""
        lists = {"rows": tuple(data["rows"]), "key_hashes": tuple(data["key_hashes"])}
        return cls(**{**data, **lists, "group": Group(data["group"])})


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What became of one file. `reason` is None if it is accepted; `ops` counts its rows by `_op`.

    `steps_back` counts rows whose sequence is below the row before: allowed (the log is ordered later), but shown.
    """

    rows: int
    reason: Reason | None
    outcomes: tuple[CheckOutcome, ...]
    ops: dict[str, int] = field(default_factory=dict)
    steps_back: int = 0

    @property
    def accepted(self) -> bool:
        """Whether its rows go into the table."""
        return self.reason is None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "rows": self.rows,
            "reason": self.reason.value if self.reason else None,
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "ops": self.ops,
            "steps_back": self.steps_back,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FileVerdict:
        """The verdict that `to_json` wrote."""
        return cls(
            rows=data["rows"],
            reason=Reason(data["reason"]) if data["reason"] else None,
            outcomes=tuple(CheckOutcome.from_json(outcome) for outcome in data["outcomes"]),
            ops=dict(data["ops"]),
            steps_back=data["steps_back"],
        )


def rejected(reason: Reason, outcome: CheckOutcome, rows: int = 0) -> FileVerdict:
    """The verdict on a file of which only one thing can be said."""
    return FileVerdict(rows=rows, reason=reason, outcomes=(outcome,))


def reason_of(outcomes: tuple[CheckOutcome, ...]) -> Reason | None:
    """The reason for quarantine that follows from outcomes, or None if all passed."""
    failed = {_REASONS[outcome.group] for outcome in outcomes if not outcome.passed}
    return next((reason for reason in Reason if reason in failed), None)
