"""Objects in landing that are no file of a declared table: into quarantine, so that nobody loses or trips over them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from dms_assets.lake.landing import Stranger
from dms_assets.lake.ledger import Event, Ledger, stranger_row
from dms_assets.lake.object_store import ObjectNotFoundError, PreconditionFailedError
from dms_assets.lake.quarantine import Entry, Quarantine, Report
from dms_assets.lake.stores import LakeStores
from dms_assets.model.source_spec import SourceSpec
from dms_assets.validation.outcome import CheckOutcome, Group, Reason

_EXPECTED = {
    Reason.UNKNOWN_KEY: "<folder>/<schema>/<table>/LOAD00000001.parquet or .../20261122-081523123.parquet",
    Reason.UNKNOWN_TABLE: "a table that defs.yaml declares",
}


def quarantine_strangers(
    stores: LakeStores, spec: SourceSpec, strangers: Iterable[Stranger], now: datetime
) -> list[Entry]:
    """Move strangers of one listing to quarantine; they hold no table. Those that are gone by now are left out."""
    quarantine, ledger = Quarantine(stores.quarantine, spec.name), Ledger(stores.ledger, spec.name)
    entries: list[Entry] = []
    for stranger in strangers:
        report = Report(
            identity=stranger.meta.identity,
            size=stranger.meta.size,
            folder=spec.folder,
            table=None,
            kind=None,
            reason=stranger.reason,
            outcomes=(
                CheckOutcome(
                    group=Group.READABLE,
                    passed=False,
                    expected=_EXPECTED[stranger.reason],
                    found=f"{stranger.meta.key!a}",
                ),
            ),
            at=now,
            metadata_version=None,
            rows=0,
        )
        with suppress(ObjectNotFoundError, PreconditionFailedError):
            entry = quarantine.put(report, stores.landing, stranger.meta.key, stranger.meta.etag)
            entries.append(entry)
            ledger.record_event(
                stranger_row(
                    spec.name,
                    report.identity,
                    report.size,
                    Event.QUARANTINED,
                    now.isoformat(),
                    quarantine_id=entry.entry_id,
                    reason=report.reason.value,
                )
            )
            stores.landing.delete(stranger.meta.key, if_match=stranger.meta.etag)
    return entries
