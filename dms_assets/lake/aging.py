"""Objects that are kept for a time only: originals in the archive, and what is left of settled quarantine entries.

In AWS the buckets' lifecycle rules do the same; a folder has none.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from dms_assets.lake.object_store import ObjectMeta, ObjectNotFoundError, ObjectStore, PreconditionFailedError
from dms_assets.lake.quarantine import EntryState, Quarantine
from dms_assets.lake.removed import Removed, total
from dms_assets.model.failpoints import reach


def age_archive(archive: ObjectStore, source: str, before: datetime, *, dry_run: bool = False) -> Removed:
    """Remove the originals of a source that were archived before an instant."""
    old = [meta for meta in archive.list(f"{source}/") if meta.last_modified < before]
    return total(_remove(archive, meta, dry_run=dry_run) for meta in old)


def age_quarantine(quarantine: Quarantine, before: datetime, *, dry_run: bool = False) -> Removed:
    """Remove reports and decisions of entries that were done before an instant; the ledger keeps what became of them.

    So are copies without a report, left by a killed process whose file was then judged otherwise. Nothing of an entry
    that still waits for anything is touched, however old it is. Counts entries.
    """
    store = quarantine.store
    objects: defaultdict[str, list[ObjectMeta]] = defaultdict(list)
    for meta in store.list(f"{quarantine.source}/"):
        objects[meta.key.rpartition("/")[0]].append(meta)
    removed = Removed()
    waiting = {entry.prefix for entry in quarantine.entries() if entry.state is not EntryState.DONE}
    for prefix, own in objects.items():
        if prefix in waiting or any(meta.last_modified >= before for meta in own):
            continue
        # `done.json` last: without it what is left would count as open again.
        own.sort(key=lambda meta: meta.key.endswith("/done.json"))
        size = total(_remove(store, meta, dry_run=dry_run) for meta in own).size
        removed += Removed(1, size)
    return removed


def _remove(store: ObjectStore, meta: ObjectMeta, *, dry_run: bool) -> Removed:
    reach("retention.between_aged")
    if not dry_run:
        try:
            store.delete(meta.key, if_match=meta.etag)
        except (ObjectNotFoundError, PreconditionFailedError):
            return Removed()  # written again, or removed by another, since it was listed
    return Removed(1, meta.size)
