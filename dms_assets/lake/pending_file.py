"""A file that waits for its verdict: in landing, or in quarantine with a replay asked for."""

from __future__ import annotations

from dataclasses import dataclass

from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.quarantine import Entry
from dms_assets.model.landed_file import FileIdentity, LandedFile


@dataclass(frozen=True, slots=True)
class PendingFile:
    """`landed` is what the file is; `store`, `key` and `etag` are where its bytes are. `entry` is set for a replay."""

    landed: LandedFile
    store: ObjectStore
    key: str
    etag: str
    entry: Entry | None = None

    @property
    def identity(self) -> FileIdentity:
        """What names this delivery."""
        return self.landed.identity


def in_landing(file: LandedFile, landing: ObjectStore) -> PendingFile:
    """A file of the inbox."""
    return PendingFile(file, landing, file.identity.key, file.identity.etag)
