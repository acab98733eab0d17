"""The format number of what is stored: no release takes for its own what a newer one wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_MEMBER = "format"
_UNNUMBERED = 1
"""The format of what was written before it got a number."""


class DocumentFormatError(ValueError):
    """What is stored is of another release's format."""


def check_format(found: int, newest: int, what: str) -> None:
    """Raise DocumentFormatError if `what` is of a format that this release, with `newest`, does not know."""
    if found > newest:
        raise DocumentFormatError(
            f"{what} is of format {found}, and this release reads formats up to {newest}; "
            "run the release that wrote it, or a newer one"
        )


def dump(content: Mapping[str, Any], number: int) -> str:
    """The content as JSON, with its format."""
    return json.dumps({_MEMBER: number, **content})


def load(text: str | bytes, newest: int, what: str) -> dict[str, Any]:
    """The content that `dump` wrote, or an earlier release without a number. Raises DocumentFormatError."""
    data: dict[str, Any] = json.loads(text)
    check_format(data.pop(_MEMBER, _UNNUMBERED), newest, what)
    return data
