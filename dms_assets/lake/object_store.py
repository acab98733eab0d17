"""One interface for the places that hold objects: a folder and S3, with the same conditional requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from dms_assets.model.landed_file import FileIdentity


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """One object as a store described it. `size` in bytes, `last_modified` aware and UTC, `etag` without quotes."""

    key: str
    size: int
    etag: str
    last_modified: datetime

    @property
    def identity(self) -> FileIdentity:
        """What names this delivery of the object."""
        at = self.last_modified.astimezone(UTC).isoformat(timespec="microseconds")
        return FileIdentity(self.key, self.etag, at)


class ObjectStoreError(Exception):
    """A store refused a request; the message names the object and the store."""


class ObjectNotFoundError(ObjectStoreError):
    """There is no object of that key (any more)."""


class PreconditionFailedError(ObjectStoreError):
    """The object is not the one the request was meant for: another ETag, or there although it must not be."""


class ObjectStore(Protocol):
    """A bucket, or a prefix of one, or a folder that stands for it.

    Keys are relative, parts divided by `/`. Writes are atomic and durable when the call returns. Every method may
    raise ObjectStoreError beside what it names.
    """

    @property
    def uri(self) -> str:
        """Where the store is, for people and for reports, without a slash at the end."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectMeta]:
        """All objects whose key starts with `prefix`, in no promised order."""
        ...

    def head(self, key: str) -> ObjectMeta:
        """What the store says of an object. Raises ObjectNotFoundError."""
        ...

    def get(self, key: str, *, if_match: str | None = None) -> tuple[bytes, ObjectMeta]:
        """The bytes, and the description in the response that delivered them.

        Raises ObjectNotFoundError, or PreconditionFailedError if the ETag is not `if_match`.
        """
        ...

    def download(self, key: str, path: Path, *, if_match: str | None = None) -> ObjectMeta:
        """Like `get`, into a new local file; memory stays flat."""
        ...

    def put(self, key: str, data: bytes | Path, *, if_match: str | None = None, if_absent: bool = False) -> ObjectMeta:
        """Write bytes, or the content of a local file, and return what the store says of the new object.

        With `if_match` only over the object of that ETag, with `if_absent` only where there is none; else raises
        PreconditionFailedError.
        """
        ...

    def copy_to(self, key: str, target: ObjectStore, target_key: str, *, if_match: str) -> ObjectMeta:
        """Copy an object of this ETag to a store of the same kind. Raises as `get` does."""
        ...

    def delete(self, key: str, *, if_match: str) -> None:
        """Remove the object if its ETag still is `if_match`.

        Raises PreconditionFailedError if another object took its place; no object at all is fine.
        """
        ...
