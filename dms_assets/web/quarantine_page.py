"""The pages of quarantine: what waits in a source's, and why one file was rejected. Counts and hashes, never values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import HTMLResponse

from dms_assets.installation import Installation
from dms_assets.lake.quarantine import Entry, EntryState, Quarantine, QuarantineError, Report
from dms_assets.web.page import not_found, render

_SHOWN = 500


@dataclass(frozen=True, slots=True)
class _Row:
    entry: Entry
    report: Report


def quarantine_page(installation: Installation, source: str) -> HTMLResponse:
    """What is in a source's quarantine: undecided first, by cause, then by time."""
    quarantine = Quarantine(installation.quarantine, source)
    entries = quarantine.entries()
    waiting = [entry for entry in entries if entry.state in {EntryState.OPEN, EntryState.REPLAY}]
    decided = [entry for entry in entries if entry not in waiting]
    causes: dict[str, list[_Row]] = {}
    for row in sorted(_rows(quarantine, waiting), key=lambda row: (row.report.reason, row.report.at)):
        causes.setdefault(row.report.reason.value, []).append(row)
    first: dict[str, str] = {}
    for row in (row for listed in causes.values() for row in listed):
        first.setdefault(str(row.entry.table), row.entry.entry_id)
    closed = sorted(_rows(quarantine, decided), key=lambda row: row.report.at, reverse=True)
    hidden = max(len(waiting) - _SHOWN, 0) + max(len(decided) - _SHOWN, 0)
    # The first page links to the first file of a table.
    anchors = {entry_id: table for table, entry_id in first.items()}
    return render("quarantine.html", source=source, causes=causes, closed=closed, hidden=hidden, anchors=anchors)


def _rows(quarantine: Quarantine, entries: list[Entry]) -> list[_Row]:
    return [_Row(entry, quarantine.report(entry)) for entry in entries[:_SHOWN]]


def entry_page(installation: Installation, source: str, entry_id: str) -> HTMLResponse:
    """The report of one rejected file, what was decided, and the commands for what is left to decide."""
    quarantine = Quarantine(installation.quarantine, source)
    try:
        entry = quarantine.entry(entry_id)
    except QuarantineError as error:
        return not_found(str(error))
    reports = quarantine.reports(entry)
    decisions: list[dict[str, Any]] = list(quarantine.decisions(entry))
    return render(
        "quarantine_entry.html",
        source=source,
        row=_Row(entry, reports[-1]),
        earlier=[_Row(entry, report) for report in reports[:-1]],
        decisions=decisions,
        home=str(installation.environment.root),
        file=f"{quarantine.store.uri}/{entry.file.key}" if entry.file else None,
    )
