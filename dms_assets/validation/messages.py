"""What parent and child say to each other: one JSON object a line, no pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.column_check import ColumnCheck
from dms_assets.model.landed_file import FileIdentity, FileKind
from dms_assets.model.table_metadata import Added, TableMetadata
from dms_assets.validation.outcome import FileVerdict


@dataclass(frozen=True, slots=True)
class TableTask:
    """What files of a table are judged by.

    `ordered_files`: rows of a file are in order of their sequence. Of each of `added`, a file of changes from before
    it was known may lack all columns; they are null then.
    """

    metadata: TableMetadata
    checks: tuple[ColumnCheck, ...]
    columns: LandingColumns
    unique_positions: bool
    ordered_files: bool = False
    added: tuple[Added, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "metadata": self.metadata.to_json(),
            "checks": [check.model_dump(mode="json") for check in self.checks],
            "columns": asdict(self.columns),
            "unique_positions": self.unique_positions,
            "ordered_files": self.ordered_files,
            "added": [[sorted(item.columns), item.known_at.isoformat()] for item in self.added],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TableTask:
        """The task that `to_json` wrote."""
        return cls(
            metadata=TableMetadata.from_json(data["metadata"]),
            checks=tuple(ColumnCheck.model_validate(check) for check in data["checks"]),
            columns=LandingColumns(**data["columns"]),
            unique_positions=data["unique_positions"],
            ordered_files=data["ordered_files"],
            added=tuple(Added(frozenset(names), datetime.fromisoformat(at)) for names, at in data["added"]),
        )


@dataclass(frozen=True, slots=True)
class FileTask:
    """One file to validate: a local copy of what was delivered. `load_id` and `boundary_at` are set for LOAD files."""

    path: Path
    identity: FileIdentity
    kind: FileKind
    stream: int
    load_id: str | None = None
    boundary_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "path": str(self.path),
            "identity": [self.identity.key, self.identity.etag, self.identity.last_modified],
            "kind": self.kind.value,
            "stream": self.stream,
            "load_id": self.load_id,
            "boundary_at": self.boundary_at.isoformat() if self.boundary_at else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FileTask:
        """The task that `to_json` wrote."""
        return cls(
            path=Path(data["path"]),
            identity=FileIdentity(*data["identity"]),
            kind=FileKind(data["kind"]),
            stream=data["stream"],
            load_id=data["load_id"],
            boundary_at=datetime.fromisoformat(data["boundary_at"]) if data["boundary_at"] else None,
        )


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A data file that validation wrote, with rows of accepted files only."""

    path: Path
    rows: int


@dataclass(frozen=True, slots=True)
class Validated:
    """The answer on some files: a verdict for each, in order, and the data files with the accepted rows.

    A verdict is None where the file needs more memory than there is: it is to be tried again alone, carefully.
    """

    verdicts: tuple[FileVerdict | None, ...]
    outputs: tuple[OutputFile, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "verdicts": [verdict.to_json() if verdict else None for verdict in self.verdicts],
            "outputs": [[str(output.path), output.rows] for output in self.outputs],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Validated:
        """The answer that `to_json` wrote."""
        return cls(
            verdicts=tuple(FileVerdict.from_json(verdict) if verdict else None for verdict in data["verdicts"]),
            outputs=tuple(OutputFile(Path(path), rows) for path, rows in data["outputs"]),
        )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A load row whose key is in the load already. `file` is the landing key."""

    file: str
    row: int
    key_hash: str


def table_request(task: TableTask) -> dict[str, Any]:
    """Sets the table that the requests after it are about."""
    return {"do": "table", **task.to_json()}


def validate_request(files: Sequence[FileTask], output: Path, batch: int, *, careful: bool) -> dict[str, Any]:
    """Validate files; data files are named `output` and a number."""
    tasks = [file.to_json() for file in files]
    return {"do": "validate", "files": tasks, "output": str(output), "batch": batch, "careful": careful}


def count_request(path: Path) -> dict[str, Any]:
    """How many rows does the footer of a file claim?"""
    return {"do": "count", "path": str(path)}


def duplicates_request(outputs: Sequence[OutputFile]) -> dict[str, Any]:
    """Which rows of these data files of one load repeat a key?"""
    return {"do": "duplicates", "outputs": [[str(output.path), output.rows] for output in outputs]}


def encode(message: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
