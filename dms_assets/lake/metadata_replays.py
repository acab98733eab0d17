"""Rejected files that newer metadata may explain are judged again by themselves, once for each version of it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime

from dms_assets.lake.quarantine import Entry, EntryState, Quarantine, QuarantineError
from dms_assets.model.names import TableName
from dms_assets.validation.outcome import Reason

_LOG = logging.getLogger(__name__)

BY = "dms-assets"
"""Who decides, in the record of the decision."""
EXPLAINED = frozenset({Reason.SCHEMA, Reason.NULLABILITY, Reason.LENGTH, Reason.PRECISION, Reason.DOMAIN})
"""Reasons that the metadata gives: a file may be ahead of what was known of its table."""


def replay_what_metadata_explains(
    quarantine: Quarantine, entries: Collection[Entry], versions: Mapping[TableName, str], now: datetime
) -> list[Entry]:
    """Ask for a replay of every open entry that was judged by another version than its table's present one.

    `versions` are the present ones. Returns the entries as they are then. A file that is wrong by the new version too
    gets a report that says so, and waits for an operator.
    """
    replayed = []
    for entry in entries:
        version = versions.get(entry.table) if entry.table else None
        if entry.state is not EntryState.OPEN or version is None:
            continue
        report = quarantine.report(entry)
        if report.reason not in EXPLAINED or report.metadata_version in {None, version}:
            continue
        reason = f"the metadata is of version {version} by now; the file was judged by {report.metadata_version}"
        try:
            replayed.append(quarantine.decide(entry, EntryState.REPLAY, reason, BY, now))
        except QuarantineError as error:
            _LOG.info("not replayed: %s", error)
    return replayed
