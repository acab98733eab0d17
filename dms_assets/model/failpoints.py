"""Failpoints: named places where a test may stop the process, to prove what survives.

Set DMS_ASSETS_FAILPOINTS to a comma-separated list of `name=action[@nth]`, for instance
`local_dms.before_confirm=kill@3`: the third time the place is reached, the process ends at once, without any
cleaning up. Actions: `kill` (exit status 137) and `error` (raises FailpointError). Without the variable a
failpoint costs one dictionary look-up. All names are registered in NAMES.
"""

from __future__ import annotations

import os
import threading
from collections import Counter

VARIABLE = "DMS_ASSETS_FAILPOINTS"
KILLED_STATUS = 137

NAMES: frozenset[str] = frozenset(
    {
        # Local DMS: a task is to start, and nothing runs it.
        "local_dms.after_start_asked",
        # Local DMS: a task is to stop, and it goes on.
        "local_dms.after_stop_asked",
        # Local DMS: what a deleted task had on its source is gone, the task is still there.
        "local_dms.after_forgetting",
        # Local DMS: slot and publications of a new stream are on the source, the stream is not stored.
        "local_dms.before_stream",
        # Local DMS: files of a cycle are durable, the position is not stored and the slot is not moved.
        "local_dms.before_confirm",
        # Local DMS: the position is stored, the slot is not moved.
        "local_dms.before_advance",
        # Local DMS: some files of a cycle are visible, some are not.
        "local_dms.between_files",
        # Local DMS: a table's load has written a file and goes on.
        "local_dms.during_load",
        # Local DMS: all files of a table's load are there, its end is not stored.
        "local_dms.after_load",
        # Local DMS: the boundary of a reload is known and not stored.
        "local_dms.before_boundary",
        # Local DMS: a new form of the publications is permitted, the source does not have it.
        "local_dms.before_publishing",
        # Local DMS: the source has a new form of the publications, the one before is still permitted.
        "local_dms.after_publishing",
        # Local DMS: a table whose rows the log cannot name is unpublished, nobody was told.
        "local_dms.after_unpublishing",
        # Commit protocol: landing is listed, nothing is done yet.
        "lake.after_listing",
        # Commit protocol: some files are fetched into the scratch folder, some are not.
        "lake.between_fetches",
        # Commit protocol: files are judged and their data files written; nothing else knows of them.
        "lake.after_validation",
        # Commit protocol: the copy of a rejected file is in quarantine, its report is not.
        "lake.after_quarantine_copy",
        # Commit protocol: the report for people is in quarantine, the one that makes the entry is not.
        "lake.after_quarantine_text",
        # Commit protocol: copy and report are in quarantine, the file is still in landing.
        "lake.after_quarantine_report",
        # Commit protocol: the ledger knows of the rejection, the file is still in landing.
        "lake.after_rejection_event",
        # Commit protocol: some originals of a batch are archived, some are not.
        "lake.between_archive_copies",
        # Commit protocol: the batch is announced in the ledger, none of its data files is in place.
        "lake.after_announcement",
        # Commit protocol: some data files of the batch are in place, some are not.
        "lake.between_data_files",
        # Commit protocol: everything but the commit is done.
        "lake.before_commit",
        # Commit protocol: some of the files that Iceberg writes for a commit are there, the catalog names none.
        "lake.between_table_files",
        # Commit protocol: the batch is committed, the ledger does not know.
        "lake.after_commit",
        # Commit protocol: the ledger has the batch's rows, and still their announcement.
        "lake.after_batch_rows",
        # Commit protocol: the ledger knows the batch, its files are still in landing.
        "lake.after_ledger",
        # Commit protocol: some committed files are deleted from landing, some are not.
        "lake.between_deletes",
        # Commit protocol: landing is cleared; what the new load replaces in quarantine is still there.
        "lake.before_settling",
        # Commit protocol: all is done but to forget old snapshots.
        "lake.before_expiry",
        # Commit protocol: a file of a replaced load is in the archive, the ledger does not know.
        "lake.after_superseded_copy",
        # Commit protocol: the ledger knows of a file of a replaced load that is still in landing.
        "lake.after_superseded_event",
        # Landing: an object with an unknown key is in quarantine and ledger, and still in landing.
        "lake.after_stranger_event",
        # Quarantine: an operator's decision is written, nobody knows of it yet.
        "lake.after_decision",
        # Quarantine: a discard is decided, the file is not moved to the archive yet.
        "lake.after_discard_decision",
        # Quarantine: a discarded file is in the archive, the ledger does not know.
        "lake.after_discard_copy",
        # Quarantine: the ledger knows of a discard, the entry is still open.
        "lake.after_discard_event",
        # Quarantine: the entry is marked as done, its copy is still there.
        "lake.after_done_mark",
        # Retention: some files that nothing refers to are removed, some are not.
        "retention.between_orphans",
        # Retention: some originals, or parts of a settled quarantine entry, are removed, some are not.
        "retention.between_aged",
        # Retention: the rows of many batches are in one object of the ledger, and in their own.
        "retention.after_ledger_part",
        # Retention: the rows of small data files are in a large one, no snapshot names it.
        "retention.before_compaction",
        # Metadata: a table is found changed, its new version is not stored.
        "metadata.before_version",
        # Metadata: the new version is stored, nobody knows of it yet.
        "metadata.after_version",
        # What is remembered between polls: the change to a document is made, and not stored.
        "memory.before_write",
        # What is remembered between polls: the document is stored, whoever changed it does not know.
        "memory.after_write",
        # Landing sensor: what is no file of a table is in quarantine, and nothing else is done.
        "sensor.after_strangers",
        # Landing sensor: batches that no run told of are told of, and the tick is not remembered.
        "sensor.after_telling",
        # Landing sensor: it knows what to ask for, and has not asked.
        "sensor.before_request",
        # Build: snapshots are pinned, the warehouse does not show them.
        "build.before_binding",
        # Build: the warehouse shows some of the pinned snapshots, or all, and dbt has not run.
        "build.after_binding",
        # Build: some of dbt's calls are done.
        "build.between_calls",
        # Build: dbt is done, how far tables are complete is not confirmed.
        "build.after_dbt",
        # Build: all is done but the read copy.
        "build.before_publishing",
        # Build: the new read copy is there, the old one is still what readers see.
        "build.before_swap",
        # Folder as a bucket: an object is written and durable, and nobody can see it yet.
        "store.before_visible",
        # Folder as a bucket: an object to be deleted is set aside and not removed yet.
        "store.after_aside",
    }
)


class FailpointError(RuntimeError):
    """Raised where a failpoint with the action `error` is reached."""


def parse(text: str) -> dict[str, tuple[str, int]]:
    """The failpoints that a value of the variable asks for: name -> (action, nth). Raises ValueError for a bad one."""
    plan: dict[str, tuple[str, int]] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = item.partition("=")
        action, _, nth = rest.partition("@")
        if name not in NAMES:
            raise ValueError(f"{VARIABLE}: there is no failpoint '{name}'; there are: {', '.join(sorted(NAMES))}")
        if action not in {"kill", "error"} or not (nth or "1").isdigit() or nth == "0":
            raise ValueError(f"{VARIABLE}: '{item}' is not name=kill[@nth] or name=error[@nth]")
        plan[name] = (action, int(nth or "1"))
    return plan


_PLAN = parse(os.environ.get(VARIABLE, ""))
_REACHED: Counter[str] = Counter()
_LOCK = threading.Lock()


def reach(name: str) -> None:
    """Mark that the place `name` is reached; acts if the variable asks for it. Raises KeyError for unknown names."""
    if name not in NAMES:
        raise KeyError(f"failpoint '{name}' is not registered")
    if name not in _PLAN:
        return
    action, nth = _PLAN[name]
    with _LOCK:
        _REACHED[name] += 1
        due = _REACHED[name] == nth
    if not due:
        return
    if action == "error":
        raise FailpointError(f"failpoint {name} reached for the {nth}. time")
    os._exit(KILLED_STATUS)
