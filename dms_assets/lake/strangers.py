"""Objects in landing whose key is not one that DMS writes: into quarantine, so that nobody loses or trips over them.

Files of tables that are not declared are none of these: they wait in landing for their declaration.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from dms_assets.lake.ledger import Event, Ledger, stranger_row
from dms_assets.lake.object_store import ObjectMeta, ObjectNotFoundError, PreconditionFailedError
from dms_assets.lake.quarantine import Entry, Quarantine, Report
from dms_assets.lake.stores import LakeStores
from dms_assets.model.failpoints import reach
from dms_assets.model.source_spec import SourceSpec
from dms_assets.validation.outcome import CheckOutcome, Group, Reason

_EXPECTED = "<folder>/<schema>/<table>/LOAD00000001.parquet or .../20261122-081523123.parquet"


def quarantine_strangers(
    stores: LakeStores, spec: SourceSpec, strangers: Iterable[ObjectMeta], now: datetime
) -> list[Entry]:
    """Move strangers of one listing to quarantine; they hold no table. Those that are gone by now are left out."""
    quarantine, ledger = Quarantine(stores.quarantine, spec.name), Ledger(stores.ledger, spec.name)
    entries: list[Entry] = []
    for stranger in strangers:
        report = Report(
            identity=stranger.identity,
            size=stranger.size,
            folder=spec.folder,
            table=None,
            kind=None,
            reason=Reason.UNKNOWN_KEY,
            outcomes=(
                CheckOutcome(
                    group=Group.READABLE,
                    passed=False,
                    expected=_EXPECTED,
                    found=f"{stranger.key!a}",
                ),
            ),
            at=now,
            metadata_version=None,
            rows=0,
        )
        with suppress(ObjectNotFoundError, PreconditionFailedError):
            entry = quarantine.put(report, stores.landing, stranger.key, stranger.etag)
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
            reach("lake.after_stranger_event")
            stores.landing.delete(stranger.key, if_match=stranger.etag)
    return entries
