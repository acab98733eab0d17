"""Keys as comparable texts: how they are named to those who may not see values, and how their rows are found again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from psycopg.sql import Literal

from dms_assets.model.names import quote
from dms_assets.reconcile.comparable_text import source_text
from dms_assets.reconcile.postgres_columns import PostgresColumn
from dms_assets.reconcile.source_state import Condition

Key = tuple[str | None, ...]
"""The comparable texts of a key's columns, in the key's order."""

_EXACT = {"int2", "int4", "int8", "oid", "uuid"}
"""Types whose comparable text casts back to the value, so that the source can use its index."""


def key_hash(key: Sequence[str | None]) -> str:
    """Sixteen hexadecimal digits that name a key without telling it."""
    text = "\x1f".join("-" if part is None else f"{len(part)}:{part}" for part in key)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def in_keys(key: Sequence[str], wanted: Sequence[Key]) -> Condition:
    """The condition that a row's key is one of some. Raises ValueError for no key."""
    if not wanted:
        raise ValueError("no key is named; leave the table out instead")

    def condition(columns: Sequence[PostgresColumn]) -> str:
        by_name = {column.name: column for column in columns}
        left, right = [], []
        for place, name in enumerate(key):
            exact = by_name[name].base_type in _EXACT
            left.append(quote(name) if exact else f"({source_text(by_name[name])})")
            right.append(f"w.k{place}{'::' + by_name[name].base_type if exact else ''}")
        arrays = ", ".join(f"{Literal(list(values)).as_string(None)}::text[]" for values in zip(*wanted, strict=True))
        names = ", ".join(f"k{place}" for place in range(len(key)))
        return f"({', '.join(left)}) in (select {', '.join(right)} from unnest({arrays}) as w({names}))"

    return condition
