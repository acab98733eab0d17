"""What killed processes leave in local folders: half-written objects, scratch folders, notes on abandoned loads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.removed import Removed


def sweep_store(store: FolderStore, before: datetime, *, dry_run: bool = False) -> Removed:
    """Remove objects that were being written before an instant and never became visible; and, uncounted, the folders
    that a delete of then made and did not come to use.
    """
    removed = sweep_files(store.unfinished, before, dry_run=dry_run)
    if not dry_run:
        for parent, _, _ in os.walk(store.set_aside, topdown=False):
            if Path(parent) != store.set_aside and _modified(Path(parent)) < before.timestamp():
                with suppress(OSError):  # it holds a file, which the next listing settles
                    Path(parent).rmdir()
    return removed


def sweep_folders(parent: Path, before: datetime, *, prefix: str = "", dry_run: bool = False) -> Removed:
    """Remove the folders in `parent` whose name has a prefix and in which nothing was written since an instant."""
    removed = Removed()
    for folder in _folders(parent, prefix):
        files = list(_files(folder))
        if max(map(_modified, [folder, *files])) >= before.timestamp():
            continue
        removed += Removed(1, sum(_size(path) for path in files))
        if not dry_run:
            shutil.rmtree(folder, ignore_errors=True)
    return removed


def sweep_files(folder: Path, before: datetime, *, dry_run: bool = False) -> Removed:
    """Remove the files below a folder that were not written to since an instant."""
    removed = Removed()
    for path in _files(folder):
        if _modified(path) < before.timestamp():
            removed += _unlink(path, dry_run=dry_run)
    return removed


def _folders(parent: Path, prefix: str) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from (entry for entry in sorted(parent.iterdir()) if entry.is_dir() and entry.name.startswith(prefix))


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _modified(path: Path) -> float:
    """When it was written to; now, for what is gone meanwhile: then it was in use."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _unlink(path: Path, *, dry_run: bool) -> Removed:
    found = Removed(1, _size(path))
    if not dry_run:
        path.unlink(missing_ok=True)
    return found
