"""Canonical types: what a column is in landing, validated and curated, whatever engine it comes from.

The set is what DMS can write to Parquet (DMS: CHAP_Target.S3, "Parquet data types"), so that a type in
the metadata is also the exact type a landed file must have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa


class Kind(StrEnum):
    """The family of a canonical type."""

    BOOLEAN = "boolean"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    DECIMAL = "decimal"
    STRING = "string"
    BINARY = "binary"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"


MAX_DECIMAL_PRECISION = 38
_DECIMAL_TEXT = re.compile(r"decimal\((\d+),(\d+)\)")

_ARROW: dict[Kind, pa.DataType] = {
    Kind.BOOLEAN: pa.bool_(),
    Kind.INT16: pa.int16(),
    Kind.INT32: pa.int32(),
    Kind.INT64: pa.int64(),
    Kind.FLOAT32: pa.float32(),
    Kind.FLOAT64: pa.float64(),
    Kind.STRING: pa.string(),
    Kind.BINARY: pa.binary(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.time32("ms"),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
}

_SQL: dict[Kind, str] = {
    Kind.BOOLEAN: "boolean",
    Kind.INT16: "smallint",
    Kind.INT32: "integer",
    Kind.INT64: "bigint",
    Kind.FLOAT32: "real",
    Kind.FLOAT64: "double",
    Kind.STRING: "varchar",
    Kind.BINARY: "blob",
    Kind.DATE: "date",
    Kind.TIME: "time",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
}


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A canonical type. `precision` and `scale` are set for decimals only (precision 1 to 38).

    Times are milliseconds of the day (DMS writes TIME32); timestamps are microseconds.
    """

    kind: Kind
    precision: int | None = None
    scale: int | None = None

    def __post_init__(self) -> None:
        if self.kind is not Kind.DECIMAL:
            if self.precision is not None or self.scale is not None:
                raise ValueError(f"type '{self.kind}' takes no precision or scale")
            return
        if self.precision is None or self.scale is None:
            raise ValueError("a decimal needs precision and scale")
        if not (1 <= self.precision <= MAX_DECIMAL_PRECISION and 0 <= self.scale <= self.precision):
            raise ValueError(
                f"decimal({self.precision},{self.scale}) is outside 1..{MAX_DECIMAL_PRECISION} digits; "
                "wider numbers are the type 'string'"
            )

    @classmethod
    def parse(cls, text: str) -> LogicalType:
        """The type that `str()` of it wrote. Raises ValueError for any other text."""
        match = _DECIMAL_TEXT.fullmatch(text)
        if match:
            return cls(Kind.DECIMAL, int(match[1]), int(match[2]))
        return cls(Kind(text))

    def __str__(self) -> str:
        if self.kind is Kind.DECIMAL:
            return f"decimal({self.precision},{self.scale})"
        return self.kind.value

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type in validated tables, and in landed files but for zone-less timestamps."""
        if self.kind is Kind.DECIMAL:
            return pa.decimal128(self.precision, self.scale)
        return _ARROW[self.kind]

    @property
    def sql(self) -> str:
        """The DuckDB type."""
        if self.kind is Kind.DECIMAL:
            return f"decimal({self.precision},{self.scale})"
        return _SQL[self.kind]
