"""Table mapping rules: selection, transformation, and the mappings generated from a declared source."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dms_assets.dms.table_mappings import (
    Header,
    TableMappingError,
    generate_mappings,
    parse_mappings,
    wildcard,
)
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec

ANY = {"schema-name": "s", "table-name": "%"}


def _select(action: str, table: str, schema: str = "s") -> dict[str, Any]:
    locator = {"schema-name": schema, "table-name": table}
    return {"rule-type": "selection", "rule-action": action, "object-locator": locator}


def _transform(action: str, target: str = "column", located: dict[str, str] = ANY, **parts: Any) -> dict[str, Any]:
    rule = {"rule-type": "transformation", "rule-action": action, "rule-target": target, "object-locator": located}
    return {**rule, **parts}


def _parse(*rules: dict[str, Any]) -> Any:
    return parse_mappings(json.dumps({"rules": list(rules)}))


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("%", "anything", True),
        ("order_item", "orderXitem", True),
        ("order[_]item", "orderXitem", False),
        ("order[_]item", "order_item", True),
        ("t[a-c]", "tb", True),
        ("t[a-c]", "td", False),
        ("a.b", "axb", False),
        ("T", "t", False),
    ],
)
def test_wildcards(pattern: str, name: str, matches: bool) -> None:
    assert bool(wildcard(pattern).fullmatch(name)) == matches


@given(st.text(alphabet="ab_.%[]^\\-", max_size=8))
@example("[\\-[]")
@settings(deadline=None)
def test_any_pattern_is_a_pattern(text: str) -> None:
    wildcard(text)


def test_exclude_wins_and_explicit_is_exact() -> None:
    parsed = _parse(_select("include", "a%"), _select("exclude", "ab%"), _select("explicit", "x_y"))
    chosen = [t for t in ("a", "ac", "abc", "x_y", "xzy") if parsed.selects(TableName("s", t))]
    assert chosen == ["a", "ac", "x_y"]
    assert not parsed.selects(TableName("other", "a"))


def test_columns_are_removed_renamed_and_added() -> None:
    parsed = _parse(
        _select("include", "%"),
        _transform("remove-column", located={**ANY, "column-name": "photo%"}),
        _transform("convert-lowercase", located={**ANY, "column-name": "%"}),
        _transform("convert-lowercase", "table"),
        _transform("rename", "schema", located={"schema-name": "s"}, value="target"),
        _transform("add-column", value="seq", expression="$AR_H_CHANGE_SEQ"),
    )
    table = parsed.apply(TableName("s", "Big"), ["Id", "photograph", "NAME"])
    assert (table.schema, table.table) == ("target", "big")
    assert table.columns == (("Id", "id"), ("NAME", "name"))
    assert [(column.name, column.header) for column in table.added] == [("seq", Header.CHANGE_SEQ)]


def test_two_columns_of_one_name_are_refused() -> None:
    parsed = _parse(_select("include", "%"), _transform("add-column", value="id", expression="$AR_H_CHANGE_SEQ"))
    with pytest.raises(TableMappingError, match="two columns named id"):
        parsed.apply(TableName("s", "t"), ["id"])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (_transform("add-prefix", value="x"), "'add-prefix' of a column is not supported"),
        (_transform("add-column", value="x", expression="$COL || 1"), r"expression '\$COL"),
        (_transform("add-column", expression="$AR_H_CHANGE_SEQ"), "needs a value"),
        (_select("explicit", "t%"), "explicit names exactly one"),
        ({**_select("include", "t"), "filters": [{}]}, "filters are not supported"),
        ({"rule-type": "table-settings"}, "'table-settings' is not supported"),
        ({**_select("include", "t"), "object-locator": {}}, "object-locator needs"),
    ],
)
def test_unknown_rules_are_refused_by_name(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(TableMappingError, match=message) as error:
        _parse(_select("include", "%"), {**rule, "rule-id": "77"})
    assert "rule 77" in str(error.value)


def test_generated_mappings_select_what_is_declared() -> None:
    spec = SourceSpec.model_validate(
        {
            "name": "probation",
            "engine": "postgres",
            "connection": {"secret": "probation/dms"},
            "schema": "probation",
            "tables": ["offender", {"name": "contact", "exclude_columns": ["photograph"]}],
        }
    )
    contact, other = TableName("probation", "contact"), TableName("probation", "contacts")
    document = generate_mappings(spec, {contact: ["generated"]})
    parsed = parse_mappings(json.dumps(document))
    assert parsed.selects(contact)
    assert not parsed.selects(other)
    table = parsed.apply(contact, ["id", "photograph", "generated", "notes"])
    assert [target for _, target in table.columns] == ["id", "notes"]
    assert [column.name for column in table.added] == ["dms_change_seq", "dms_stream_position"]
    identifiers = [rule["rule-id"] for rule in document["rules"]]
    assert len(set(identifiers)) == len(identifiers)


@pytest.mark.parametrize("excluded", ["user_id", "100%", "%", "_", "[a-c]", "[", "a]", "b"])
def test_excluding_a_column_leaves_out_no_other(excluded: str) -> None:
    """Names of transformations are patterns: `user_id` alone takes `userXid` with it, in `thexlog` too."""
    others = ["userXid", "100 days", "x", "a", "b]", "c"]
    spec = SourceSpec.model_validate(
        {
            "name": "s",
            "engine": "postgres",
            "connection": {"secret": "s"},
            "schema": "my_app",
            "tables": [{"name": "the_log", "exclude_columns": [excluded]}, "thexlog"],
        }
    )
    parsed = parse_mappings(json.dumps(generate_mappings(spec, {})))
    log, other = (parsed.apply(TableName("my_app", name), [excluded, *others]) for name in ("the_log", "thexlog"))
    assert [source for source, _ in log.columns] == others
    assert [source for source, _ in other.columns] == [excluded, *others]
    assert [column.name for column in log.added] == ["dms_change_seq", "dms_stream_position"]
