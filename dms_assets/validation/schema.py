"""The Pandera schema of a table, which names the rows that fail.

The fast pass (`rule.count_failures`) only counts; where it counts a failure, Pandera validates the same rows. A
property test holds the two equal. Importing this module costs a third of a second: only failures are worth it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandera.polars as pandera
import polars as pl
from pandera.config import ValidationDepth, config_context

from dms_assets.model.change_columns import DELETE_OP
from dms_assets.validation.rule import Rule, is_pattern

# No engine has names of this length, so no column of a file does.
_ROW = "row".ljust(200, "_")


def pandera_schema(rules: Sequence[Rule], types: dict[str, pl.DataType]) -> pandera.DataFrameSchema:
    """A Pandera schema of the rules. `types` are the columns of the frame that rules are about."""
    columns: dict[str, pandera.Column] = {}
    for name, dtype in types.items():
        own = [(index, rule) for index, rule in enumerate(rules) if rule.column == name]
        # Pandera counts NaN as null, which no source does: for floats the rule is handed over as a check.
        checks = [_check(str(index), rule) for index, rule in own if rule.kind != "not_null" or dtype.is_float()]
        nullable = dtype.is_float() or all(rule.kind != "not_null" for _, rule in own)
        columns[name] = pandera.Column(dtype, checks, nullable=nullable)
    return pandera.DataFrameSchema(columns)


def explain_failures(
    frame: pl.DataFrame, rules: Sequence[Rule], types: dict[str, pl.DataType], op: str | None
) -> dict[int, list[int]]:
    """Which rows of a landed batch fail which rule, by Pandera: rule's index -> row positions in the frame.

    `op` is the column that tells deletes apart, to which only the rules on keys and order apply; None in loads.
    """
    if op is None:
        return _explain(frame.with_row_index(_ROW), list(enumerate(rules)), types)
    numbered = frame.with_row_index(_ROW)
    deletes = (pl.col(op) == DELETE_OP).fill_null(value=False)
    always = [(index, rule) for index, rule in enumerate(rules) if not rule.value_rule]
    found = _explain(numbered.filter(~deletes), list(enumerate(rules)), types)
    for index, rows in _explain(numbered.filter(deletes), always, types).items():
        found[index] = sorted([*found.get(index, []), *rows])
    return found


def _explain(
    numbered: pl.DataFrame, rules: Sequence[tuple[int, Rule]], types: dict[str, pl.DataType]
) -> dict[int, list[int]]:
    exact = [(index, rule) for index, rule in rules if is_pattern(rule.column)]
    found = {index: {*numbered.filter(rule.failing)[_ROW]} for index, rule in exact}
    # Pandera would look such columns up as patterns, and find others.
    rules = [(index, rule) for index, rule in rules if not is_pattern(rule.column)]
    schema = pandera_schema([rule for _, rule in rules], {n: t for n, t in types.items() if not is_pattern(n)})
    # On a lazy frame Pandera's default depth looks at the schema only, and passes bad data.
    with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            schema.validate(numbered.lazy(), lazy=True).collect()
        except pandera.errors.SchemaErrors as errors:
            cases = errors.failure_cases.select("column", "check_number", "index").rows()
        else:
            cases = []
    for column, number, row in cases:
        if row is None:
            raise RuntimeError(f"Pandera found what no rule says of column '{column}'; rows and rules do not fit")
        found.setdefault(_rule_of(schema, rules, column, number), set()).add(numbered[_ROW][row])
    return {index: sorted(rows) for index, rows in found.items() if rows}


def _rule_of(
    schema: pandera.DataFrameSchema, rules: Sequence[tuple[int, Rule]], column: str, number: int | None
) -> int:
    """The rule behind a failure case: by the number of the column's check, or its only rule without one."""
    if number is not None:
        return rules[int(schema.columns[column].checks[number].name)][0]
    return next(index for index, rule in rules if rule.column == column and rule.kind == "not_null")


def _check(name: str, rule: Rule) -> pandera.Check:
    argument = rule.argument
    if rule.kind == "max_length" and isinstance(argument, int):
        return pandera.Check.str_length(max_value=argument, name=name)
    if rule.kind == "min_length" and isinstance(argument, int):
        return pandera.Check.str_length(min_value=argument, name=name)
    if rule.kind == "isin" and isinstance(argument, pl.Series):
        return pandera.Check.isin(argument.to_list(), name=name)
    if rule.kind in {"ge", "gt", "le", "lt"}:
        check: pandera.Check = getattr(pandera.Check, rule.kind)(argument, name=name)
        return check
    if rule.kind == "matches" and isinstance(argument, str):
        return pandera.Check.str_matches(argument, name=name)
    # Rules that Pandera has no check for (operation, order, digits, bytes) are handed over as they are.
    return pandera.Check(lambda data: data.lazyframe.select(~rule.failing), name=name, ignore_na=False)
