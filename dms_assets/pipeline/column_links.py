"""Where columns come from, said twice from one description: Dagster's own lineage metadata, and links to follow.

The open-source UI keeps `dagster/column_lineage` and shows it nowhere; what it shows is the Markdown of a column's
description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import dagster as dg

LINEAGE_PAGE = "/platform/lineage"
"""The page of ours that draws the lineage of an asset's columns, below it the path of the asset's key."""

SET_BY_PLATFORM = "Set by the platform."
_SHOWN = 12
"""So many links are listed in a description; the lineage metadata has all."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A column that another is made of, with what the source says of it."""

    asset: dg.AssetKey
    column: str
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Ancestry:
    """Where a column comes from: columns of the assets before it, and the source's own columns at the far end.

    Without any, `note` says why.
    """

    origins: Sequence[Origin] = ()
    sources: Sequence[Origin] = ()
    note: str | None = None


def column_description(comment: str | None, ancestry: Ancestry) -> str | None:
    """The comment of a column with links to where it comes from, in Markdown; None if there is nothing to say."""
    parts = [comment] if comment else []
    if ancestry.origins:
        parts.append(f"**From** {_links(ancestry.origins)}")
    far = [source for source in ancestry.sources if source.asset not in {origin.asset for origin in ancestry.origins}]
    if far:
        told = [Origin(s.asset, s.column, s.comment if s.comment != comment else None) for s in far]
        parts.append(f"**Source** {_links(told)}")
    if ancestry.note:
        parts.append(f"*{ancestry.note}*")
    return "\n\n".join(parts) or None


def table_lineage(ancestry: Mapping[str, Ancestry]) -> dg.TableColumnLineage:
    """Dagster's own metadata: for each column the columns of other assets it is made of, none for those without."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(origin.asset, origin.column) for origin in found.origins]
            for column, found in ancestry.items()
        }
    )


def lineage_page(key: dg.AssetKey) -> dg.UrlMetadataValue:
    """Link to the page that draws the lineage of an asset's columns."""
    return dg.MetadataValue.url(f"{LINEAGE_PAGE}/{_path(key)}")


def _links(origins: Sequence[Origin]) -> str:
    links = [_link(origin) for origin in origins[:_SHOWN]]
    if len(origins) > _SHOWN:
        links.append(f"and {len(origins) - _SHOWN} more")
    return ", ".join(links)


def _link(origin: Origin) -> str:
    told = f" ({origin.comment.rstrip('.')})" if origin.comment else ""
    return f"[{origin.asset.to_user_string()}](/assets/{_path(origin.asset)}){_code('.' + origin.column)}{told}"


def _path(key: dg.AssetKey) -> str:
    return "/".join(quote(part, safe="") for part in key.path)


def _code(text: str) -> str:
    """A Markdown code span of exactly this text: column names come from outside."""
    one_line = re.sub(r"\s+", " ", text)
    longest = max((len(run) for run in re.findall("`+", one_line)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if longest else ""
    return f"{fence}{padding}{one_line}{padding}{fence}"
