"""Comparable text of a value, made on each side in that side's own SQL: equal texts are equal values.

Long texts and bytes are told by SHA-256 and length, so that a megabyte is read where it is and compared in 80 bytes.
Floats are their bits. What is null is null.
"""

from __future__ import annotations

from dms_assets.model.names import quote
from dms_assets.reconcile.normalisation import normalisation
from dms_assets.reconcile.postgres_columns import PostgresColumn

LONGEST = 200
"""Bytes up to which a value stands for itself."""

_PLAIN = {"bool", "int2", "int4", "int8", "oid"}
_CURATED_PLAIN = {"BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"}


class NoComparisonError(TypeError):
    """A type this comparison has no text for."""


def source_text(column: PostgresColumn) -> str:
    """PostgreSQL expression of the comparable text. Raises NoComparisonError for a type without one."""
    name = quote(column.name)
    rule = normalisation(column)
    if rule is not None:
        text = rule.sql(name, column)
        return _short_in_source(text) if column.logical.kind == "string" else text
    if column.base_type in _PLAIN:
        return f"{name}::text"
    if column.base_type in {"float4", "float8"}:
        size = column.base_type[-1]
        return f"('x' || encode(float{size}send({name}), 'hex'))::bit({int(size) * 8})::text"
    if column.base_type == "bytea":
        digest = f"'sha256:' || encode(sha256({name}), 'hex') || ':' || octet_length({name})"
        return f"case when octet_length({name}) <= {LONGEST} then encode({name}, 'hex') else {digest} end"
    raise NoComparisonError(
        f"column '{column.name}' has type {column.base_type} in the source and {column.logical} in the lake; "
        "add a rule to the table of normalisations"
    )


def _short_in_source(text: str) -> str:
    digest = f"'sha256:' || encode(sha256(convert_to({text}, 'UTF8')), 'hex') || ':' || octet_length({text})"
    return f"case when octet_length({text}) <= {LONGEST} then {text} else {digest} end"


def curated_text(name: str, sql_type: str) -> str:
    """DuckDB expression of the comparable text of a column of `sql_type` (as information_schema spells it).

    Raises NoComparisonError for a type that curated tables never have.
    """
    column = quote(name)
    if sql_type in {"FLOAT", "DOUBLE"}:
        return f"{column}::bit::varchar"
    if sql_type in _CURATED_PLAIN or sql_type.startswith("DECIMAL("):
        text = f"{column}::varchar"
        # Where all digits are decimal places, DuckDB writes `.5`.
        return text if sql_type in _CURATED_PLAIN else f"regexp_replace({text}, '^(-?)[.]', '\\10.')"
    if sql_type == "DATE":
        return f"case when isfinite({column}) then ({column} - date '1970-01-01')::varchar else {column}::varchar end"
    if sql_type in {"TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}:
        return f"epoch_us({column})::varchar"
    if sql_type == "VARCHAR":
        digest = f"'sha256:' || sha256({column}) || ':' || strlen({column})"
        return f"case when strlen({column}) <= {LONGEST} then {column} else {digest} end"
    if sql_type == "BLOB":
        digest = f"'sha256:' || sha256({column}) || ':' || octet_length({column})"
        return f"case when octet_length({column}) <= {LONGEST} then lower(hex({column})) else {digest} end"
    raise NoComparisonError(f"column '{name}' has type {sql_type} in the warehouse, which no canonical type becomes")
