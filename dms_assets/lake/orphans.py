"""Files below a validated table that nothing refers to: left by killed processes, refused commits, old snapshots.

pyiceberg forgets snapshots and never deletes their files, so manifests and manifest lists are left over as well. A
file is removed if it is so old that no commit may still name it (`data_files.COMMIT_WITHIN`), and neither a snapshot
that is kept, nor the table's metadata, nor the caller names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

import pyarrow.fs as pa_fs
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from dms_assets.lake.removed import Removed
from dms_assets.model.commit_properties import COMMITTED_FILES, ManifestPointer, parse_committed_files
from dms_assets.model.failpoints import reach


def sweep_orphans(
    catalog: Catalog,
    identifier: tuple[str, str],
    before: datetime,
    *,
    pinned: Collection[str] = (),
    dry_run: bool = False,
) -> Removed:
    """Remove orphans last written before an instant. `pinned` are paths that others read, as `PinnedSnapshot` has them.

    Raises TypeError for a catalog whose files cannot be listed.
    """
    try:
        located = catalog.load_table(identifier)
    except NoSuchTableError:
        return Removed()
    file_system, root = _file_system(located)
    selector = pa_fs.FileSelector(root, recursive=True, allow_not_found=True)
    old = [info for info in file_system.get_file_info(selector) if _is_older(info, before)]
    # After the listing: what a commit named since is in what is loaded now.
    table = catalog.load_table(identifier)
    kept = {_path(table, uri) for uri in _referenced(table)} | set(pinned)
    removed = Removed()
    for info in old:
        if info.path in kept:
            continue
        reach("retention.between_orphans")
        removed += Removed(1, info.size)
        if not dry_run:
            file_system.delete_file(info.path)
    return removed


def _is_older(info: pa_fs.FileInfo, before: datetime) -> bool:
    return info.type is pa_fs.FileType.File and info.mtime is not None and info.mtime < before


def _file_system(table: Table) -> tuple[pa_fs.FileSystem, str]:
    """The file system of a table, and its location there."""
    if not isinstance(table.io, PyArrowFileIO):
        raise TypeError(
            f"files of {'.'.join(table.name())} are reached by {type(table.io).__name__}, which cannot list"
        )
    scheme, netloc, path = table.io.parse_location(table.location(), table.io.properties)
    return table.io.fs_by_scheme(scheme, netloc), path


def _path(table: Table, uri: str) -> str:
    _, _, path = PyArrowFileIO.parse_location(uri, table.io.properties)
    return path


def _referenced(table: Table) -> Iterator[str]:
    """Every file that the table's metadata names, in any snapshot that is kept."""
    metadata = table.metadata
    yield table.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (file.statistics_path for file in (*metadata.statistics, *metadata.partition_statistics))
    committed = (
        parse_committed_files(table.properties[COMMITTED_FILES]) if COMMITTED_FILES in table.properties else None
    )
    if isinstance(committed, ManifestPointer):
        yield committed.uri
    seen: set[str] = set()
    for snapshot in metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path in seen:
                continue
            seen.add(manifest.manifest_path)
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield entry.data_file.file_path
