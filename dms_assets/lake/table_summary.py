"""What a validated table says of itself in its properties alone: cheap enough for every tick of a sensor."""

from __future__ import annotations

from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from dms_assets.model.commit_plan import BATCH
from dms_assets.model.commit_properties import LOADS, parse_loads
from dms_assets.model.load import Load


@dataclass(frozen=True, slots=True)
class TableSummary:
    """The last batch (0 before the first) and all complete loads of a table."""

    batch: int = 0
    loads: tuple[Load, ...] = ()


def read_summary(catalog: Catalog, identifier: tuple[str, str]) -> TableSummary:
    """The summary of a table; an empty one before the table is there."""
    try:
        properties = catalog.load_table(identifier).properties
    except NoSuchTableError:
        return TableSummary()
    loads = parse_loads(properties[LOADS]) if LOADS in properties else ()
    return TableSummary(int(properties.get(BATCH, "0")), loads)
