"""What is left to do for files whose fate is sealed: out of landing, out of quarantine, into archive and ledger.

Everything here may be repeated, and may find its work done by somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from dms_assets.lake.archive import Shelf, archive_file
from dms_assets.lake.ledger import Event, Ledger, LedgerRow, ledger_row, stranger_row
from dms_assets.lake.object_store import ObjectMeta, ObjectNotFoundError, PreconditionFailedError
from dms_assets.lake.pending_file import PendingFile
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine, QuarantineError, Report
from dms_assets.lake.stores import LakeStores
from dms_assets.model.failpoints import reach
from dms_assets.model.landed_file import FileKind
from dms_assets.model.load_closing import older_than
from dms_assets.model.names import TableName
from dms_assets.validation.outcome import FileVerdict, Reason


class Clearing:
    """Clears away files of one source."""

    def __init__(self, stores: LakeStores, source: str, folder: str, now: datetime) -> None:
        self._stores = stores
        self._source = source
        self._folder = folder
        self._now = now
        self.ledger = Ledger(stores.ledger, source)
        self.quarantine = Quarantine(stores.quarantine, source)

    def remove(self, files: Iterable[PendingFile]) -> int:
        """Take committed files out of where they waited; how many."""
        count = 0
        for file in files:
            reach("lake.between_deletes")
            if file.entry is not None:
                self.quarantine.finish(file.entry, self._now)
            else:
                self._delete(file)
            count += 1
        return count

    def supersede(self, files: Iterable[PendingFile]) -> int:
        """Archive files of loads that newer ones replaced, and take them out; how many."""
        count = 0
        for file in files:
            key = archive_file(self._stores.archive, self._source, file, Shelf.SUPERSEDED)
            reach("lake.after_superseded_copy")
            at = self._now.isoformat()
            self.ledger.record_event(ledger_row(self._source, file.landed, Event.SUPERSEDED, at, archive_key=key))
            reach("lake.after_superseded_event")
            self.remove([file])
            count += 1
        return count

    def reject(self, file: PendingFile, verdict: FileVerdict, reason: Reason, metadata_version: str) -> Entry:
        """Put a rejected file into quarantine, with its report, and take it out of landing."""
        report = Report(
            identity=file.identity,
            size=file.landed.size,
            folder=self._folder,
            table=file.landed.parsed.table,
            kind=file.landed.parsed.kind,
            reason=reason,
            outcomes=verdict.outcomes,
            at=self._now,
            metadata_version=metadata_version,
            rows=verdict.rows,
        )
        entry = self.quarantine.put(report, file.store, file.key, file.etag)
        self.note_rejected(file, entry)
        reach("lake.after_rejection_event")
        if file.entry is None:
            self._delete(file)
        return entry

    def note_rejected(self, file: PendingFile, entry: Entry) -> None:
        """The ledger's row for a file in quarantine."""
        report = self.quarantine.report(entry)
        row = ledger_row(
            self._source,
            file.landed,
            Event.QUARANTINED,
            report.at.isoformat(),
            rows=report.rows,
            metadata_version=report.metadata_version,
            quarantine_id=entry.entry_id,
            reason=report.reason.value,
        )
        self.ledger.record_event(row, entry.reports)

    def note_replay(self, entry: Entry) -> None:
        """The ledger's row for a replay that an operator asked for; written again by the run that carries it out."""
        decision = list(self.quarantine.decisions(entry))[-1]
        row = ledger_row(
            self._source,
            self.quarantine.landed_file(entry),
            Event.REPLAYED,
            decision["at"],
            quarantine_id=entry.entry_id,
            reason=decision["reason"],
            by=decision["by"],
        )
        self.ledger.record_event(row, entry.reports)

    def discard(self, entry: Entry) -> None:
        """Carry out an operator's discard: to the archive, into the ledger, out of quarantine."""
        reach("lake.after_discard_decision")
        if entry.file is not None:
            try:
                row = self._discarded(entry, entry.file)
                reach("lake.after_discard_copy")
                self.ledger.record_event(row)
            except ObjectNotFoundError:
                # Somebody else carries it out at the same time, and is further on.
                return
        reach("lake.after_discard_event")
        self.quarantine.finish(entry, self._now)

    def _discarded(self, entry: Entry, copy: ObjectMeta) -> LedgerRow:
        """Archive a discarded file; what the ledger will say of it."""
        decision = list(self.quarantine.decisions(entry))[-1]
        facts = {"quarantine_id": entry.entry_id, "reason": decision["reason"], "by": decision["by"]}
        store, archive = self._stores.quarantine, self._stores.archive
        if entry.table is None:
            report = self.quarantine.report(entry)
            key = f"{self._source}/unknown/{Shelf.DISCARDED}/{entry.entry_id}"
            store.copy_to(copy.key, archive, key, if_match=copy.etag)
            return stranger_row(
                self._source, report.identity, report.size, Event.DISCARDED, decision["at"], archive_key=key, **facts
            )
        file = PendingFile(self.quarantine.landed_file(entry), store, copy.key, copy.etag)
        key = archive_file(archive, self._source, file, Shelf.DISCARDED)
        return ledger_row(self._source, file.landed, Event.DISCARDED, decision["at"], archive_key=key, **facts)

    def finish_decided(self, entries: Iterable[Entry]) -> None:
        """Carry out discards that a killed process left decided, and remove copies that it left in done entries."""
        for entry in entries:
            if entry.state is EntryState.DISCARD:
                self.discard(entry)
            elif entry.state is EntryState.DONE and entry.file is not None:
                self.quarantine.finish(entry, self._now)

    def finish_rejected(self, file: PendingFile, entry: Entry) -> None:
        """A file in quarantine that is still in landing: the process that put it there was killed."""
        self.note_rejected(file, entry)
        self._delete(file)

    def settle_loads(self, name: TableName, started: datetime, load_id: str) -> None:
        """LOAD files in quarantine that were written before a load that is complete now have no more part in it."""
        for entry in self.quarantine.entries(name):
            if entry.state is not EntryState.OPEN:
                continue
            landed = self.quarantine.landed_file(entry)
            if landed.parsed.kind is FileKind.LOAD and older_than(landed, started):
                with suppress(QuarantineError):  # an operator decided on it just now
                    decided = self.quarantine.decide(
                        entry, EntryState.DISCARD, f"superseded by load {load_id}", "dms-assets", self._now
                    )
                    self.discard(decided)

    def _delete(self, file: PendingFile) -> None:
        # Another object under the key is pending work of its own, and no object at all is what was wanted.
        with suppress(PreconditionFailedError, ObjectNotFoundError):
            file.store.delete(file.key, if_match=file.etag)
