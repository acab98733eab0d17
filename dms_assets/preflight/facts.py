"""What a preflight knows of a source: read once from its catalogue, then judged without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from dms_assets.local_dms.column import SourceColumn
from dms_assets.model.names import TableName


class Extractor(StrEnum):
    """Which service extracts: they read the log in different ways and ask different things of a source."""

    AWS = "aws"
    """AWS DMS, plugin test_decoding."""
    LOCAL = "local"
    """Local DMS: a publication and plugin pgoutput."""


class RelationKind(StrEnum):
    """`pg_class.relkind`, as far as a schema's relations can hold rows."""

    TABLE = "r"
    PARTITIONED = "p"
    FOREIGN = "f"
    VIEW = "v"
    MATERIALIZED_VIEW = "m"


@dataclass(frozen=True, slots=True)
class Server:
    """The server. `settings` are in milliseconds, bytes or counts (-1 and 0 as PostgreSQL means them)."""

    version: int
    database: str
    encoding: str
    in_recovery: bool
    managed: bool
    encrypted: bool
    loopback: bool
    wal_level: str
    wal_senders: int
    slots: int
    settings: Mapping[str, int]
    clock_ahead: timedelta
    """By how much the source's clock is ahead of ours."""
    clock_error: timedelta
    """How wrong `clock_ahead` can be: half the time the question took."""


@dataclass(frozen=True, slots=True)
class Role:
    """The user that extracts."""

    name: str
    superuser: bool
    replication: bool
    creates_in_database: bool
    schema_usage: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot. `retained` is the log it holds back, in bytes; None if there is none left for it."""

    name: str
    active: bool
    wal_status: str | None
    reason: str | None
    retained: int | None


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction with writes that is open: the making of a slot waits for its end."""

    pid: int | None
    gid: str | None
    owner: str
    age: timedelta


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a declared table."""

    source: SourceColumn
    source_type: str
    generated: bool
    readable: bool
    toastable: bool

    @property
    def name(self) -> str:
        """Its name, as the source spells it."""
        return self.source.name


@dataclass(frozen=True, slots=True)
class Measured:
    """What the values of a column are: `part` of the rows was read (1: all).

    `longest` in bytes, of its text unless it is binary; `out_of_line` counts values that are stored outside the row,
    None where the server cannot tell; `digits` and `scale` of numbers; `finer_than_ms` of times of day.
    """

    part: float
    longest: int | None = None
    out_of_line: int | None = None
    digits: int | None = None
    scale: int | None = None
    finer_than_ms: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key constraint."""

    constraint: str
    columns: tuple[str, ...]
    deferrable: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of the source's schema. `columns` are read for declared ones only."""

    name: TableName
    oid: int
    kind: str
    unlogged: bool
    partition_of: TableName | None
    children: tuple[str, ...]
    """Tables that inherit from it and are not its partitions, quoted and qualified."""
    owner: str
    owned: bool
    selectable: bool
    row_security: bool
    """Whether row security hides rows from the user."""
    identity: str
    """`pg_class.relreplident`; the weakest of its partitions if it has some."""
    logged_as: tuple[str, ...]
    """The table and its partitions, quoted and qualified: each has a replica identity of its own."""
    identity_columns: tuple[str, ...]
    key: Key | None
    unique_columns: tuple[str, ...]
    """Columns of a unique index that could be the key: none nullable, checked at once, of all rows."""
    size: int
    toast_size: int
    changed_rows: int
    """Updates and deletes since the server's statistics began."""
    truncators: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    measured: Mapping[str, Measured] | None = field(default=None)
    """By column; None where nothing had to be measured or could be; see `measuring_failed`."""
    measuring_failed: str | None = None

    @property
    def is_table(self) -> bool:
        """Whether it holds rows of its own that the log tells of."""
        return self.kind in {RelationKind.TABLE, RelationKind.PARTITIONED}


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. `relations` are those of the declared schema, by name."""

    server: Server
    role: Role
    schema_exists: bool
    relations: Mapping[str, Relation]
    slots: tuple[Slot, ...]
    transactions: tuple[OpenTransaction, ...]
    publications: tuple[str, ...]
    extensions: frozenset[str]
