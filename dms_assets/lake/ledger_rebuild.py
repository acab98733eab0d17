"""The ledger from what it is derived from: the table's rows and commits, archive and quarantine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pyiceberg.table import Table

from dms_assets.lake.archive import Shelf, archived_identity
from dms_assets.lake.ledger import Event, Ledger, LedgerRow, ledger_row
from dms_assets.lake.quarantine import Entry, Quarantine
from dms_assets.lake.stores import LakeStores
from dms_assets.lake.validated_table import batch_id_of
from dms_assets.model.change_columns import BATCH, FILE, LOAD_ID, METADATA_VERSION, STREAM
from dms_assets.model.commit_plan import BATCH as BATCH_SUMMARY
from dms_assets.model.commit_plan import BATCH_ID, Base
from dms_assets.model.landed_file import FileIdentity, LandedFile, parse_key
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec

_COLUMNS = (BATCH, FILE, STREAM, LOAD_ID, METADATA_VERSION)


def batch_rows(table: Table, spec: SourceSpec, name: TableName, base: Base, now: datetime) -> list[LedgerRow]:
    """The rows of the newest batch, from the table itself: for files still in its list of committed files."""
    found = {row[FILE]: row for row in _counted(table, f"{BATCH} = {base.batch}")}
    rows: list[LedgerRow] = []
    for identity in sorted(base.committed):
        parsed = parse_key(identity.key, spec.folder)
        if parsed is None or parsed.table != name or identity.key not in found:
            continue
        row = found[identity.key]
        facts = {"batch_id": batch_id_of(table), "snapshot_id": base.snapshot_id}
        rows.append(_accepted(spec, LandedFile(identity, 0, parsed), row, now.isoformat(), facts))
    return rows


def rebuild_ledger(stores: LakeStores, spec: SourceSpec, name: TableName, table: Table, now: datetime) -> int:
    """Write the ledger of one table anew, over what is there; how many objects were written.

    Deliveries of one key are told apart by the archive, whose keys contain the identity, oldest first. What is not
    kept anywhere else is not in it again: rows of files without rows, sizes of archived files that are gone, batch
    ids of expired snapshots, and accepted files whose original the archive no longer has.
    """
    ledger = Ledger(stores.ledger, spec.name)
    commits = _commits(table)
    deliveries = _Deliveries(stores, spec, name)
    batches: defaultdict[int, list[LedgerRow]] = defaultdict(list)
    for row in sorted(_counted(table, None), key=lambda row: int(row[BATCH])):
        file = deliveries.next_of(str(row[FILE]))
        if file is not None:
            batches[row[BATCH]].append(_accepted(spec, file, row, now.isoformat(), commits.get(row[BATCH], {})))
    for batch, rows in batches.items():
        ledger.write_batch(name, batch, rows)
    ledger.clear_parts(name)
    quarantine = Quarantine(stores.quarantine, spec.name)
    events = [event for entry in quarantine.entries(name) for event in _quarantine_events(spec, quarantine, entry)]
    for event, number in events:
        ledger.record_event(event, number)
    return len(batches) + len(events)


class _Deliveries:
    """Archived files of a table, by landing key, oldest delivery first."""

    def __init__(self, stores: LakeStores, spec: SourceSpec, name: TableName) -> None:
        prefix = f"{spec.name}/{name.schema}/{name.table}/{Shelf.ACCEPTED}/"
        self._archived = list(stores.archive.list(prefix))
        self._folder = spec.folder
        self._left: dict[str, list[tuple[FileIdentity, int]]] = {}

    def next_of(self, key: str) -> LandedFile | None:
        """The next delivery of a key, None if the archive has no more."""
        if key not in self._left:
            found = [(archived_identity(meta.key, key), meta.size) for meta in self._archived]
            own = [(identity, size) for identity, size in found if identity is not None]
            self._left[key] = sorted(own, key=lambda item: item[0].last_modified)
        parsed = parse_key(key, self._folder)
        if parsed is None or not self._left[key]:
            return None
        identity, size = self._left[key].pop(0)
        return LandedFile(identity, size, parsed)


def _counted(table: Table, row_filter: str | None) -> list[dict[str, Any]]:
    """Rows of the table by batch and file."""
    scan = table.scan(selected_fields=_COLUMNS)
    if row_filter is not None:
        scan = scan.filter(row_filter)
    # Not with polars: this is part of what runs are forked from, and polars must not be.
    counted: list[dict[str, Any]] = scan.to_arrow().group_by(list(_COLUMNS)).aggregate([([], "count_all")]).to_pylist()
    return counted


def _commits(table: Table) -> dict[int, dict[str, Any]]:
    """Batch id and snapshot id of the batches whose snapshots are kept."""
    found: dict[int, dict[str, Any]] = {}
    for snapshot in table.snapshots():
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        if BATCH_SUMMARY in summary:
            facts = {"batch_id": summary.get(BATCH_ID), "snapshot_id": snapshot.snapshot_id}
            # The oldest: a later one of the same batch only holds its rows in other files.
            found.setdefault(int(summary[BATCH_SUMMARY]), facts)
    return found


def _accepted(spec: SourceSpec, file: LandedFile, row: dict[str, Any], at: str, commit: dict[str, Any]) -> LedgerRow:
    return ledger_row(
        spec.name,
        file,
        Event.ACCEPTED,
        at,
        rows=row["count_all"],
        batch=row[BATCH],
        stream=row[STREAM],
        load_id=row[LOAD_ID],
        metadata_version=row[METADATA_VERSION],
        **commit,
    )


def _quarantine_events(spec: SourceSpec, quarantine: Quarantine, entry: Entry) -> Iterable[tuple[LedgerRow, int]]:
    """What quarantine knows of a file: its reports and the decisions on it."""
    file = quarantine.landed_file(entry)
    for number, report in enumerate(quarantine.reports(entry), 1):
        yield (
            ledger_row(
                spec.name,
                file,
                Event.QUARANTINED,
                report.at.isoformat(),
                rows=report.rows,
                metadata_version=report.metadata_version,
                quarantine_id=entry.entry_id,
                reason=report.reason.value,
            ),
            number,
        )
    for number, decision in enumerate(quarantine.decisions(entry), 1):
        replayed = decision["action"] == "replay"
        yield (
            ledger_row(
                spec.name,
                file,
                Event.REPLAYED if replayed else Event.DISCARDED,
                decision["at"],
                quarantine_id=entry.entry_id,
                reason=decision["reason"],
                by=decision["by"],
            ),
            number if replayed else 1,
        )
