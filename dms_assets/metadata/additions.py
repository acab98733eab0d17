"""What files of a table may lack: columns that were added after the file was written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

from dms_assets.metadata.version_store import StoredVersion
from dms_assets.model.table_metadata import Added, TableMetadata


def additions(versions: Sequence[StoredVersion], current: TableMetadata) -> tuple[Added, ...]:
    """Sets of nullable columns of `current` that earlier versions lack, the newest first.

    `versions` are all of the table, oldest first. A file lacks one of the sets, or a part of one, if several
    columns were added between two looks at the source.
    """
    found: dict[frozenset[str], datetime] = {}
    for older, newer in itertools.pairwise(versions):
        # Of several versions that lack the same, the last tells when that was over.
        found[current.added_since(older.metadata)] = newer.recorded_at
    return tuple(Added(columns, at) for columns, at in reversed(found.items()) if columns)
