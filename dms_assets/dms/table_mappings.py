"""DMS table mappings: which tables and columns a task moves, and what they are called in the target.

Source: AWS DMS, "Specifying table selection and transformations rules using JSON" (dms.md 3). Rules that the
platform does not use are refused by name, never skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec


class TableMappingError(ValueError):
    """A rule is not understood or not possible; names the rule and what to do."""


class Header(StrEnum):
    """Values that DMS knows of a change, as expressions of added columns."""

    CHANGE_SEQ = "$AR_H_CHANGE_SEQ"
    STREAM_POSITION = "$AR_H_STREAM_POSITION"
    TIMESTAMP = "$AR_H_TIMESTAMP"
    COMMIT_TIMESTAMP = "$AR_H_COMMIT_TIMESTAMP"


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """A column added after the table's own."""

    name: str
    header: Header


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A source table as the target sees it: `columns` pairs source names with target names, in source order."""

    source: TableName
    schema: str
    table: str
    columns: tuple[tuple[str, str], ...]
    added: tuple[AddedColumn, ...]


_SELECTION_ACTIONS = {"include", "exclude", "explicit"}
_NAMING_ACTIONS = {"rename", "convert-lowercase"}
_COLUMN_ACTIONS = {"remove-column", "add-column", *_NAMING_ACTIONS}


def _members(text: str) -> str:
    """What stands between brackets, for a regular expression; a range that runs backwards is three characters."""
    parts, at = [], 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text) and text[at] <= text[at + 2]:
            parts.append(f"{re.escape(text[at])}-{re.escape(text[at + 2])}")
            at += 3
        else:
            parts.append(re.escape(text[at]))
            at += 1
    return "".join(parts)


def wildcard(pattern: str) -> re.Pattern[str]:
    """A DMS name pattern as a regular expression: `%` any run, `_` any one, `[_]` itself, `[ab]` `[a-d]` one of."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        close = pattern.find("]", at) if pattern[at] == "[" else -1
        if close > at + 1:
            members = _members(pattern[at + 1 : close])
            parts.append(f"[{members}]")
            at = close + 1
            continue
        parts.append({"%": ".*", "_": "."}.get(pattern[at], re.escape(pattern[at])))
        at += 1
    return re.compile("".join(parts), re.DOTALL)


def literally(name: str) -> str:
    """The DMS name pattern that only this name matches: `user_id` is `user[_]id`."""
    return re.sub(r"[%_\[]", lambda found: f"[{found[0]}]", name)


@dataclass(frozen=True, slots=True)
class _Rule:
    label: str
    action: str
    target: str
    schema: str
    table: str
    column: str
    value: str
    header: Header | None

    def covers(self, name: TableName) -> bool:
        if self.action == "explicit":
            return (self.schema, self.table) == (name.schema, name.table)
        return bool(wildcard(self.schema).fullmatch(name.schema) and wildcard(self.table).fullmatch(name.table))

    def covers_column(self, name: TableName, column: str) -> bool:
        return self.covers(name) and bool(wildcard(self.column).fullmatch(column))


@dataclass(frozen=True, slots=True)
class TableMappings:
    """Parsed rules of one task."""

    selections: tuple[_Rule, ...]
    transformations: tuple[_Rule, ...]

    def selects(self, name: TableName) -> bool:
        """Whether the task moves this table: some rule includes it and none excludes it."""
        actions = {rule.action for rule in self.selections if rule.covers(name)}
        return bool(actions & {"include", "explicit"}) and "exclude" not in actions

    def apply(self, name: TableName, columns: Sequence[str]) -> TargetTable:
        """The table and its columns after the transformations. Raises TableMappingError if two columns get one name."""
        schema = self._renamed("schema", name, name.schema, None)
        table = self._renamed("table", name, name.table, None)
        kept: list[tuple[str, str]] = []
        for column in columns:
            removed = any(
                rule.action == "remove-column" and rule.covers_column(name, column) for rule in self.transformations
            )
            if not removed:
                kept.append((column, self._renamed("column", name, column, column)))
        added = tuple(
            AddedColumn(rule.value, rule.header)
            for rule in self.transformations
            if rule.header is not None and rule.covers(name)
        )
        names = [target for _, target in kept] + [column.name for column in added]
        twice = sorted({target for target in names if names.count(target) > 1})
        if twice:
            raise TableMappingError(
                f"table {name} would have two columns named {', '.join(twice)} in the target; "
                "rename the added column or the source's in the table mappings"
            )
        return TargetTable(name, schema, table, tuple(kept), added)

    def _renamed(self, target: str, name: TableName, current: str, column: str | None) -> str:
        for rule in self.transformations:
            if rule.target != target or rule.action not in _NAMING_ACTIONS:
                continue
            if rule.covers(name) if column is None else rule.covers_column(name, column):
                current = rule.value if rule.action == "rename" else current.lower()
        return current


def parse_mappings(text: str) -> TableMappings:
    """Parse a task's TableMappings JSON. Raises TableMappingError naming the rule that is not understood."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise TableMappingError(f"the table mappings are not JSON: {error}") from error
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(rules, list):
        raise TableMappingError('the table mappings have no list "rules"')
    selections: list[_Rule] = []
    transformations: list[_Rule] = []
    for position, rule in enumerate(rules):
        label = f"rule {rule.get('rule-id', position + 1)}" if isinstance(rule, dict) else f"rule {position + 1}"
        match rule.get("rule-type") if isinstance(rule, dict) else None:
            case "selection":
                selections.append(_selection(label, rule))
            case "transformation":
                transformations.append(_transformation(label, rule))
            case other:
                raise TableMappingError(
                    f"{label}: rule-type {other!r} is not supported; use selection or transformation"
                )
    if not any(rule.action != "exclude" for rule in selections):
        raise TableMappingError("the table mappings select nothing; add a selection rule with include or explicit")
    return TableMappings(tuple(selections), tuple(transformations))


def _locator(label: str, rule: Mapping[str, Any], *names: str) -> list[str]:
    locator = rule.get("object-locator")
    values = [locator.get(name) for name in names] if isinstance(locator, dict) else []
    if not values or not all(isinstance(value, str) and value for value in values):
        raise TableMappingError(f"{label}: object-locator needs {', '.join(names)}")
    return [str(value) for value in values]


def _selection(label: str, rule: Mapping[str, Any]) -> _Rule:
    action = str(rule.get("rule-action"))
    if action not in _SELECTION_ACTIONS:
        raise TableMappingError(
            f"{label}: rule-action '{action}' is not one of {', '.join(sorted(_SELECTION_ACTIONS))}"
        )
    if rule.get("filters"):
        raise TableMappingError(f"{label}: source filters are not supported; select the whole table")
    schema, table = _locator(label, rule, "schema-name", "table-name")
    if action == "explicit" and "%" in schema + table:
        raise TableMappingError(f"{label}: explicit names exactly one table; write it without wildcards")
    return _Rule(label, action, "table", schema, table, "%", "", None)


def _transformation(label: str, rule: Mapping[str, Any]) -> _Rule:
    action, target = str(rule.get("rule-action")), str(rule.get("rule-target"))
    allowed = {"column": _COLUMN_ACTIONS, "table": _NAMING_ACTIONS, "schema": _NAMING_ACTIONS}.get(target, set())
    if action not in allowed:
        raise TableMappingError(f"{label}: transformation '{action}' of a {target} is not supported")
    schema, *rest = _locator(label, rule, "schema-name", *(["table-name"] if target != "schema" else []))
    table, column, header = (rest or ["%"])[0], "%", None
    value = str(rule.get("value") or "")
    if target == "column" and action != "add-column":
        (column,) = _locator(label, rule, "column-name")
    if action == "add-column":
        header = _header(label, rule)
    if action in {"rename", "add-column"} and not value:
        raise TableMappingError(f"{label}: {action} needs a value, the new name")
    return _Rule(label, action, target, schema, table, column, value, header)


def _header(label: str, rule: Mapping[str, Any]) -> Header:
    expression = str(rule.get("expression"))
    try:
        return Header(expression)
    except ValueError as error:
        known = ", ".join(Header)
        raise TableMappingError(f"{label}: expression '{expression}' is not supported; there are: {known}") from error


def generate_mappings(spec: SourceSpec, excluded: Mapping[TableName, Iterable[str]]) -> dict[str, Any]:
    """The table mappings of a declared source: its tables by exact name, without the excluded columns.

    `excluded` are columns to leave out beside those that the declaration excludes (found by the metadata). Adds the
    sequence and position columns under the names the declaration gives them.
    """
    rules: list[dict[str, Any]] = []

    def add(kind: str, locator: dict[str, str], **parts: Any) -> None:
        number = str(len(rules) + 1)
        head = {"rule-type": kind, "rule-id": number, "rule-name": number}
        rules.append({**head, "object-locator": locator, **{k.replace("_", "-"): v for k, v in parts.items()}})

    for name in spec.table_names:
        add("selection", {"schema-name": name.schema, "table-name": name.table}, rule_action="explicit", filters=[])
    for name in spec.table_names:
        declared = [column.column for column in spec.table(name).exclude_columns]
        for column in sorted({*declared, *excluded.get(name, ())}):
            # Unlike a selection's, these names are patterns.
            parts = {"schema-name": name.schema, "table-name": name.table, "column-name": column}
            locator = {part: literally(text) for part, text in parts.items()}
            add("transformation", locator, rule_target="column", rule_action="remove-column")
    headers = {Header.CHANGE_SEQ: spec.dms.seq_column, Header.STREAM_POSITION: spec.dms.position_column}
    for header, column_name in headers.items():
        if column_name:
            add(
                "transformation",
                {"schema-name": literally(spec.database_schema), "table-name": "%"},
                rule_target="column",
                rule_action="add-column",
                value=column_name,
                expression=header.value,
                data_type={"type": "string", "length": 50},
            )
    return {"rules": rules}
