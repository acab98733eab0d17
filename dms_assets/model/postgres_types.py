"""PostgreSQL types as canonical types: one map for the metadata, the data plane and the checks.

Source: AWS DMS, "Using a PostgreSQL database as a source", data types (dms.md 2.2). A type that has no Parquet
type of its own travels as the text PostgreSQL prints for it.
"""

from __future__ import annotations

from dms_assets.model.logical_type import MAX_DECIMAL_PRECISION, Kind, LogicalType

_SIMPLE: dict[str, Kind] = {
    "bool": Kind.BOOLEAN,
    "int2": Kind.INT16,
    "int4": Kind.INT32,
    "int8": Kind.INT64,
    "oid": Kind.INT64,
    "float4": Kind.FLOAT32,
    "float8": Kind.FLOAT64,
    "bytea": Kind.BINARY,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "timetz": Kind.TIME,
    "timestamp": Kind.TIMESTAMP,
    "timestamptz": Kind.TIMESTAMPTZ,
}
_STRING = LogicalType(Kind.STRING)
_FIXED_LENGTH = {"uuid": 36, "char": 4, "name": 63}
_NOT_LOB = {"bpchar", "char", "name", "uuid", "interval", "numeric", "inet", "cidr", "macaddr", "macaddr8"}
_NOT_LOB |= {"bit", "varbit", "point", "line", "lseg", "box", "circle"}

DMS_UNBOUNDED_NUMERIC = LogicalType(Kind.DECIMAL, 28, 6)
"""What DMS makes of `numeric` without precision unless MapUnboundedNumericAsString is set: it rounds."""


def numeric_precision_scale(typmod: int) -> tuple[int, int] | None:
    """Precision and scale in `atttypmod` of a numeric column, None if it has none. The scale may be negative."""
    if typmod < 4:
        return None
    packed = typmod - 4
    scale = ((packed & 0x7FF) ^ 0x400) - 0x400
    return (packed >> 16) & 0xFFFF, scale


def _numeric(typmod: int, *, unbounded_as_string: bool) -> LogicalType:
    declared = numeric_precision_scale(typmod)
    if declared is None:
        return _STRING if unbounded_as_string else DMS_UNBOUNDED_NUMERIC
    precision, scale = declared
    # numeric(3,-2) holds 5 digits before the point, numeric(2,4) holds 4 after it.
    digits, places = max(precision - min(scale, 0), scale), max(scale, 0)
    return LogicalType(Kind.DECIMAL, digits, places) if digits <= MAX_DECIMAL_PRECISION else _STRING


def postgres_type(
    type_name: str,
    typmod: int,
    typtype: str = "b",
    typcategory: str = "",
    *,
    unbounded_numeric_as_string: bool = True,
    boolean_as_boolean: bool = True,
) -> tuple[LogicalType, int | None]:
    """The canonical type of a column and the longest value the source allows in it (characters; None: no limit).

    `type_name` is `pg_type.typname`, `typmod` is `pg_attribute.atttypmod` (-1: none); `typtype` and `typcategory`
    are those of `pg_type`. The caller resolves a domain to its base type and the domain's `typtypmod` first.
    The two options are the endpoint's MapUnboundedNumericAsString and MapBooleanAsBoolean.
    """
    if typtype != "b" or typcategory == "A":
        return _STRING, None
    if type_name == "bool" and not boolean_as_boolean:
        return _STRING, 5
    if type_name == "numeric":
        return _numeric(typmod, unbounded_as_string=unbounded_numeric_as_string), None
    if type_name == "money":
        return LogicalType(Kind.DECIMAL, MAX_DECIMAL_PRECISION, 4), None
    kind = _SIMPLE.get(type_name)
    return (LogicalType(kind), None) if kind else (_STRING, _length(type_name, typmod))


def _length(type_name: str, typmod: int) -> int | None:
    if type_name in {"varchar", "bpchar"}:
        return typmod - 4 if typmod >= 4 else None
    if type_name in {"bit", "varbit"}:
        return typmod if typmod > 0 else None
    return _FIXED_LENGTH.get(type_name)


def is_lob(type_name: str, typmod: int, typtype: str = "b", typcategory: str = "") -> bool:
    """Whether DMS moves the column as a LOB, cut at LobMaxSize (text, json, arrays, composites, bytea and the like).

    `varchar` without a length counts as one here: DMS cuts it at a limit of its own, which is also silent.
    """
    if typcategory == "A" or typtype == "c":
        return True
    if typtype != "b" or type_name in _NOT_LOB or type_name == "money":
        return False
    if type_name == "varchar":
        return typmod < 4
    return type_name == "bytea" or type_name not in _SIMPLE
