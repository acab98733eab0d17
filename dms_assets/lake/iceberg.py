"""Iceberg catalogs: SQLite and a folder on a laptop, Glue and S3 in AWS."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.catalog import Catalog, load_catalog

CATALOG = "dms_assets"


def local_catalog(lake_dir: Path) -> Catalog:
    """The catalog of a folder, `catalog.db` in it, data below it; made if it is not there.

    Safe for several processes: SQLite waits up to a minute for another writer.
    """
    lake_dir.mkdir(parents=True, exist_ok=True)
    return load_catalog(
        CATALOG,
        **{
            "type": "sql",
            "uri": f"sqlite:///{lake_dir.absolute() / 'catalog.db'}?timeout=60",
            # Not as_uri(): pyiceberg takes the path as it stands, a quoted blank would name another folder.
            "warehouse": f"file://{lake_dir.absolute()}",
            "py-io-impl": "dms_assets.lake.durable_io.DurableFileIO",
        },
    )


def glue_catalog(warehouse: str, region: str) -> Catalog:
    """The Glue catalog of a region, data below `warehouse` (`s3://bucket/prefix`)."""
    return load_catalog(CATALOG, **{"type": "glue", "warehouse": warehouse, "glue.region": region, "s3.region": region})
