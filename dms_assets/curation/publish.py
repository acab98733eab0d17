"""The read copy of the warehouse: DuckDB locks its file against every other process, so readers get their own."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import duckdb

from dms_assets.curation.latest_build import check_latest
from dms_assets.curation.warehouse import open_warehouse
from dms_assets.model.failpoints import reach
from dms_assets.model.names import Layer, quote

_CHUNK = 16 * 1024 * 1024
_NO_KERNEL_COPY = {errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM}


def publish(warehouse: Path, published: Path, build: int) -> None:
    """Replace the read copy by the warehouse as it is now, at once: a reader sees the old copy or the new one.

    Without the validated views, whose files belong to the lake. Who has the old copy open keeps it. Raises
    WarehouseBusyError if another process has the warehouse open, BuildOvertakenError if `build` is not the latest any
    more, OSError if the copy cannot be written.
    """
    published.parent.mkdir(parents=True, exist_ok=True)
    # The views in the file name their database, which is called as the file is: so the copy keeps the name.
    with tempfile.TemporaryDirectory(prefix=".publishing-", dir=published.parent) as folder:
        copy = Path(folder) / published.name
        _copy_locked(warehouse, copy)
        _drop_validated(copy)
        _sync(copy)
        reach("build.before_swap")
        with open_warehouse(warehouse) as connection:
            check_latest(connection, build)
            copy.replace(published)
    _sync(published.parent)


def _copy_locked(warehouse: Path, copy: Path) -> None:
    """Copy the file while DuckDB's lock on it is held, all its changes in it."""
    connection = open_warehouse(warehouse)
    try:
        connection.execute("checkpoint")
        source = os.open(warehouse, os.O_RDONLY)
        try:
            _copy(source, copy)
        finally:
            # Before the descriptor: closing any descriptor of a file gives up the process's locks on it.
            connection.close()
            os.close(source)
    finally:
        connection.close()


def _copy(source: int, copy: Path) -> None:
    """Copy in the kernel, where file systems can share the blocks; else through memory."""
    size = os.fstat(source).st_size
    with copy.open("wb") as target:
        if not _kernel_copy(source, target.fileno(), size):
            os.lseek(source, 0, os.SEEK_SET)
            target.truncate(0)
            target.seek(0)
            while chunk := os.read(source, _CHUNK):
                target.write(chunk)


def _kernel_copy(source: int, target: int, size: int) -> bool:
    """Whether the kernel copied all of it; not every system and file system can."""
    if not hasattr(os, "copy_file_range"):
        return False
    left = size
    while left:
        try:
            copied = os.copy_file_range(source, target, left)
        except OSError as error:
            if error.errno in _NO_KERNEL_COPY:
                return False
            raise
        if copied == 0:
            return False
        left -= copied
    return True


def _drop_validated(copy: Path) -> None:
    connection = duckdb.connect(str(copy))
    try:
        found = connection.execute(
            "select distinct schema_name from duckdb_schemas() where database_name = current_database()"
            f" and ends_with(schema_name, '_{Layer.VALIDATED.value}')"
        ).fetchall()
        for (schema,) in found:
            connection.execute(f"drop schema {quote(schema)} cascade")
        connection.execute("checkpoint")
    finally:
        connection.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
