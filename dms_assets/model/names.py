"""Names: of tables, of the relations made from them, and how identifiers are quoted."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Names the platform itself gives: sources, schemas and tables as they appear in the lake."""


SCHEMA_NAME = re.compile(r"[A-Za-z0-9_]{1,63}")
"""Names of source schemas that can be a folder in landing and a part of a warehouse schema's name."""

INSIDE = "_scd2_"
"""How the columns begin that the SQL of histories uses inside; no column of a source may."""


class Layer(StrEnum):
    """A layer of the lake; the second element of every asset key."""

    SOURCE = "source"
    METADATA = "metadata"
    LANDING = "landing"
    VALIDATED = "validated"
    CURATED = "curated"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table of one source, as the source spells it."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @classmethod
    def parse(cls, text: str) -> TableName:
        """`schema.table`. Raises ValueError if there is not exactly one dot."""
        schema, dot, table = text.partition(".")
        if not (schema and dot and table) or "." in table:
            raise ValueError(f"'{text}' is not a table name; write it as schema.table")
        return cls(schema, table)


SourceTable = tuple[str, TableName]
"""A table with the name of its source."""


def asset_path(source: str, layer: Layer, name: TableName, relation: str | None = None) -> list[str]:
    """The Dagster asset key of a table in a layer: [source, layer, schema, table]."""
    return [source, layer.value, name.schema, relation or name.table]


def warehouse_schema(source: str, schema: str, layer: Layer) -> str:
    """The schema of a layer in the warehouse and the Iceberg catalog: `<source>_<schema>_<layer>`."""
    return f"{source}_{schema}_{layer.value}"


def folded(name: str) -> str:
    """One spelling of the names that some engine takes for the same: compatible forms and cases are one.

    Glue and Athena keep names in lower case, DuckDB tells no case; people and tools normalise forms.
    """
    while (same := unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())) != name:
        name = same
    return name


def quote(identifier: str) -> str:
    """A quoted identifier: the same rule in DuckDB, PostgreSQL and Athena's SELECT dialect.

    Raises ValueError for a NUL character, which none of them can hold.
    """
    if "\0" in identifier:
        raise ValueError(f"identifier {identifier!r} holds a NUL character")
    return '"' + identifier.replace('"', '""') + '"'
