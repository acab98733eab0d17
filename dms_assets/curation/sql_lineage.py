"""Column lineage of a SELECT: which columns of which relations each of its columns is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

Relation = tuple[str, str]
"""Schema and table in the warehouse."""

NO_COLUMN = "Comes from no column: a constant, or a count of rows."


@dataclass(frozen=True, slots=True)
class Origins:
    """What one column is made of: columns of other relations, or a `note` that says why there are none.

    `known` is False where it could not be found out; the note says why.
    """

    columns: tuple[tuple[Relation, str], ...] = ()
    note: str | None = None
    known: bool = True


def sql_lineage(
    sql: str, schemas: Mapping[Relation, Mapping[str, str]], columns: list[str], *, dialect: str = "duckdb"
) -> dict[str, Origins]:
    """The origins of `columns` of a SELECT; `schemas` are the columns and types of the relations it may read.

    What columns are filtered, joined or grouped by is no part of it; what an expression counts or compares is.
    Never raises: a SELECT that cannot be followed gives origins that say so.
    """
    try:
        roots = lineage(None, sql, _nested(schemas), dialect=dialect, validate_qualify_columns=True, trim_selects=False)
    except (SqlglotError, ValueError) as error:
        reason = str(error).splitlines()[0]
        return dict.fromkeys(columns, Origins(note=f"Lineage unknown: {reason}", known=False))
    by_name = {name.lower(): root for name, root in roots.items()}
    return {column: _origins(by_name.get(column.lower())) for column in columns}


def _origins(root: Node | None) -> Origins:
    if root is None:
        return Origins(note="Lineage unknown: the SELECT has no such column.", known=False)
    leaves = [node for node in root.walk() if not node.downstream]
    lost = [node.name for node in leaves if isinstance(node.expression, exp.Placeholder) or node.name.endswith("*")]
    if lost:
        return Origins(note=f"Lineage unknown: {', '.join(lost)} could not be followed.", known=False)
    found = {_origin(node.expression, node.name) for node in leaves if isinstance(node.expression, exp.Table)}
    return Origins(tuple(sorted(found))) if found else Origins(note=NO_COLUMN)


def _origin(table: exp.Table, name: str) -> tuple[Relation, str]:
    column = exp.to_column(name)
    return (table.db, table.name), column.name


def _nested(schemas: Mapping[Relation, Mapping[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    nested: dict[str, dict[str, dict[str, str]]] = {}
    for (schema, table), columns in schemas.items():
        nested.setdefault(schema, {})[table] = dict(columns)
    return nested
