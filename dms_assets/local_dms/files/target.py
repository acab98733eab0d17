"""Where files go. A file is written in a workspace, then made visible whole and durable under its key."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dms_assets.local_dms.faults import TaskError
from dms_assets.model import failpoints

_WORKSPACE = ".uploading"
CHECK_NAME = "awsdms_test_connection"


class Target(Protocol):
    """A bucket."""

    workspace: Path

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """Make files visible under their keys, in this order; when it returns they survive a power cut."""

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""

    def delete_below(self, prefix: str) -> None:
        """Remove all objects below a prefix that ends in `/`."""

    def check(self, folder: str) -> None:
        """Write and remove a small object. Raises TaskError naming the bucket and the remedy."""


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear_workspace(workspace: Path) -> None:
    """Remove what an earlier attempt left unfinished."""
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True, exist_ok=True)


def _missing_above(folder: Path) -> set[Path]:
    """Folders that get a new entry when `folder` is made with its parents."""
    missing: set[Path] = set()
    while not folder.exists():
        missing.add(folder.parent)
        folder = folder.parent
    return missing


class FolderTarget:
    """A bucket that is a folder; unfinished files are beside the buckets, on the same file system."""

    def __init__(self, buckets: Path, bucket: str, owner: str) -> None:
        self.root = buckets / bucket
        self.bucket = bucket
        self.workspace = buckets / _WORKSPACE / owner

    def publish(self, files: Sequence[tuple[Path, str]]) -> None:
        """See Target. The time of a file is set to now: the file system's own clock may lag behind."""
        self._must_exist()
        folders: set[Path] = set()
        for path, key in files:
            final = self.root / key
            folders |= _missing_above(final.parent)
            final.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as handle:
                now = time.time_ns()
                os.utime(path, ns=(now, now))
                os.fsync(handle.fileno())
            path.rename(final)
            folders.add(final.parent)
            failpoints.reach("local_dms.between_files")
        for folder in folders:
            sync_folder(folder)

    def exists(self, key: str) -> bool:
        """See Target."""
        return (self.root / key).exists()

    def delete_below(self, prefix: str) -> None:
        """See Target."""
        shutil.rmtree(self.root / prefix, ignore_errors=True)

    def check(self, folder: str) -> None:
        """See Target."""
        self._must_exist()
        path = self.root / folder / f"{CHECK_NAME}_{uuid.uuid4().hex}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            path.unlink()
        except OSError as error:
            raise TaskError(
                f"Bucket {self.bucket}: cannot write to {path.parent}: {error}; check its owner."
            ) from error

    def _must_exist(self) -> None:
        if not self.root.is_dir():
            raise TaskError(f"Bucket {self.bucket} does not exist: make the folder {self.root}, or correct BucketName.")
