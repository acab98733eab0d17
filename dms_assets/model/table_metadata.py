"""What the platform knows of a source table: columns with exact types, keys, comments; in immutable versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import TableName

FORMAT = 1
"""Format of the stored JSON; raised when its meaning changes."""


def version_of(document: Mapping[str, Any]) -> str:
    """The name of the version that a JSON object is, as `TableMetadata.to_json` wrote it, by whichever release."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ColumnMetadata:
    """One column, in source order.

    `type` is the exact type in landing; `source_type` is the engine's own spelling, for people.
    `length` is the longest value allowed, in characters (strings) or bytes (binary).
    `enum` are the only values allowed, if the source restricts them.
    """

    name: str
    type: LogicalType
    source_type: str
    nullable: bool = True
    length: int | None = None
    enum: tuple[str, ...] | None = None
    comment: str | None = None
    generated: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {**asdict(self), "type": str(self.type), "enum": list(self.enum) if self.enum else None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ColumnMetadata:
        """The column that `to_json` wrote."""
        enum = data.get("enum")
        return cls(**{**data, "type": LogicalType.parse(data["type"]), "enum": tuple(enum) if enum else None})


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference from `columns` to `references_columns` of another table of the same source."""

    columns: tuple[str, ...]
    references: TableName
    references_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """Columns that an earlier version of a table lacked, and when it was known that they are there."""

    columns: frozenset[str]
    known_at: datetime


@dataclass(frozen=True, slots=True)
class TableMetadata:
    """A source table. `key` are the primary key columns, empty for a table without a key.

    `full_images` is True when the source logs all columns of a deleted or updated row
    (PostgreSQL: REPLICA IDENTITY FULL; Oracle: supplemental logging of all columns).
    """

    name: TableName
    columns: tuple[ColumnMetadata, ...]
    key: tuple[str, ...] = ()
    comment: str | None = None
    foreign_keys: tuple[ForeignKey, ...] = ()
    full_images: bool = False
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name} has two columns of one name")
        missing = [name for name in self.key if name not in names]
        if missing:
            raise ValueError(f"key columns {missing} are not columns of table {self.name}")

    @property
    def version(self) -> str:
        """The name of this version: 16 hexadecimal digits of the digest of its content."""
        return version_of(self.to_json())

    def column(self, name: str) -> ColumnMetadata:
        """The column called `name`. Raises KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column '{name}'")

    def added_since(self, older: TableMetadata) -> frozenset[str]:
        """Columns that an older version lacks and that hold null where nothing was said of them."""
        known = {column.name for column in older.columns}
        return frozenset(column.name for column in self.columns if column.name not in known and column.nullable)

    def without(self, names: Collection[str]) -> TableMetadata:
        """The same table without some columns, which are remembered in `excluded`."""
        kept = tuple(column for column in self.columns if column.name not in names)
        return replace(self, columns=kept, excluded=tuple(sorted({*self.excluded, *names})))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "format": FORMAT,
            "schema": self.name.schema,
            "table": self.name.table,
            "comment": self.comment,
            "columns": [column.to_json() for column in self.columns],
            "key": list(self.key),
            "foreign_keys": [
                {"columns": list(f.columns), "references": str(f.references), "to": list(f.references_columns)}
                for f in self.foreign_keys
            ],
            "full_images": self.full_images,
            "excluded": list(self.excluded),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TableMetadata:
        """The metadata that `to_json` wrote. Raises ValueError for a format this release cannot read."""
        if data.get("format") != FORMAT:
            raise ValueError(f"table metadata of format {data.get('format')!r}; this release reads format {FORMAT}")
        return cls(
            name=TableName(data["schema"], data["table"]),
            columns=tuple(ColumnMetadata.from_json(column) for column in data["columns"]),
            key=tuple(data["key"]),
            comment=data["comment"],
            foreign_keys=tuple(
                ForeignKey(tuple(f["columns"]), TableName.parse(f["references"]), tuple(f["to"]))
                for f in data["foreign_keys"]
            ),
            full_images=data["full_images"],
            excluded=tuple(data["excluded"]),
        )
