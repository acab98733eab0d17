"""Bringing validated data files to where the table keeps its data, durably, before the commit names them.

A process that dies between the two leaves files that no snapshot names; `lake.orphans` removes them once they are so
old that nobody may commit them any more.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyiceberg.table import Table

from dms_assets.lake.folder_store import sync_folder
from dms_assets.model.failpoints import reach
from dms_assets.validation.messages import OutputFile

COMMIT_WITHIN = timedelta(hours=12)
"""How long data files in place may wait for their commit. A process that slept longer (a laptop that was closed) must
not commit them: they may be swept away by now."""


@dataclass(frozen=True, slots=True)
class Published:
    """Data files in place, by URI, and when the first of them was being put there."""

    uris: tuple[str, ...]
    since: datetime

    @property
    def too_old(self) -> bool:
        """Whether they must not be committed any more."""
        return datetime.now(UTC) - self.since > COMMIT_WITHIN


def publish(table: Table, outputs: Sequence[OutputFile]) -> Published:
    """Move local data files below the table's location. No reader sees them before the commit."""
    since = datetime.now(UTC)
    uris = []
    for output in outputs:
        reach("lake.between_data_files")
        uris.append(_publish(table, output.path))
    return Published(tuple(uris), since)


def withdraw(table: Table, published: Published) -> None:
    """Remove data files of a batch that surely was not committed."""
    for uri in published.uris:
        table.io.delete(uri)


def _publish(table: Table, path: Path) -> str:
    uri = f"{table.location()}/data/{uuid.uuid4().hex}.parquet"
    scheme, _, place = uri.partition("://")
    if scheme == "file" and _one_disk(path, Path(place)):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            # Its age counts from here: it may have been written long ago, while the rest of a load was validated.
            os.utime(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.rename(place)
        # The commit must not name a file whose folder entry a power cut can take.
        for folder in (Path(place).parent, Path(place).parent.parent):
            sync_folder(folder)
        return uri
    with path.open("rb") as source, table.io.new_output(uri).create() as target:
        shutil.copyfileobj(source, target, 1 << 20)
    path.unlink()
    return uri


def _one_disk(path: Path, place: Path) -> bool:
    place.parent.mkdir(parents=True, exist_ok=True)
    return path.stat().st_dev == place.parent.stat().st_dev
