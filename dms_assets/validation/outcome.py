"""What validation found: per rule group, per file; only counts, ordinals and hashes, never a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
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
    ORDER = "order"
    KEY = "key"
    NULLABILITY = "nullability"
    LENGTH = "length"
    PRECISION = "precision"
    DOMAIN = "domain"
    DECLARED = "declared"
    UNIQUE = "unique"


class Reason(StrEnum):
    """Why a file is in quarantine. Where several rules failed: the first of this order."""

    UNKNOWN_KEY = "unknown key"
    # Only read: the first release put files of undeclared tables into quarantine; by now they wait in landing.
    UNKNOWN_TABLE = "unknown table"
    UNREADABLE = "unreadable"
    RESOURCE_LIMIT = "resource limit"
    SCHEMA = "schema"
    OP = "op"
    SEQUENCE = "sequence"
    ORDER = "order"
    KEY = "key"
    NULLABILITY = "nullability"
    LENGTH = "length"
    PRECISION = "precision"
    DOMAIN = "domain"
    DECLARED = "declared check"
    DUPLICATE_KEY = "duplicate key"


REASONS: dict[Group, Reason] = {
    Group.READABLE: Reason.UNREADABLE,
    Group.SCHEMA: Reason.SCHEMA,
    Group.OP: Reason.OP,
    Group.SEQUENCE: Reason.SEQUENCE,
    Group.ORDER: Reason.ORDER,
    Group.KEY: Reason.KEY,
    Group.NULLABILITY: Reason.NULLABILITY,
    Group.LENGTH: Reason.LENGTH,
    Group.PRECISION: Reason.PRECISION,
    Group.DOMAIN: Reason.DOMAIN,
    Group.DECLARED: Reason.DECLARED,
    Group.UNIQUE: Reason.DUPLICATE_KEY,
}
"""The reason for quarantine that follows from a failed group."""


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """One rule that a file breaks. `rule` is a stable name, `column` '' where the rule is on the whole file.

    `rows` are ordinals in the file, from 0, at most MAX_REPORTED_ROWS of them, with `key_hashes` beside them.
    """

    rule: str
    column: str
    expected: str
    found: str
    failing: int = 0
    rows: tuple[int, ...] = ()
    key_hashes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {**asdict(self), "rows": list(self.rows), "key_hashes": list(self.key_hashes)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BrokenRule:
        """The rule that `to_json` wrote."""
        return cls(**{**data, "rows": tuple(data["rows"]), "key_hashes": tuple(data["key_hashes"])})


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The result of one rule group over one file, or over a batch.

    `failing` counts rows (or, for `schema`, columns); `rows` are ordinals in the file, from 0, at most
    MAX_REPORTED_ROWS of them, with `key_hashes` beside them. `broken` has each rule that fails by itself.
    """

    group: Group
    passed: bool
    expected: str
    found: str
    failing: int = 0
    rows: tuple[int, ...] = ()
    key_hashes: tuple[str, ...] = ()
    broken: tuple[BrokenRule, ...] = ()

    @property
    def failures(self) -> tuple[BrokenRule, ...]:
        """The rules that fail; the group itself where it fails and names no rule."""
        if self.passed or self.broken:
            return self.broken
        name = self.group.value
        return (BrokenRule(name, "", self.expected, self.found, self.failing, self.rows, self.key_hashes),)

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
            "broken": [rule.to_json() for rule in self.broken],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CheckOutcome:
        """The outcome that `to_json` wrote; reports of the first release name no broken rules."""
        lists = {
            "rows": tuple(data["rows"]),
            "key_hashes": tuple(data["key_hashes"]),
            "broken": tuple(BrokenRule.from_json(rule) for rule in data.get("broken", ())),
        }
        return cls(**{**data, **lists, "group": Group(data["group"])})


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What became of one file. `reason` is None if it is accepted; `ops` counts its rows by `_op`.

    `steps_back` counts rows whose sequence is not above the row before: the log is ordered later, so that a source
    may allow it. `clock_steps` counts rows whose commit time is before that of the row before, by `clock_back_s` at
    most: clocks do that, and history runs on; reading as of such a time is inexact.
    """

    rows: int
    reason: Reason | None
    outcomes: tuple[CheckOutcome, ...]
    ops: dict[str, int] = field(default_factory=dict)
    steps_back: int = 0
    clock_steps: int = 0
    clock_back_s: float = 0.0

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
            "clock_steps": self.clock_steps,
            "clock_back_s": self.clock_back_s,
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
            clock_steps=data["clock_steps"],
            clock_back_s=data["clock_back_s"],
        )


def rejected(reason: Reason, outcome: CheckOutcome, rows: int = 0) -> FileVerdict:
    """The verdict on a file of which only one thing can be said."""
    return FileVerdict(rows=rows, reason=reason, outcomes=(outcome,))


def beyond_limits(found: str) -> CheckOutcome:
    """What is said of a file that takes more than a file may: `found` says what it took."""
    expected = "readable within the limits on memory and time"
    broken = (BrokenRule("limits", "", expected, found),)
    return CheckOutcome(Group.READABLE, passed=False, expected=expected, found=found, broken=broken)


def reason_of(outcomes: tuple[CheckOutcome, ...]) -> Reason | None:
    """The reason for quarantine that follows from outcomes, or None if all passed."""
    failed = {REASONS[outcome.group] for outcome in outcomes if not outcome.passed}
    return next((reason for reason in Reason if reason in failed), None)
