"""Names of resources: ARNs with random ids, as DMS makes them."""

from __future__ import annotations

import secrets
import string
from typing import Any

REGION, ACCOUNT = "eu-west-1", "000000000000"
_ALPHABET = string.ascii_uppercase + "234567"
_LENGTH = 26


def new_arn(kind: str, identifier: str | None = None) -> str:
    """`arn:aws:dms:<region>:<account>:<kind>:<id>`, with a random id unless one was given."""
    resource = identifier or "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return f"arn:aws:dms:{REGION}:{ACCOUNT}:{kind}:{resource}"


def tags(request: dict[str, Any]) -> list[dict[str, str]]:
    """The tags of a create request."""
    given: list[dict[str, str]] = request.get("Tags", [])
    return given
