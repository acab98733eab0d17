"""Quarantine: rejected files, why they were rejected, and what operators decided.

An entry is a folder, `<source>/tables/<schema>/<table>/<id>/` (`<source>/unknown/<id>/` for objects of no table):

- `file`: the rejected object, byte for byte
- `report-0001.json`: identity, reason and check outcomes; `report-0001.txt`: the same, to read
- `decision-0001.json`: replay or discard; who, when and why
- `done.json`: the decision is carried out

The id is made of the file's identity. Objects are only ever added, so the state of an entry follows from their names:
as many decisions as reports is decided, one report more is open. A replayed file is judged again straight
from here, under its original identity and time: it keeps its place in the log and its stream, and landing may
meanwhile hold another file under the same key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dms_assets.lake.object_store import ObjectMeta, ObjectStore, PreconditionFailedError
from dms_assets.model.document_format import dump, load
from dms_assets.model.failpoints import reach
from dms_assets.model.landed_file import FileIdentity, FileKind, LandedFile, parse_key
from dms_assets.model.names import TableName
from dms_assets.validation.outcome import CheckOutcome, Reason

_NAME = re.compile(r"report-(\d{4})\.json|decision-(\d{4})\.json|(file)|(done)\.json")
FORMAT = 1
DECISION_FORMAT = 1
"""Of decisions, and of marks that they are carried out."""


class EntryState(StrEnum):
    """Where an entry is: OPEN and REPLAY hold its table."""

    OPEN = "open"
    REPLAY = "replay"
    DISCARD = "discard"
    DONE = "done"


class QuarantineError(Exception):
    """A request about an entry that cannot be met; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """Why a file is in quarantine. Only counts, ordinals and hashes: no value of a row."""

    identity: FileIdentity
    size: int
    folder: str
    table: TableName | None
    kind: FileKind | None
    reason: Reason
    outcomes: tuple[CheckOutcome, ...]
    at: datetime
    metadata_version: str | None
    rows: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "format": FORMAT,
            "key": self.identity.key,
            "etag": self.identity.etag,
            "last_modified": self.identity.last_modified,
            "size": self.size,
            "folder": self.folder,
            "table": str(self.table) if self.table else None,
            "kind": self.kind.value if self.kind else None,
            "reason": self.reason.value,
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "at": self.at.isoformat(),
            "metadata_version": self.metadata_version,
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """The report that `to_json` wrote. Raises ValueError for another format."""
        if data.get("format") != FORMAT:
            raise ValueError(f"quarantine report of format {data.get('format')!r}; this release reads format {FORMAT}")
        return cls(
            identity=FileIdentity(data["key"], data["etag"], data["last_modified"]),
            size=data["size"],
            folder=data["folder"],
            table=TableName.parse(data["table"]) if data["table"] else None,
            kind=FileKind(data["kind"]) if data["kind"] else None,
            reason=Reason(data["reason"]),
            outcomes=tuple(CheckOutcome.from_json(outcome) for outcome in data["outcomes"]),
            at=datetime.fromisoformat(data["at"]),
            metadata_version=data["metadata_version"],
            rows=data["rows"],
        )

    def text(self) -> str:
        """The report for people."""
        lines = [
            f"{self.identity.key!a} ({self.size} bytes, written {self.identity.last_modified})",
            f"rejected {self.at.isoformat()} because of: {self.reason}",
        ]
        for outcome in self.outcomes:
            if outcome.passed:
                continue
            lines.append(f"  {outcome.group}: expected {outcome.expected}; found {outcome.found}")
            if outcome.rows:
                lines.append(
                    f"    rows {', '.join(map(str, outcome.rows))} (from 0); keys {', '.join(outcome.key_hashes)}"
                )
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file in quarantine, as the names of its objects say. `file` is its copy here, None once it is done."""

    entry_id: str
    prefix: str
    table: TableName | None
    state: EntryState
    reports: int
    file: ObjectMeta | None

    @property
    def holds(self) -> bool:
        """Whether the table waits for it."""
        return self.table is not None and self.state in {EntryState.OPEN, EntryState.REPLAY}


def entry_id(identity: FileIdentity) -> str:
    """Sixteen hexadecimal digits for one delivery of a file."""
    text = json.dumps([identity.key, identity.etag, identity.last_modified])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Quarantine:
    """The quarantine of one source. Safe for several processes and operators at once."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self._store = store
        self._source = source

    @property
    def store(self) -> ObjectStore:
        """Where the files are."""
        return self._store

    @property
    def source(self) -> str:
        """The name of the source."""
        return self._source

    def entries(self, table: TableName | None = None) -> list[Entry]:
        """All entries, or those of one table, in order of their ids."""
        prefix = self._folder(table) if table else f"{self._source}/"
        objects: defaultdict[str, list[ObjectMeta]] = defaultdict(list)
        for meta in self._store.list(prefix):
            folder, _, name = meta.key.rpartition("/")
            if _NAME.fullmatch(name):
                objects[folder].append(meta)
        found = (self._entry(folder, metas) for folder, metas in objects.items())
        return sorted((entry for entry in found if entry), key=lambda entry: entry.entry_id)

    def entry(self, wanted: str) -> Entry:
        """The entry of an id. Raises QuarantineError if there is none."""
        for entry in self.entries():
            if entry.entry_id == wanted:
                return entry
        raise QuarantineError(
            f"source {self._source} has nothing called '{wanted}' in quarantine; see `quarantine list`"
        )

    def held_tables(self) -> dict[TableName, tuple[str, ...]]:
        """Tables with files that nobody decided on, or whose replay is not done: table -> ids."""
        held: defaultdict[TableName, list[str]] = defaultdict(list)
        for entry in self.entries():
            if entry.holds and entry.table is not None:
                held[entry.table].append(entry.entry_id)
        return {name: tuple(ids) for name, ids in held.items()}

    def held(self, table: TableName) -> tuple[str, ...]:
        """The ids of a table's entries that hold it."""
        return tuple(entry.entry_id for entry in self.entries(table) if entry.holds)

    def replays(self, table: TableName) -> list[Entry]:
        """Entries of a table that an operator asked to be judged again."""
        return [entry for entry in self.entries(table) if entry.state is EntryState.REPLAY]

    def report(self, entry: Entry) -> Report:
        """The newest report of an entry."""
        return self._report(entry, entry.reports)

    def reports(self, entry: Entry) -> list[Report]:
        """All reports of an entry, oldest first."""
        return [self._report(entry, number) for number in range(1, entry.reports + 1)]

    def decisions(self, entry: Entry) -> Iterator[dict[str, Any]]:
        """What operators decided on an entry, oldest first."""
        keys = sorted(meta.key for meta in self._store.list(f"{entry.prefix}/decision-"))
        for key in keys:
            yield self._decision(key)

    def put(self, report: Report, origin: ObjectStore, key: str, etag: str) -> Entry:
        """Take in a rejected file: its bytes first, then the report that makes it an entry. Repeating it is harmless.

        Raises ObjectNotFoundError or PreconditionFailedError if the file is not there any more.
        """
        wanted = entry_id(report.identity)
        folder = self._folder(report.table) if report.table else f"{self._source}/unknown/"
        prefix = f"{folder}{wanted}"
        if key != f"{prefix}/file":
            origin.copy_to(key, self._store, f"{prefix}/file", if_match=etag)
        reach("lake.after_quarantine_copy")
        known = self._read_entry(prefix)
        number = 1 if known is None else known.reports + (1 if known.state is EntryState.REPLAY else 0)
        self._store.put(f"{prefix}/report-{number:04d}.txt", report.text().encode())
        reach("lake.after_quarantine_text")
        self._store.put(f"{prefix}/report-{number:04d}.json", json.dumps(report.to_json(), indent=1).encode())
        reach("lake.after_quarantine_report")
        return self._known(prefix)

    def decide(self, entry: Entry, action: EntryState, reason: str, by: str, now: datetime) -> Entry:
        """Write down an operator's decision, REPLAY or DISCARD.

        Raises QuarantineError if the reason is empty, or the entry is not open (any more).
        """
        if not reason.strip():
            raise QuarantineError("a decision needs a reason; give one with --reason")
        if action is EntryState.REPLAY and entry.table is None:
            raise QuarantineError(
                f"{entry.entry_id} is no file of a declared table; declare the table, or discard the file"
            )
        if entry.state is not EntryState.OPEN:
            raise QuarantineError(f"{entry.entry_id} is not open but '{entry.state}': it was decided on before")
        decision = {"action": action.value, "reason": reason, "by": by, "at": now.isoformat()}
        body = dump(decision, DECISION_FORMAT).encode()
        try:
            self._store.put(f"{entry.prefix}/decision-{entry.reports:04d}.json", body, if_absent=True)
        except PreconditionFailedError as error:
            raise QuarantineError(
                f"{entry.entry_id} was decided on by somebody else just now; see `quarantine show`"
            ) from error
        reach("lake.after_decision")
        return self._known(entry.prefix)

    def finish(self, entry: Entry, now: datetime) -> None:
        """The decision is carried out: the copy here goes. Repeatable."""
        self._store.put(f"{entry.prefix}/done.json", dump({"at": now.isoformat()}, DECISION_FORMAT).encode())
        reach("lake.after_done_mark")
        if entry.file is not None:
            self._store.delete(entry.file.key, if_match=entry.file.etag)

    def landed_file(self, entry: Entry) -> LandedFile:
        """The entry's file, under its original identity. Raises QuarantineError for one of no table."""
        report = self.report(entry)
        parsed = parse_key(report.identity.key, report.folder)
        if parsed is None or entry.table is None:
            raise QuarantineError(f"{entry.entry_id} is no file of a table")
        return LandedFile(report.identity, report.size, parsed)

    def _report(self, entry: Entry, number: int) -> Report:
        body, _ = self._store.get(f"{entry.prefix}/report-{number:04d}.json")
        return Report.from_json(json.loads(body))

    def _decision(self, key: str) -> dict[str, Any]:
        body, _ = self._store.get(key)
        return load(body, DECISION_FORMAT, f"the quarantine's {key}")

    def _folder(self, table: TableName) -> str:
        return f"{self._source}/tables/{table.schema}/{table.table}/"

    def _known(self, prefix: str) -> Entry:
        entry = self._read_entry(prefix)
        if entry is None:
            raise QuarantineError(f"{prefix} was removed from {self._store.uri} by hand")
        return entry

    def _read_entry(self, prefix: str) -> Entry | None:
        return self._entry(prefix, self._store.list(f"{prefix}/"))

    def _entry(self, folder: str, objects: Iterable[ObjectMeta]) -> Entry | None:
        reports, decisions, file, done = 0, 0, None, False
        for meta in objects:
            match = _NAME.fullmatch(meta.key.rpartition("/")[2])
            if match is None:
                continue
            reports = max(reports, int(match[1] or 0))
            decisions = max(decisions, int(match[2] or 0))
            file = meta if match[3] else file
            done = done or bool(match[4])
        if reports == 0:
            return None
        state = EntryState.OPEN
        if done:
            state = EntryState.DONE
        elif decisions >= reports:
            state = EntryState(self._decision(f"{folder}/decision-{decisions:04d}.json")["action"])
        parts = folder.split("/")
        table = TableName(parts[-3], parts[-2]) if parts[-4:-3] == ["tables"] else None
        return Entry(parts[-1], folder, table, state, reports, file)
