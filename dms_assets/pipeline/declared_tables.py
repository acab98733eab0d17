"""Tables as people name them, found among the declared ones."""

from __future__ import annotations

from collections.abc import Iterable

from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec


class UnknownTableError(LookupError):
    """Tables were named that the source does not declare."""


def declared_tables(spec: SourceSpec, names: Iterable[str]) -> list[TableName]:
    """The tables of some names, `table` or `schema.table`, each once. Raises UnknownTableError for all unknown ones."""
    known = {text: name for name in spec.table_names for text in (name.table, str(name))}
    asked = list(names)
    unknown = sorted({text for text in asked if text not in known})
    if unknown:
        declared = ", ".join(name.table for name in spec.table_names)
        raise UnknownTableError(
            f"source '{spec.name}' declares no table {', '.join(unknown)}; name some of these: {declared}"
        )
    return list(dict.fromkeys(known[text] for text in asked))
