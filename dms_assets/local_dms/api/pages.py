"""Filters and pages of describe operations (dms.md 4.6)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from dms_assets.local_dms.faults import ApiFault, invalid_value

_DEFAULT_PAGE, _SMALLEST_PAGE, _LARGEST_PAGE = 100, 20, 100


def filtered(
    documents: Sequence[dict[str, Any]], filters: Sequence[Mapping[str, Any]], members: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Documents that match all filters; `members` maps filter names to members. Raises ApiFault for unknown names."""
    found = list(documents)
    for one in filters:
        member = members.get(one["Name"])
        if member is None:
            raise invalid_value(f"Filter '{one['Name']}' is not one of {', '.join(sorted(members))}.")
        found = [document for document in found if str(document.get(member)) in one["Values"]]
    return found


def existing(
    documents: Sequence[dict[str, Any]],
    request: Mapping[str, Any],
    members: Mapping[str, str],
    what: str,
) -> list[dict[str, Any]]:
    """Like `filtered`, and ResourceNotFoundFault if filters were given and match nothing: waiters rely on it."""
    filters = request.get("Filters", [])
    found = filtered(documents, filters, members)
    if filters and not found:
        raise ApiFault("ResourceNotFoundFault", f"No {what} found matching provided filters")
    return found


def page(
    member: str, documents: Sequence[dict[str, Any]], request: Mapping[str, Any], *, largest: int = _LARGEST_PAGE
) -> dict[str, Any]:
    """One page of an answer, with a Marker if there is more. Raises ApiFault for a bad size or marker."""
    size = request.get("MaxRecords", _DEFAULT_PAGE)
    if not _SMALLEST_PAGE <= size <= largest:
        raise invalid_value(f"MaxRecords must be between {_SMALLEST_PAGE} and {largest}, not {size}.")
    start = _position(request["Marker"]) if request.get("Marker") else 0
    chosen = list(documents[start : start + size])
    more = start + size < len(documents)
    marker = base64.b64encode(str(start + size).encode()).decode() if more else None
    return {member: chosen, "Marker": marker}


def _position(marker: str) -> int:
    try:
        return int(base64.b64decode(marker, validate=True))
    except (binascii.Error, ValueError) as error:
        raise invalid_value(f"Marker '{marker}' is not one that this service gave.") from error
