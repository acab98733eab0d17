"""A folder as an object store: conditional, atomic, durable, and race-free against writers who rename into it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from dms_assets.lake.object_store import (
    ObjectMeta,
    ObjectNotFoundError,
    ObjectStore,
    ObjectStoreError,
    PreconditionFailedError,
)
from dms_assets.model.failpoints import reach

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRIVATE = ".object-store"
"""Folder below the root for files being written or deleted; never listed."""


class FolderStore:
    """Objects are regular files below `root`; symbolic links are not objects and are never followed.

    The ETag is made of inode, modification time and size, so it changes when a file is replaced or written to. It
    stays the same when a file is renamed, which the conditional delete relies on.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def uri(self) -> str:
        """`file://` and the folder."""
        return self._root.as_uri()

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    @property
    def set_aside(self) -> Path:
        """Where objects are while they are deleted."""
        return self._root / _PRIVATE / "aside"

    @property
    def unfinished(self) -> Path:
        """Where objects are written before they can be seen; what a killed process leaves there is of no use."""
        return self._root / _PRIVATE / "new"

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """All files below the folder whose key starts with `prefix`; nothing where there is no folder yet."""
        self._finish_deletes()
        folder, _, _ = prefix.rpartition("/")
        if folder:
            self._path(folder)
        for meta in self._walk(folder):
            if meta.key.startswith(prefix):
                yield meta

    def head(self, key: str) -> ObjectMeta:
        """See ObjectStore."""
        with self._opened(key, None) as (_, meta):
            return meta

    def get(self, key: str, *, if_match: str | None = None) -> tuple[bytes, ObjectMeta]:
        """See ObjectStore."""
        with self._opened(key, if_match) as (descriptor, meta):
            with os.fdopen(os.dup(descriptor), "rb") as file:
                data = file.read()
            self._unchanged(descriptor, meta)
        return data, meta

    def download(self, key: str, path: Path, *, if_match: str | None = None) -> ObjectMeta:
        """See ObjectStore."""
        with self._opened(key, if_match) as (descriptor, meta):
            _copy_bytes(descriptor, path, durable=False)
            self._unchanged(descriptor, meta)
        return meta

    def put(self, key: str, data: bytes | Path, *, if_match: str | None = None, if_absent: bool = False) -> ObjectMeta:
        """See ObjectStore; file and folder are synced before the object can be seen."""
        temporary = self._temporary()
        try:
            if isinstance(data, Path):
                source = os.open(data, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    _copy_bytes(source, temporary, durable=True)
                finally:
                    os.close(source)
            else:
                _write_bytes(data, temporary)
            return self._place(temporary, key, if_match=if_match, if_absent=if_absent)
        finally:
            temporary.unlink(missing_ok=True)

    def copy_to(self, key: str, target: ObjectStore, target_key: str, *, if_match: str) -> ObjectMeta:
        """See ObjectStore; the target must be a folder too (TypeError)."""
        if not isinstance(target, FolderStore):
            raise TypeError(
                f"cannot copy from {self.uri} to {target.uri}: give landing and archive the same kind of store"
            )
        with self._opened(key, if_match) as (descriptor, meta):
            return target.take(descriptor, target_key, check=lambda: self._unchanged(descriptor, meta))

    def take(self, descriptor: int, key: str, *, check: Callable[[], None]) -> ObjectMeta:
        """Store the content of an open file; `check` runs before the object can be seen and may raise."""
        temporary = self._temporary()
        try:
            _copy_bytes(descriptor, temporary, durable=True)
            check()
            return self._place(temporary, key, if_match=None, if_absent=False)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, key: str, *, if_match: str) -> None:
        """See ObjectStore.

        The file is renamed aside, compared there, and only then removed; what a writer put in its place between
        comparison and removal is thus never hit. A file that turns out to be another is linked back.
        """
        path = self._path(key)
        aside = self.set_aside / if_match / key
        while (actual := _etag_at(path)) == if_match:
            # What is not found may be the folder just made: another worker deleted the same object and tidied up.
            with suppress(FileNotFoundError):
                _make_folders(aside.parent)
                path.rename(aside)
                break
        else:
            if actual is not None:
                raise PreconditionFailedError(f"{key} in {self.uri} is not {if_match} any more; it is left alone")
            return
        reach("store.after_aside")
        if not self._settle(aside, path, if_match):
            raise PreconditionFailedError(f"{key} in {self.uri} was replaced while it was deleted; the new one is kept")

    def _settle(self, aside: Path, path: Path, expected: str) -> bool:
        """Remove a file set aside if it is the one meant (True), else put it back where its key is free (False)."""
        actual = _etag_at(aside)
        if actual not in {None, expected}:
            with suppress(FileExistsError, FileNotFoundError):
                # Taken again: the object there is newer and has overwritten this one, as in any object store.
                os.link(aside, path, follow_symlinks=False)
        aside.unlink(missing_ok=True)
        sync_folder(path.parent)
        self._remove_empty(aside.parent)
        return actual in {None, expected}

    def _remove_empty(self, folder: Path) -> None:
        """Remove the folders made for a file set aside; who deletes the same object too makes them again."""
        while folder != self.set_aside:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass  # another process settled the same file
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                return
            folder = folder.parent

    def _finish_deletes(self) -> None:
        """Settle files that a killed process left aside; their path says what was meant to be deleted."""
        root = self.set_aside
        if not root.is_dir():
            return
        for etag in sorted(entry.name for entry in os.scandir(root)):
            for folder, _, names in os.walk(root / etag):
                for name in names:
                    aside = Path(folder, name)
                    self._settle(aside, self._root / aside.relative_to(root / etag), etag)

    def _walk(self, folder: str) -> Iterator[ObjectMeta]:
        try:
            entries = sorted(os.scandir(self._root / folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if key == _PRIVATE:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(key)
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield _meta(key, found)

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not key or "\0" in key or "/".join(parts) != key or {"..", _PRIVATE} & set(parts) or key.startswith("/"):
            raise ObjectStoreError(f"{key!r} is not a key that the folder {self.uri} can hold")
        return self._root / key

    @contextmanager
    def _opened(self, key: str, if_match: str | None) -> Iterator[tuple[int, ObjectMeta]]:
        try:
            # A FIFO in the folder must not block the reader.
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectNotFoundError(f"there is no {key} in {self.uri}") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ObjectNotFoundError(f"{key} in {self.uri} is a symbolic link, not an object") from error
            raise
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ObjectNotFoundError(f"{key} in {self.uri} is not a file")
            meta = _meta(key, found)
            if if_match is not None and meta.etag != if_match:
                raise PreconditionFailedError(f"{key} in {self.uri} is {meta.etag}, not {if_match}")
            yield descriptor, meta
        finally:
            os.close(descriptor)

    def _unchanged(self, descriptor: int, meta: ObjectMeta) -> None:
        if _meta(meta.key, os.fstat(descriptor)).etag != meta.etag:
            raise PreconditionFailedError(f"{meta.key} in {self.uri} was written to while it was read")

    def _temporary(self) -> Path:
        _make_folders(self.unfinished)
        return self.unfinished / uuid.uuid4().hex

    def _place(self, temporary: Path, key: str, *, if_match: str | None, if_absent: bool) -> ObjectMeta:
        path = self._path(key)
        _make_folders(path.parent)
        meta = _meta(key, temporary.stat())
        reach("store.before_visible")
        if if_absent:
            try:
                os.link(temporary, path)
            except FileExistsError as error:
                raise PreconditionFailedError(f"there is a {key} in {self.uri} already") from error
        elif if_match is not None:
            with self._locked():
                if _etag_at(path) != if_match:
                    raise PreconditionFailedError(f"{key} in {self.uri} is not {if_match} any more")
                temporary.replace(path)
        else:
            temporary.replace(path)
        sync_folder(path.parent)
        return meta

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other conditional overwrites of this store away; rename has no condition of its own."""
        with (self._root / _PRIVATE / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _meta(key: str, found: os.stat_result) -> ObjectMeta:
    at = _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
    return ObjectMeta(key, found.st_size, _etag(found), at)


def _etag(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _etag_at(path: Path) -> str | None:
    try:
        return _etag(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write_bytes(data: bytes, path: Path) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _copy_bytes(source: int, path: Path, *, durable: bool) -> None:
    with path.open("xb") as file:
        target, offset = file.fileno(), 0
        while sent := os.sendfile(target, source, offset, 1 << 26):
            offset += sent
        if durable:
            os.fsync(target)


def _make_folders(folder: Path) -> None:
    """Make a folder and its parents, so that they outlive a power cut."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable: its files' names, not their content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
