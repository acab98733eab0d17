"""Quarantined files grouped by cause: one thing to understand and to remedy, however many files it stopped.

A cause is (table, reason, rule, column). A file that breaks several rules has a part in several causes. Only counts,
ordinals and hashes, as in the reports they are made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dms_assets.lake.quarantine import Entry, EntryState, Quarantine, Report
from dms_assets.model.names import TableName
from dms_assets.validation.outcome import REASONS, BrokenRule, Reason

OPEN_STATES = frozenset({EntryState.OPEN, EntryState.REPLAY})
"""States of entries that nobody has done with: the ones that hold a table."""

_REPLAY = "then `dms-assets quarantine replay ID --reason ...`"
_REMEDIES: dict[Reason, str] = {
    Reason.UNKNOWN_KEY: "DMS writes no such name: find out who wrote it to landing, then discard it",
    Reason.UNKNOWN_TABLE: "declare the table in defs.yaml and reload it, then discard the file",
    Reason.UNREADABLE: "the file is damaged: have it written again (reload the table), then discard this one",
    Reason.RESOURCE_LIMIT: "look at the file by hand in a safe place; raise the limits and replay it, or discard it",
    Reason.SCHEMA: f"materialise the metadata asset of the table, so that it says what the source is now, {_REPLAY}",
    Reason.OP: "no DMS task writes this: find out who wrote the file, then discard it and reload the table",
    Reason.SEQUENCE: "see the added columns of the task's mapping and the names below `dms` in defs.yaml, " + _REPLAY,
    Reason.ORDER: "the task does not keep the order that defs.yaml says it keeps: correct `ordered_files`, " + _REPLAY,
    Reason.KEY: "see the key and the replica identity of the table in the source; reload the table, then discard it",
    Reason.NULLABILITY: "materialise the metadata asset of the table (the source may allow nulls by now), " + _REPLAY,
    Reason.LENGTH: f"materialise the metadata asset of the table (the column may be longer by now), {_REPLAY}",
    Reason.PRECISION: "materialise the metadata asset of the table (the number may be wider by now), " + _REPLAY,
    Reason.DOMAIN: f"materialise the metadata asset of the table (the source may allow more values by now), {_REPLAY}",
    Reason.DECLARED: f"correct the check in defs.yaml, or the rows in the source, {_REPLAY}",
    Reason.DUPLICATE_KEY: "reload the table, then discard this file: its load has a key twice",
}


@dataclass(frozen=True, slots=True)
class CauseFile:
    """One quarantined file's part in a cause. `key` is its landing key: untrusted text, to be escaped."""

    entry_id: str
    key: str
    state: EntryState
    first_seen: datetime
    last_seen: datetime
    failing: int
    found: str
    rows: tuple[int, ...]
    key_hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why files are in quarantine. `files` are in order of last_seen, newest first; there is at least one.

    `rule` is a stable name, `column` '' where the rule is on the whole file, `table` None for files of no table.
    """

    table: TableName | None
    reason: Reason
    rule: str
    column: str
    expected: str
    remedy: str
    files: tuple[CauseFile, ...]

    @property
    def cause_id(self) -> str:
        """Twelve hexadecimal digits, the same for the same cause in every process and at any time."""
        text = json.dumps([str(self.table) if self.table else None, self.reason.value, self.rule, self.column])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def first_seen(self) -> datetime:
        """When the first of its files was rejected."""
        return min(file.first_seen for file in self.files)

    @property
    def last_seen(self) -> datetime:
        """When one of its files was rejected last."""
        return max(file.last_seen for file in self.files)

    @property
    def failing(self) -> int:
        """Rows (columns, for `schema`) that fail, over all files."""
        return sum(file.failing for file in self.files)

    @property
    def open_files(self) -> int:
        """Files that nobody is done with."""
        return sum(file.state in OPEN_STATES for file in self.files)

    @property
    def title(self) -> str:
        """One line: what is wrong, of what."""
        column = f" of column {self.column}" if self.column else ""
        return f"{self.table or 'files of no table'}: {self.reason} ({self.rule}{column})"

    def to_json(self) -> dict[str, Any]:
        """A JSON object, for pages and commands."""
        files = [
            {**asdict(file), "first_seen": file.first_seen.isoformat(), "last_seen": file.last_seen.isoformat()}
            for file in self.files
        ]
        return {
            "cause_id": self.cause_id,
            "title": self.title,
            "table": str(self.table) if self.table else None,
            "reason": self.reason.value,
            "rule": self.rule,
            "column": self.column,
            "expected": self.expected,
            "remedy": self.remedy,
            "first_seen": self.first_seen.isoformat(),
            "last_seen": self.last_seen.isoformat(),
            "failing": self.failing,
            "open_files": self.open_files,
            "files": files,
        }


def group_causes(entries: Iterable[tuple[Entry, Report, datetime]]) -> list[Cause]:
    """Entries with their newest report and the time of their first: the causes, those with open files first.

    Then the one that was seen last comes first.
    """
    files: dict[tuple[str, Reason, str, str], list[CauseFile]] = {}
    facts: dict[tuple[str, Reason, str, str], tuple[TableName | None, str, datetime]] = {}
    for entry, report, first_seen in entries:
        for reason, broken in _broken(report):
            key = (str(report.table), reason, broken.rule, broken.column)
            files.setdefault(key, []).append(
                CauseFile(
                    entry_id=entry.entry_id,
                    key=report.identity.key,
                    state=entry.state,
                    first_seen=first_seen,
                    last_seen=report.at,
                    failing=broken.failing,
                    found=broken.found,
                    rows=broken.rows,
                    key_hashes=broken.key_hashes,
                )
            )
            if key not in facts or facts[key][2] <= report.at:
                facts[key] = (report.table, broken.expected, report.at)
    causes = [
        Cause(
            table=facts[key][0],
            reason=key[1],
            rule=key[2],
            column=key[3],
            expected=facts[key][1],
            remedy=remedy_of(key[1]),
            files=tuple(sorted(found, key=lambda file: (file.last_seen, file.entry_id), reverse=True)),
        )
        for key, found in files.items()
    ]
    return sorted(causes, key=lambda cause: (cause.open_files > 0, cause.last_seen, cause.cause_id), reverse=True)


def read_causes(
    quarantine: Quarantine,
    table: TableName | None = None,
    states: Collection[EntryState] = OPEN_STATES,
) -> list[Cause]:
    """The causes of what is in quarantine, of a source or of one table. Reads every report of these entries."""
    found = []
    for entry in quarantine.entries(table):
        if entry.state in states:
            reports = quarantine.reports(entry)
            found.append((entry, reports[-1], reports[0].at))
    return group_causes(found)


def remedy_of(reason: Reason) -> str:
    """What to do about a file that was rejected for a reason."""
    return _REMEDIES[reason]


def _broken(report: Report) -> Iterator[tuple[Reason, BrokenRule]]:
    """Every rule that a report tells of, with the reason it belongs to; one at least."""
    failed = [outcome for outcome in report.outcomes if not outcome.passed]
    for outcome in failed:
        # Of a group's two reasons (unreadable, resource limit) the report says which.
        reason = report.reason if len(failed) == 1 else REASONS[outcome.group]
        for rule in outcome.failures:
            yield reason, rule
    if not failed:
        yield report.reason, BrokenRule(report.reason.value, "", "", "")
