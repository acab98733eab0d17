"""Which data files the validated views of the warehouse read: those must stay, whatever the lake has done since."""

from __future__ import annotations

import re
from pathlib import Path

from dms_assets.curation.warehouse import open_warehouse
from dms_assets.model.names import Layer

_FILE = re.compile(r"'((?:[^']|'')*\.parquet)'")


def pinned_files(warehouse: Path) -> frozenset[str]:
    """Their paths, as the views name them; none while there is no warehouse.

    A table that is held keeps its view, and so its files, for as long as it is held. Raises WarehouseBusyError.
    """
    if not warehouse.is_file():
        return frozenset()
    with open_warehouse(warehouse) as connection:
        views = connection.execute(
            f"select sql from duckdb_views() where not internal and ends_with(schema_name, '_{Layer.VALIDATED.value}')"
        ).fetchall()
    return frozenset(found.replace("''", "'") for (sql,) in views for found in _FILE.findall(sql))
