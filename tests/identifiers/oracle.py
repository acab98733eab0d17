"""Which names must be refused, worked out apart from the product: it imports nothing of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from tests.identifiers.schemas import Schema

LANDING = ("Op", "dms_timestamp", "dms_change_seq", "dms_stream_position")
LOG = (
    *("_op", "_stream", "_seq", "_commit_at", "_position", "_load_id", "_file", "_file_row", "_change_id", "_batch"),
    *("_metadata_version", "_state_seq", "_state_file", "_state_file_row", "_follows_load", "_last_batch"),
)
HISTORY = ("valid_from", "valid_to", "is_current")
INSIDE = "_scd2_"
BESIDE = ("_versions", "_history", "__loads")
BUILDING = ("__dbt_tmp", "__dbt_backup")


def form(name: str) -> str:
    """One spelling of all names that somebody may take for the same: fully decomposed, without case."""
    while True:
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
        if folded == name:
            return name
        name = folded


_TAKEN = {form(name) for name in (*LANDING, *LOG, *HISTORY)}


def refused_columns(columns: Iterable[str]) -> dict[str, str]:
    """The columns of a table that cannot stay as they are, with the code of what is found."""
    seen: set[str] = set()
    refused: dict[str, str] = {}
    for column in columns:
        same = form(column)
        if same in seen:
            refused[column] = "column_names_collide"
        elif same in _TAKEN or same.startswith(INSIDE):
            refused[column] = "column_name_taken"
        seen.add(same)
    return refused


def schema_is_refused(name: str) -> bool:
    """Whether the name cannot be a part of a folder and of a warehouse schema."""
    return re.fullmatch(r"[A-Za-z0-9_]{1,63}", name) is None


def table_is_refused(name: str) -> bool:
    """Whether a declaration cannot ask for a table of the name."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) is None


def refused_relations(schema: Schema) -> set[str]:
    """Declared tables whose name is that of a relation made for another one."""
    declared = [table.name for table in schema.declared]
    built = {f"{name}{suffix}" for name in declared for suffix in ("", "_versions", "_history")}
    made = {f"{name}{suffix}" for name in declared for suffix in BESIDE}
    made |= {f"{name}{suffix}" for name in built for suffix in BUILDING}
    return {name for name in declared if name in made}


def plain(name: str) -> bool:
    """Whether a name needs no quotes and means nothing."""
    return re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None
