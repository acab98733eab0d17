"""Where one installation keeps the lake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dms_assets.lake.object_store import ObjectStore

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


@dataclass(frozen=True, slots=True)
class LakeStores:
    """Stores and catalog. Landing, archive and quarantine are of one kind, since files are copied between them.

    `scratch` is a local folder for files while they are validated; locally on the disk of the warehouse.
    """

    landing: ObjectStore
    archive: ObjectStore
    quarantine: ObjectStore
    ledger: ObjectStore
    catalog: Catalog
    scratch: Path
