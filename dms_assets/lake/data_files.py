"""Bringing validated data files to where the table keeps its data, durably, before the commit names them."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from pyiceberg.table import Table

from dms_assets.lake.folder_store import sync_folder
from dms_assets.validation.messages import OutputFile


def publish(table: Table, outputs: Sequence[OutputFile]) -> list[str]:
    """Move local data files below the table's location; their URIs. No reader sees them before the commit."""
    return [_publish(table, output.path) for output in outputs]


def withdraw(table: Table, uris: Sequence[str]) -> None:
    """Remove data files of a batch that surely was not committed."""
    for uri in uris:
        table.io.delete(uri)


def _publish(table: Table, path: Path) -> str:
    uri = f"{table.location()}/data/{uuid.uuid4().hex}.parquet"
    scheme, _, place = uri.partition("://")
    if scheme == "file" and _one_disk(path, Path(place)):
        descriptor = os.open(path, os.O_RDONLY)
        try:
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
