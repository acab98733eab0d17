"""Extra connection attributes: settings as `name=value;...`, the only way to some that the API has no member for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SETTINGS = {"postgres": "PostgreSQLSettings", "aurora-postgresql": "PostgreSQLSettings", "s3": "S3Settings"}
_ATTRIBUTE_ONLY = {"mapunboundednumericasstring": "MapUnboundedNumericAsString"}


def parse_attributes(text: str) -> dict[str, Any]:
    """`a=1;b=true` as a mapping with members as the API spells them (first letter upper case), booleans as such."""
    found: dict[str, Any] = {}
    for part in filter(None, (item.strip() for item in text.split(";"))):
        name, _, value = part.partition("=")
        spelled = _ATTRIBUTE_ONLY.get(name.strip().lower(), name.strip()[:1].upper() + name.strip()[1:])
        value = value.strip()
        found[spelled] = {"true": True, "false": False}.get(value.lower(), value)
    return found


def endpoint_settings(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an endpoint's engine: its settings member, then its extra connection attributes over it."""
    given: dict[str, Any] = endpoint.get(_SETTINGS[endpoint["EngineName"]]) or {}
    return {**given, **parse_attributes(endpoint.get("ExtraConnectionAttributes") or "")}
