"""How the committed files and the loads of a validated table are written in its Iceberg properties."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.load import Load

COMMITTED_FILES = "dms-assets.committed-files"
LOADS = "dms-assets.loads"
FORMAT = 1
INLINE_BYTES = 64 * 1024
"""Longer lists of committed files go to a manifest object, and the property names it."""


@dataclass(frozen=True, slots=True)
class ManifestPointer:
    """Where a long list of committed files is, and the SHA-256 (hexadecimal) of its bytes."""

    uri: str
    sha256: str


def _read(text: str | bytes, what: str) -> dict[str, object]:
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("v") != FORMAT:
        raise ValueError(f"{what} is not of format {FORMAT}, which this release reads; upgrade, or repair the table")
    return data


def committed_files_json(files: Iterable[FileIdentity]) -> str:
    """The list of committed files: the value of the property, or the body of a manifest when over `INLINE_BYTES`."""
    rows = sorted([file.key, file.etag, file.last_modified] for file in files)
    return json.dumps({"v": FORMAT, "files": rows}, separators=(",", ":"))


def manifest_pointer_json(uri: str, body: bytes) -> str:
    """The value of the property that points to a manifest with this body."""
    pointer = {"v": FORMAT, "manifest": uri, "sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(pointer, separators=(",", ":"))


def parse_committed_files(text: str | bytes) -> frozenset[FileIdentity] | ManifestPointer:
    """The committed files, or where they are. Raises ValueError for another format."""
    data = _read(text, f"property {COMMITTED_FILES}")
    if "manifest" in data:
        return ManifestPointer(str(data["manifest"]), str(data["sha256"]))
    rows = data["files"]
    if not isinstance(rows, list):
        raise TypeError(f"property {COMMITTED_FILES} holds no list of files; repair the table")
    return frozenset(FileIdentity(*row) for row in rows)


def parse_manifest(pointer: ManifestPointer, body: bytes) -> frozenset[FileIdentity]:
    """The committed files in a manifest. Raises ValueError if its bytes are not those the property names."""
    if hashlib.sha256(body).hexdigest() != pointer.sha256:
        raise ValueError(f"manifest {pointer.uri} is not the one the table names (SHA-256 differs); restore it")
    files = parse_committed_files(body)
    if isinstance(files, ManifestPointer):
        raise TypeError(f"manifest {pointer.uri} points to another manifest; restore it")
    return files


def loads_json(loads: Iterable[Load]) -> str:
    """The value of the property that holds every complete load."""
    return json.dumps({"v": FORMAT, "loads": [load.to_json() for load in loads]}, separators=(",", ":"))


def parse_loads(text: str) -> tuple[Load, ...]:
    """The loads that `loads_json` wrote. Raises ValueError for another format."""
    rows = _read(text, f"property {LOADS}")["loads"]
    if not isinstance(rows, list):
        raise TypeError(f"property {LOADS} holds no list of loads; repair the table")
    return tuple(Load.from_json(row) for row in rows)
