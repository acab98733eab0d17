"""What is judged: a declared source, the facts found in its database, and who will extract it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from dms_assets.model.names import TableName, quote
from dms_assets.model.source_spec import SourceSpec, TableSpec
from dms_assets.preflight.facts import Column, Extractor, Facts, Relation

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]*")


@dataclass(frozen=True, slots=True)
class GivenNames:
    """Names that the curated layer gives: `columns` of its relations, `suffixes` of the relations beside a table."""

    columns: tuple[str, ...]
    suffixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A source under preflight.

    `own_slots` are the slots of its live task, None if DMS could not be asked; `sslmode` is what its secret asks for.
    """

    spec: SourceSpec
    facts: Facts
    extractor: Extractor
    given: GivenNames
    own_slots: frozenset[str] | None = None
    sslmode: str | None = None

    @property
    def role(self) -> str:
        """The extracting user, quoted."""
        return quote(self.facts.role.name)

    def declared(self) -> Iterator[tuple[TableSpec, Relation]]:
        """The declared tables that the schema has."""
        for table in self.spec.tables:
            if table.name in self.facts.relations:
                yield table, self.facts.relations[table.name]

    def tables(self) -> Iterator[tuple[TableSpec, Relation]]:
        """The declared tables that can be extracted at all."""
        return ((spec, found) for spec, found in self.declared() if found.is_table and not found.partition_of)


def qualified(name: TableName) -> str:
    """`"schema"."table"`."""
    return f"{quote(name.schema)}.{quote(name.table)}"


def kept_columns(spec: TableSpec, relation: Relation) -> list[Column]:
    """The columns that are extracted: neither excluded by the declaration nor generated."""
    excluded = {entry.column for entry in spec.exclude_columns}
    return [column for column in relation.columns if column.name not in excluded and not column.generated]


def exclusion(table: str, reasons: Mapping[str, str]) -> str:
    """The part of `defs.yaml` that leaves columns out."""
    lines = [
        f"      - {{column: {yaml_text(column)}, reason: {yaml_text(reason)}}}" for column, reason in reasons.items()
    ]
    return "\n".join(["tables:", f"  - name: {yaml_text(table)}", "    exclude_columns:", *lines])


def yaml_text(text: str) -> str:
    """A name in a part of a `defs.yaml`: `true` and `1` stay text, and whatever it holds is only that."""
    if _WORD.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', width=math.inf).rstrip("\n")


def identity_statement(relation: Relation, identity: str) -> str:
    """What sets the replica identity of a table and all its partitions; later partitions need it again."""
    return "\n".join(f"ALTER TABLE {name} REPLICA IDENTITY {identity};" for name in relation.logged_as)
