"""Links from assets and checks to the pages about quarantined files, which the platform's own web server has."""

from collections.abc import Collection
from urllib.parse import quote

import dagster as dg

_MAX_LINKS = 20


def quarantine_path(source: str, entry_id: str | None = None) -> str:
    """The page of one rejected file, or of all of a source: root-relative, on the host that shows the link."""
    page = f"/platform/quarantine/{quote(source, safe='')}"
    return page if entry_id is None else f"{page}/{quote(entry_id, safe='')}"


def report_links(source: str, entry_ids: Collection[str]) -> dict[str, dg.MetadataValue]:
    """Metadata that leads to the reports: one address to click, and a list where there are several; {} for none."""
    ids = sorted(entry_ids)
    if not ids:
        return {}
    if len(ids) == 1:
        return {"report": dg.MetadataValue.url(quarantine_path(source, ids[0]))}
    listed = [f"- [{entry_id}]({quarantine_path(source, entry_id)})" for entry_id in ids[:_MAX_LINKS]]
    if len(ids) > _MAX_LINKS:
        listed.append(f"- and {len(ids) - _MAX_LINKS} more")
    return {
        "report": dg.MetadataValue.url(quarantine_path(source)),
        "reports": dg.MetadataValue.md("\n".join(listed)),
    }
