"""What a source's task and endpoints should be, and in what those that DMS has differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MIGRATION_TYPE: Final = "full-load-and-cdc"
_NEVER_TOLD = {"Password"}
"""DMS takes these and never gives them back: they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The requests for the two endpoints, the table mappings and the task settings of a source."""

    source: Mapping[str, Any]
    target: Mapping[str, Any]
    mappings: Mapping[str, Any]
    settings: Mapping[str, Any]

    def differences(self, source: Mapping[str, Any], target: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
        """In what DMS's answers (Endpoint, Endpoint, ReplicationTask) are not as wanted, in words; empty if nothing.

        Settings that are not asked for may be anything: DMS fills in its defaults. A password is never compared.
        """
        found = [
            *(f"source endpoint {text}" for text in _differences(self.source, source)),
            *(f"target endpoint {text}" for text in _differences(self.target, target)),
            *_mapping_differences(self.mappings, json.loads(task.get("TableMappings") or "{}")),
            *_differences(self.settings, json.loads(task.get("ReplicationTaskSettings") or "{}")),
        ]
        if task.get("MigrationType") != MIGRATION_TYPE:
            found.append(f"MigrationType: {task.get('MigrationType')}, should be {MIGRATION_TYPE}")
        return found


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in wanted.items():
        place = f"{path}.{name}" if path else name
        if name in _NEVER_TOLD:
            continue
        there = found.get(name)
        if name == "ExtraConnectionAttributes":
            # DMS adds attributes of its own to these.
            if missing := _attributes(value) - _attributes(there):
                yield f"{place}: without {', '.join(sorted(missing))}"
        elif isinstance(value, Mapping):
            yield from _differences(value, there if isinstance(there, Mapping) else {}, place)
        # AWS answers with its own spelling of some enumerations (SOURCE, postgres, parquet-2-0).
        elif _plain(value) != _plain(there):
            yield f"{place}: {there if there is not None else 'not set'}, should be {value}"


def _attributes(text: Any) -> set[str]:
    return {part.strip().lower() for part in str(text or "").split(";") if part.strip()}


def _plain(value: Any) -> Any:
    return value.lower().replace("_", "-") if isinstance(value, str) else value


def _mapping_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    should, are = (_rules(document) for document in (wanted, found))
    added, removed = sorted(should - are), sorted(are - should)
    if added:
        yield f"table mappings without {', '.join(added)}"
    if removed:
        yield f"table mappings with {', '.join(removed)}"


def _rules(document: Mapping[str, Any]) -> set[str]:
    """Each rule in words: its number says nothing of what it does."""
    return {_rule(rule) for rule in document.get("rules", [])}


def _rule(rule: Mapping[str, Any]) -> str:
    locator = rule.get("object-locator", {})
    names = ("schema-name", "table-name", "column-name")
    place = ".".join(str(locator[name]) for name in names if name in locator)
    added = f" {rule['value']} = {rule.get('expression')}" if rule.get("value") else ""
    return f"{rule.get('rule-action')} {place}{added}"
