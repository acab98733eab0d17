"""One attempt at a batch of one table: the steps of the commit protocol, in their order.

Nothing here is undone by hand when it fails: what is not committed is still pending, and is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyiceberg.table import Table

from dms_assets.lake.archive import Shelf, archive_file
from dms_assets.lake.clearing import Clearing
from dms_assets.lake.data_files import Published, publish, withdraw
from dms_assets.lake.intake import Intake, Judged, Staged
from dms_assets.lake.landing import list_table
from dms_assets.lake.ledger import Event, LedgerRow, ledger_row
from dms_assets.lake.ledger_rebuild import batch_rows
from dms_assets.lake.load_intake import LoadFacts, LoadTaken, RowCounts, take_load
from dms_assets.lake.pending_file import PendingFile, in_landing
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.lake.quarantine import EntryState, entry_id
from dms_assets.lake.stores import LakeStores
from dms_assets.lake.table_outcome import Rejected, TableOutcome, Waiting
from dms_assets.lake.validated_table import (
    CommitConflictError,
    batch_id_of,
    check_evolution,
    commit_batch,
    expire_snapshots,
    open_table,
    read_base,
    total_rows,
)
from dms_assets.model.commit_plan import Base, CommitPlan, LandingPlan, new_batch_id, plan_commit, plan_landing
from dms_assets.model.failpoints import reach
from dms_assets.model.landed_file import FileIdentity, FileKind, LandedFile
from dms_assets.model.load import Load, Stream
from dms_assets.model.load_closing import LoadStuck, LoadWaiting, stream_of
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import Added, TableMetadata
from dms_assets.model.task_state import TableState
from dms_assets.validation.worker_process import ValidationWorker

MAX_FILES = 4000
"""Change files of one batch at most; the next batch takes the rest."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of the task at one instant: all streams, and the table's state (None if the task has none)."""

    streams: tuple[Stream, ...]
    state: TableState | None


@dataclass(frozen=True, slots=True)
class TableIntake:
    """One table to work on.

    `earlier` is the table's state as of a poll before this run; `observe` asks again, and is called after landing is
    listed: only then is it certain that no listed file is of a stream that began since. `one_snapshot` says that the
    task loads each table at one instant. `added` is what files of earlier metadata lack.
    """

    spec: SourceSpec
    metadata: TableMetadata
    earlier: TableState | None
    observe: Callable[[], Observation]
    one_snapshot: bool = False
    added: tuple[Added, ...] = ()


class BatchAttempt:
    """Raises CommitConflictError, ObjectNotFoundError or PreconditionFailedError where the world moved on."""

    def __init__(
        self,
        stores: LakeStores,
        table: TableIntake,
        worker: ValidationWorker,
        *,
        folder: Path,
        now: datetime,
        outcome: TableOutcome,
    ) -> None:
        self._stores = stores
        self._outcome = outcome
        self._spec = table.spec
        self._metadata = table.metadata
        self._intake = table
        self._worker = worker
        self._folder = folder
        self._now = now
        self._clearing = Clearing(stores, table.spec.name, table.spec.folder, now)
        self._counts = RowCounts(stores.scratch / "load-rows")

    def run(self, judged: dict[FileIdentity, Judged]) -> None:
        """Fill in the outcome; `judged` collects the verdicts of all attempts."""
        outcome = self._outcome
        name = self._metadata.name
        iceberg = open_table(self._stores.catalog, validated_identifier(self._spec.name, name), self._metadata)
        check_evolution(iceberg, self._metadata)
        base = read_base(iceberg)
        self._complete_ledger(iceberg, base)
        if base.loads:
            # Again: the run that committed the load may have died before it did.
            newest = max(base.loads, key=lambda load: load.started_at)
            self._clearing.settle_loads(name, newest.started_at, newest.load_id)
        pending = self._pending(base)
        plan = plan_landing(base, pending)
        reach("lake.after_listing")
        outcome.finished += self._clearing.remove([pending[identity] for identity in plan.done])
        outcome.waiting, outcome.stuck = [], None
        observation = self._intake.observe()
        files = [pending[identity] for identity in plan.new]
        intake = Intake(self._worker, self._folder, base.batch + 1)
        load = self._take_load(files, observation, base, intake)
        changes = self._take_changes(files, observation.streams, load, base, intake)
        judged.update({item.file.identity: item for item in (*load.staged.judged, *changes.judged)})
        reach("lake.after_validation")
        for item in (*load.staged.rejected, *changes.rejected):
            self._reject(item)
        accepted = [*(load.staged.accepted if load.load else []), *changes.accepted]
        if accepted or load.load:
            staged = Staged(accepted, [*(load.staged.outputs if load.load else []), *changes.outputs])
            self._commit(iceberg, base, plan, staged, load.load)
        outcome.superseded += self._clearing.supersede(load.superseded)
        outcome.held = self._clearing.quarantine.held(name)

    def _pending(self, base: Base) -> dict[FileIdentity, PendingFile]:
        """What is listed: landing without what is in quarantine already, and files to be replayed, in order of time.

        Entries of files that the table has are void: a worker with older metadata rejected what this one committed.
        """
        name = self._metadata.name
        committed = {entry_id(identity) for identity in base.committed}
        entries = {}
        for found_entry in self._clearing.quarantine.entries(name):
            if found_entry.holds and found_entry.entry_id in committed:
                self._clearing.quarantine.finish(found_entry, self._now)
            else:
                entries[found_entry.entry_id] = found_entry
        self._clearing.finish_decided(entries.values())
        found: list[PendingFile] = []
        for file in list_table(self._stores.landing, self._spec, name):
            pending = in_landing(file, self._stores.landing)
            entry = entries.get(entry_id(file.identity))
            if entry is None:
                found.append(pending)
            else:
                self._clearing.finish_rejected(pending, entry)
        for entry in entries.values():
            if entry.state is EntryState.REPLAY and entry.file is not None:
                # Its operator's process may have died between decision and ledger.
                self._clearing.note_replay(entry)
                landed = self._clearing.quarantine.landed_file(entry)
                store, copy = self._stores.quarantine, entry.file
                found.append(PendingFile(landed, store, copy.key, copy.etag, entry))
        found.sort(key=lambda file: (file.identity.last_modified, file.identity.key))
        return {file.identity: file for file in found}

    def _take_load(
        self,
        files: Sequence[PendingFile],
        observation: Observation,
        base: Base,
        intake: Intake,
    ) -> LoadTaken:
        loads = [file for file in files if file.landed.parsed.kind is FileKind.LOAD]
        facts = self._load_facts(observation, base)
        if facts is None:
            taken = LoadTaken(LoadWaiting("DMS has said nothing of the table's load yet"))
        else:
            taken = take_load(loads, facts, intake, self._worker, self._counts)
        decision = taken.decision
        if isinstance(decision, LoadStuck):
            self._outcome.stuck = decision
        elif isinstance(decision, LoadWaiting) and (loads or not base.loads):
            self._outcome.waiting.append(Waiting(f"load: {decision.reason}", len(loads)))
        return taken

    def _load_facts(self, observation: Observation, base: Base) -> LoadFacts | None:
        earlier, later = self._intake.earlier, observation.state
        if earlier is None or later is None or not observation.streams:
            return None
        return LoadFacts(
            table=self._metadata.name,
            stream=max(observation.streams, key=lambda stream: stream.fresh_start),
            earlier=earlier,
            later=later,
            loads=base.loads,
            quarantined=self._quarantined_loads(),
            now=self._now,
            stuck_after_s=self._spec.dms.stuck_load_after_s,
            clock_skew_s=self._spec.dms.clock_skew_s,
            one_snapshot=self._intake.one_snapshot,
            keyed=bool(self._metadata.key),
        )

    def _quarantined_loads(self) -> list[LandedFile]:
        quarantine = self._clearing.quarantine
        entries = [e for e in quarantine.entries(self._metadata.name) if e.state is EntryState.OPEN]
        found = [quarantine.landed_file(entry) for entry in entries]
        return [file for file in found if file.parsed.kind is FileKind.LOAD]

    def _take_changes(
        self,
        files: Sequence[PendingFile],
        streams: Sequence[Stream],
        load: LoadTaken,
        base: Base,
        intake: Intake,
    ) -> Staged:
        changes = [file for file in files if file.landed.parsed.kind is FileKind.CDC]
        if changes and not base.loads and load.load is None:
            self._outcome.waiting.append(Waiting("changes wait for the table's first load", len(changes)))
            return Staged()
        placed: list[tuple[PendingFile, int]] = []
        strays = 0
        for file in changes:
            stream = stream_of(file.landed, streams)
            if stream is None:
                strays += 1
            else:
                placed.append((file, stream.ordinal))
        if strays:
            told = "older than every known stream of the task, so that nothing tells their place: move them away"
            self._outcome.waiting.append(Waiting(told, strays))
        if len(placed) > MAX_FILES:
            self._outcome.waiting.append(Waiting("for the next batch", len(placed) - MAX_FILES))
        return intake.take(placed[:MAX_FILES])

    def _reject(self, item: Judged) -> None:
        if item.verdict.reason is None:
            raise ValueError(f"{item.file.identity.key} was accepted and cannot be rejected")
        entry = self._clearing.reject(item.file, item.verdict, item.verdict.reason, self._metadata.version)
        self._outcome.rejected.append(Rejected(entry.entry_id, item.file.identity.key, item.verdict.reason))

    def _commit(
        self,
        iceberg: Table,
        base: Base,
        landing: LandingPlan,
        staged: Staged,
        load: Load | None,
    ) -> None:
        name = self._metadata.name
        files = [item.file for item in staged.judged]
        loads = [load] if load else []
        plan = plan_commit(base, landing, [file.identity for file in files], loads, batch_id=new_batch_id())
        rows = [self._archived(item, load) for item in staged.judged]
        self._clearing.ledger.announce(name, plan.batch_id, rows)
        reach("lake.after_announcement")
        published = publish(iceberg, staged.outputs)
        reach("lake.before_commit")
        try:
            _must_be_fresh(published)
            snapshot_id = commit_batch(self._stores.catalog, iceberg, plan, published.uris, self._metadata)
        except CommitConflictError:
            withdraw(iceberg, published)
            self._clearing.ledger.withdraw(name, plan.batch_id)
            raise
        reach("lake.after_commit")
        _tell(self._outcome, plan, staged, snapshot_id)
        self._outcome.loads = (load,) if load else ()
        self._outcome.total_rows = total_rows(iceberg)
        self._clearing.ledger.record_batch(name, plan.batch, plan.batch_id, snapshot_id)
        reach("lake.after_ledger")
        self._clearing.remove(files)
        for file in files:
            self._counts.forget(file.identity)
        reach("lake.before_settling")
        if load is not None:
            self._clearing.settle_loads(name, load.started_at, load.load_id)
        reach("lake.before_expiry")
        expire_snapshots(iceberg)

    def _archived(self, item: Judged, load: Load | None) -> LedgerRow:
        """Archive the original of an accepted file; what the ledger will say of it."""
        reach("lake.between_archive_copies")
        file = item.file
        key = archive_file(self._stores.archive, self._spec.name, file, Shelf.ACCEPTED)
        return ledger_row(
            self._spec.name,
            file.landed,
            Event.ACCEPTED,
            self._now.isoformat(),
            rows=item.verdict.rows,
            stream=item.stream,
            load_id=load.load_id if load and file.landed.parsed.kind is FileKind.LOAD else None,
            metadata_version=self._metadata.version,
            archive_key=key,
            quarantine_id=file.entry.entry_id if file.entry else None,
        )

    def _complete_ledger(self, iceberg: Table, base: Base) -> None:
        """Write the rows of the base's batch if the process that committed it did not live to."""
        name, ledger = self._metadata.name, self._clearing.ledger
        batch_id = batch_id_of(iceberg)
        if base.snapshot_id is None or batch_id is None or ledger.has_batch(name, base.batch):
            return
        if not ledger.record_batch(name, base.batch, batch_id, base.snapshot_id):
            ledger.write_batch(name, base.batch, batch_rows(iceberg, self._spec, name, base, self._now))


def _must_be_fresh(published: Published) -> None:
    if published.too_old:
        raise CommitConflictError(
            f"the process slept between data files and commit, since {published.since.isoformat()}"
        )


def _tell(outcome: TableOutcome, plan: CommitPlan, staged: Staged, snapshot_id: int) -> None:
    outcome.batch, outcome.batch_id, outcome.snapshot_id = plan.batch, plan.batch_id, snapshot_id
    outcome.files = len(staged.judged)
    outcome.rows = sum(item.verdict.rows for item in staged.judged)
    outcome.data_files = len(staged.outputs)
    outcome.steps_back = sum(item.verdict.steps_back for item in staged.judged)
    outcome.ops = {}
    for item in staged.judged:
        for op, count in item.verdict.ops.items():
            outcome.ops[op] = outcome.ops.get(op, 0) + count
