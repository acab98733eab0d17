"""The archive: untouched originals, under keys that contain their identity."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote, unquote

from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.pending_file import PendingFile
from dms_assets.model.landed_file import FileIdentity, LandedFile


class Shelf(StrEnum):
    """Why a file is in the archive."""

    ACCEPTED = "accepted"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


def archive_key(source: str, file: LandedFile, shelf: Shelf) -> str:
    """`<source>/<schema>/<table>/<shelf>/<name>.<last modified>.<etag>.parquet`: one key per delivery."""
    at = datetime.fromisoformat(file.identity.last_modified).astimezone(UTC)
    name = file.parsed.file_name.removesuffix(".parquet")
    etag = quote(file.identity.etag, safe="-")
    table = file.parsed.table
    return f"{source}/{table.schema}/{table.table}/{shelf}/{name}.{at:%Y%m%dT%H%M%S%fZ}.{etag}.parquet"


def archived_identity(key: str, file_key: str) -> FileIdentity | None:
    """The delivery of the landing key `file_key` that an archive key is of, or None if it is of another file."""
    name, _, rest = key.rpartition("/")[2].removesuffix(".parquet").partition(".")
    at, _, etag = rest.partition(".")
    if file_key.rpartition("/")[2] != f"{name}.parquet":
        return None
    written = datetime.strptime(at, "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    return FileIdentity(file_key, unquote(etag), written.isoformat(timespec="microseconds"))


def archive_file(archive: ObjectStore, source: str, file: PendingFile, shelf: Shelf) -> str:
    """Copy a file from where it is to its shelf; the archive key. Repeating it is harmless.

    Raises ObjectNotFoundError or PreconditionFailedError if it is not there any more.
    """
    target = archive_key(source, file.landed, shelf)
    file.store.copy_to(file.key, archive, target, if_match=file.etag)
    return target
