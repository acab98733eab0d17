"""The page of an asset's column lineage: every column, what it is made of up to the source, and what uses it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import HTMLResponse

from dms_assets.web.lineage import AssetPath, Column, Step
from dms_assets.web.lineage_metadata import AssetMetadata, ColumnFacts
from dms_assets.web.page import not_found, render


@dataclass(frozen=True, slots=True)
class _Row:
    facts: ColumnFacts
    step: Step
    origins: tuple[Column, ...]
    used_by: tuple[Column, ...]


def lineage_page(metadata: AssetMetadata, asset: AssetPath) -> HTMLResponse:
    """The page, or one that says there is no such asset."""
    if not asset or not metadata.has(asset):
        return not_found(f"no asset is called '{'/'.join(asset)}'; the Dagster UI lists all of them")
    lineage = metadata.lineage()
    children = metadata.children(asset)
    made = lineage.of(asset)
    used_by = lineage.used_by(asset, children)
    known = {facts.name: facts for facts in metadata.columns(asset)}
    names = dict.fromkeys([*known, *(made or {}), *used_by])
    rows = [
        _Row(
            facts=known.get(name) or ColumnFacts(name, "", ""),
            step=lineage.steps(Column(asset, name)),
            origins=lineage.origins(Column(asset, name)),
            used_by=used_by.get(name, ()),
        )
        for name in names
    ]
    return render(
        "lineage.html",
        asset=asset,
        rows=rows,
        parents=metadata.parents(asset),
        children=children,
        # An asset that is made of others and says nothing of its columns has a hole, and the page says so.
        unknown=made is None and bool(metadata.parents(asset)),
        silent=[child for child in children if lineage.of(child) is None],
    )
