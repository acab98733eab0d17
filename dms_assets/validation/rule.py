"""One rule: a polars expression that says which rows of a landed batch break it, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from polars import selectors

from dms_assets.model.logical_type import LogicalType
from dms_assets.validation.outcome import Group


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `failing` is true for the rows that break it, and never null.

    `kind` names the rule in reports, and is what the Pandera schema is made of together with `argument`. Rules on
    values (`value_rule`) do not apply to deletes, of which a source may log the key only.
    """

    group: Group
    column: str
    kind: str
    expected: str
    failing: pl.Expr
    value_rule: bool
    argument: object = None


def polars_type(logical: LogicalType) -> pl.DataType:
    """The polars type of a landed column."""
    return pl.Series(pa.array([], logical.arrow)).dtype


def column_of(name: str) -> pl.Expr:
    """The column of exactly that name: polars reads `*` and `^…$` in `pl.col` as patterns."""
    return selectors.by_name(name).as_expr() if is_pattern(name) else pl.col(name)


def is_pattern(name: str) -> bool:
    """Whether polars, and Pandera on it, take a column's name for a pattern."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def not_null(group: Group, column: str, *, value_rule: bool) -> Rule:
    """No value is missing."""
    return Rule(group, column, "not_null", "not null", column_of(column).is_null(), value_rule=value_rule)


def at_most_long(group: Group, column: str, limit: int, *, text: bool, value_rule: bool) -> Rule:
    """No value has more characters (`text`) or bytes than `limit`."""
    value = column_of(column)
    size = value.str.len_chars() if text else value.bin.size()
    return Rule(
        group,
        column,
        "max_length" if text else "max_bytes",
        f"at most {limit} {'characters' if text else 'bytes'}",
        (size > limit).fill_null(value=False),
        value_rule=value_rule,
        argument=limit,
    )


def one_of(group: Group, column: str, allowed: pl.Series, *, value_rule: bool) -> Rule:
    """Every value is one of `allowed`, a series of the column's own type."""
    failing = ~column_of(column).is_in(allowed.implode()).fill_null(value=True)
    expected = f"one of {len(allowed)} allowed values"
    return Rule(group, column, "isin", expected, failing, value_rule=value_rule, argument=allowed)


def count_failures(frame: pl.DataFrame, rules: Sequence[Rule]) -> list[int]:
    """How many rows of a landed batch fail each rule: one pass over the frame."""
    if not rules or frame.is_empty():
        return [0] * len(rules)
    sums = [rule.failing.sum().alias(str(index)) for index, rule in enumerate(rules)]
    return [int(count) for count in frame.lazy().select(sums).collect().row(0)]
