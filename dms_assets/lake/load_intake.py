"""The full load of a table: its files are taken when it is complete, all at once, or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from dms_assets.lake.intake import Intake, Judged, LoadStamp, Staged
from dms_assets.lake.pending_file import PendingFile
from dms_assets.model.landed_file import FileIdentity, LandedFile
from dms_assets.model.load import Load, Stream, boundary, load_id
from dms_assets.model.load_closing import (
    LoadCommitted,
    LoadComplete,
    LoadDecision,
    LoadFile,
    LoadStuck,
    LoadWaiting,
    decide_load,
    older_than,
)
from dms_assets.model.names import TableName
from dms_assets.model.task_state import TableState
from dms_assets.validation.messages import Duplicate
from dms_assets.validation.outcome import CheckOutcome, FileVerdict, Group, Reason
from dms_assets.validation.worker_process import ValidationWorker


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """All that the decision on a load rests on, beside its files."""

    table: TableName
    stream: Stream
    earlier: TableState
    later: TableState
    loads: Sequence[Load]
    quarantined: Sequence[LandedFile]
    """LOAD files of the table in quarantine, open or waiting for their replay to be judged again."""
    now: datetime
    stuck_after_s: float
    clock_skew_s: float
    one_snapshot: bool
    keyed: bool

    def decide(self, files: Sequence[LoadFile]) -> LoadDecision:
        """See `decide_load`."""
        return decide_load(
            self.stream,
            earlier=self.earlier,
            later=self.later,
            files=files,
            committed=self.committed,
            now=self.now,
            stuck_after_s=self.stuck_after_s,
        )

    @property
    def committed(self) -> Collection[str]:
        """Ids of the loads in the table."""
        return {load.load_id for load in self.loads}


@dataclass(frozen=True, slots=True)
class LoadTaken:
    """What became of the LOAD files: `load` is set, with its rows in `staged`, if the load is complete."""

    decision: LoadDecision
    load: Load | None = None
    staged: Staged = field(default_factory=Staged)
    superseded: tuple[PendingFile, ...] = ()


class RowCounts:
    """Rows of LOAD files that were judged before their load was complete: a cache, in a local folder.

    Without it nothing is lost but time: files of a load that does not become complete would be read at every poll.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, file: FileIdentity) -> int | None:
        """The rows of a file, or None if it was not judged here."""
        try:
            return int(self._path(file).read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def put(self, file: FileIdentity, rows: int) -> None:
        """Remember the rows of a file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(file).write_text(str(rows), encoding="ascii")

    def forget(self, file: FileIdentity) -> None:
        """The file is committed, or gone."""
        self._path(file).unlink(missing_ok=True)

    def _path(self, file: FileIdentity) -> Path:
        text = json.dumps([file.key, file.etag, file.last_modified])
        return self._folder / hashlib.sha256(text.encode()).hexdigest()


def take_load(
    files: Sequence[PendingFile], facts: LoadFacts, intake: Intake, worker: ValidationWorker, counts: RowCounts
) -> LoadTaken:
    """Decide on the load that DMS describes; if it may be complete, judge its files, and decide again.

    Raises as `Intake.take` does.
    """
    by_identity = {file.identity: file for file in files}
    decision = facts.decide(_hopeful(files, facts, counts))
    if not isinstance(decision, LoadComplete):
        return _not_taken(decision, by_identity, facts)
    blocking = [file for file in facts.quarantined if not older_than(file, decision.started_at)]
    if blocking:
        return LoadTaken(_stuck_in_quarantine(decision.load_id, blocking))
    members = [by_identity[file.identity] for file in decision.files]
    at, seq = boundary(
        facts.stream, decision.started_at, began_stream=_began_stream(facts), clock_skew_s=facts.clock_skew_s
    )
    staged = intake.take([(file, facts.stream.ordinal) for file in members], LoadStamp(decision.load_id, at))
    for item in staged.accepted:
        counts.put(item.file.identity, item.verdict.rows)
    if facts.keyed and staged.judged and not staged.rejected:
        staged = _with_uniqueness(staged, worker.duplicates(staged.outputs) if staged.outputs else [])
    if staged.rejected:
        broken = [item.file.landed for item in staged.rejected]
        return LoadTaken(_stuck_in_quarantine(decision.load_id, broken), staged=Staged(staged.judged, []))
    judged = [LoadFile(item.file.landed, item.verdict.rows) for item in staged.accepted]
    decision = facts.decide([*judged, *(LoadFile(file, 0) for file in decision.superseded)])
    if not isinstance(decision, LoadComplete):
        return LoadTaken(decision, staged=Staged(staged.judged, []))
    load = Load(
        load_id=decision.load_id,
        table=facts.table,
        stream=facts.stream.ordinal,
        boundary_at=at,
        boundary_seq=seq,
        started_at=decision.started_at,
        ended_at=decision.ended_at,
        one_snapshot=facts.one_snapshot,
        rows=decision.rows,
        files=len(decision.files),
    )
    superseded = tuple(by_identity[file.identity] for file in decision.superseded)
    return LoadTaken(decision, load, staged, superseded)


def _hopeful(files: Sequence[PendingFile], facts: LoadFacts, counts: RowCounts) -> list[LoadFile]:
    """Files with their rows where known; the first unknown one is given what is missing to DMS's count."""
    started = facts.later.load_started
    known: list[LoadFile] = []
    unknown: list[LandedFile] = []
    for file in files:
        member = started is not None and not older_than(file.landed, started)
        rows = counts.get(file.identity) if member else 0
        if rows is None:
            unknown.append(file.landed)
        else:
            known.append(LoadFile(file.landed, rows))
    missing = facts.later.load_rows - sum(item.rows for item in known)
    return [*known, *(LoadFile(file, missing if index == 0 else 0) for index, file in enumerate(unknown))]


def _not_taken(decision: LoadDecision, files: dict[FileIdentity, PendingFile], facts: LoadFacts) -> LoadTaken:
    started = facts.later.load_started
    if isinstance(decision, LoadCommitted):
        return LoadTaken(decision, superseded=tuple(files[file.identity] for file in decision.superseded))
    if isinstance(decision, LoadWaiting) and started is not None:
        blocking = [file for file in facts.quarantined if not older_than(file, started)]
        if blocking and load_id(facts.stream.ordinal, started) not in facts.committed:
            return LoadTaken(_stuck_in_quarantine(load_id(facts.stream.ordinal, started), blocking))
    return LoadTaken(decision)


def _began_stream(facts: LoadFacts) -> bool:
    """Whether this load is what its stream began with, rather than a reload inside it."""
    return not facts.later.reloaded and all(load.stream != facts.stream.ordinal for load in facts.loads)


def _stuck_in_quarantine(name: str, files: Sequence[LandedFile]) -> LoadStuck:
    keys = ", ".join(file.identity.key for file in files[:3])
    return LoadStuck(
        f"load {name} cannot become complete: {len(files)} of its files are in quarantine ({keys})",
        "see `dms-assets quarantine list`; replay the file once it is right, or reload the table",
    )


def _with_uniqueness(staged: Staged, found: Sequence[Duplicate]) -> Staged:
    """The same, judged by uniqueness too: files that repeat a key of the load are rejected, and no row stays."""
    repeated: dict[str, list[Duplicate]] = {}
    for row in found:
        repeated.setdefault(row.file, []).append(row)
    judged = [_judged_again(item, repeated.get(item.file.identity.key, [])) for item in staged.judged]
    return Staged(judged, [] if found else staged.outputs)


def _judged_again(item: Judged, found: Sequence[Duplicate]) -> Judged:
    outcome = CheckOutcome(
        group=Group.UNIQUE,
        passed=not found,
        expected="every key once in a load",
        found=f"{len(found)} rows or more whose key is in the load before" if found else "every key once",
        failing=len(found),
        rows=tuple(row.row for row in found),
        key_hashes=tuple(row.key_hash for row in found),
    )
    reason = Reason.DUPLICATE_KEY if found else item.verdict.reason
    verdict: FileVerdict = replace(item.verdict, reason=reason, outcomes=(*item.verdict.outcomes, outcome))
    return replace(item, verdict=verdict)
