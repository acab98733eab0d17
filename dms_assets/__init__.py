"""DMS Assets: a relational source in the data lake through AWS DMS, every change exactly once."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dms_assets.pipeline.component import DmsSource

__all__ = ["DmsSource"]


def __getattr__(name: str) -> object:
    # `type: dms_assets.DmsSource` in a defs.yaml means this attribute; what does without Dagster must not import it.
    if name == "DmsSource":
        from dms_assets.pipeline.component import DmsSource  # noqa: PLC0415

        return DmsSource
    raise AttributeError(f"module 'dms_assets' has no attribute '{name}'")
