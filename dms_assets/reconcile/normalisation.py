"""What may differ between source and curated: one published table. Everything else must be equal, bit for bit.

A rule stands for something AWS DMS documents, or its Parquet files cannot hold (references are to the notes on DMS).
The rules are applied to the source's value in the source, in SQL, and nowhere else: curated is read as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dms_assets.model.logical_type import Kind
from dms_assets.reconcile.postgres_columns import PostgresColumn

LAST_DAY = "date '9999-12-31'"
FIRST_DAY = "date '4713-01-01 BC'"
LAST_MICROS = 2_932_896 * 86_400_000_000 + 86_399_000_000
FIRST_MICROS = -2_440_550 * 86_400_000_000
_BEYOND_MICROS = "'294247-01-10 04:00:54.775808'"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """One permitted difference. `sql` gives the comparable text of a source column, from its quoted name.

    The text is a decimal number for numbers, days since 1970 for dates, microseconds for times and timestamps.
    """

    name: str
    applies_to: str
    rule: str
    reference: str
    applies: Callable[[PostgresColumn], bool]
    sql: Callable[[str, PostgresColumn], str]


@dataclass(frozen=True, slots=True)
class TableRule:
    """A permitted difference of whole tables; `compare` applies it."""

    name: str
    applies_to: str
    rule: str
    reference: str


def _is_decimal(column: PostgresColumn) -> bool:
    return column.logical.kind is Kind.DECIMAL


def _bounded(name: str, column: PostgresColumn) -> str:
    # NaN is the only value of a bounded numeric that is not a number; its text has exactly the declared places.
    return (
        f"case when {name} <> 'NaN' then ({name}::numeric({column.logical.precision},{column.logical.scale}))::text end"
    )


def _rounded(name: str, column: PostgresColumn) -> str:
    precision, scale = column.logical.precision or 0, column.logical.scale or 0
    limit = f"1e{precision - scale}::numeric"
    finite = f"{name} not in ('NaN', 'Infinity', '-Infinity')"
    return f"case when {finite} and abs(round({name}, {scale})) < {limit} then round({name}, {scale})::text end"


def _date(name: str, _: PostgresColumn) -> str:
    finite = f"case {name} when 'infinity' then {LAST_DAY} when '-infinity' then {FIRST_DAY} else {name} end"
    return f"(({finite}) - date '1970-01-01')::text"


def _timestamp(name: str, column: PostgresColumn) -> str:
    zone = "+00" if column.base_type == "timestamptz" else ""
    beyond = f"{_BEYOND_MICROS[:-1]}{zone}'::{column.base_type}"
    micros = f"(extract(epoch from {name}) * 1000000)::bigint::text"
    ends = f"when {name} >= {beyond} then '{LAST_MICROS}' when {name} = '-infinity' then '{FIRST_MICROS}'"
    return f"case {ends} else {micros} end"


def _time(name: str, _: PostgresColumn) -> str:
    millis = f"floor(extract(epoch from {name}::time) * 1000)"
    return f"case when {name} is not null then (least({millis}, 86399999)::bigint * 1000)::text end"


def _interval_part(amount: str, unit: str) -> str:
    return f"case when {amount} <> 0 then {amount} || ' {unit}' || case when abs({amount}) = 1 then '' else 'S' end end"


def _interval(name: str, _: PostgresColumn) -> str:
    parts = [
        _interval_part(f"extract({unit} from {name})::bigint", unit.upper())
        for unit in ("year", "month", "day", "hour", "minute")
    ]
    second = f"trim_scale(extract(second from {name}))"
    parts.append(_interval_part(second, "SECOND"))
    text = f"coalesce(nullif(concat_ws(', ', {', '.join(parts)}), ''), '0 SECONDS')"
    return f"case when {name} is null then null when isfinite({name}) then {text} else {name}::text end"


NORMALISATIONS: tuple[Normalisation, ...] = (
    Normalisation(
        "NaN in a decimal is null",
        "numeric(p,s) of at most 38 digits",
        "Parquet's DECIMAL has no NaN; it arrives as null and is counted",
        "dms.md 2.2, numeric 'NaN'",
        lambda column: column.base_type == "numeric" and column.typmod >= 4 and _is_decimal(column),
        _bounded,
    ),
    Normalisation(
        "numeric of no declared size is rounded",
        "numeric without precision, unless the endpoint maps it as text",
        "DECIMAL(28,6): rounded half up; NaN, infinities and numbers of more digits are null",
        "dms.md 2.2, numeric without p,s",
        lambda column: column.base_type == "numeric" and _is_decimal(column),
        _rounded,
    ),
    Normalisation(
        "money is a decimal of four places",
        "money",
        "DECIMAL(38,4)",
        "dms.md 2.2, money",
        lambda column: column.base_type == "money",
        lambda name, _: f"{name}::numeric::numeric(38,4)::text",
    ),
    Normalisation(
        "blanks that pad are no content",
        "char(n)",
        "trailing blanks are cut (TrimSpaceInChar)",
        "dms.md 2.2, char(n)",
        lambda column: column.base_type == "bpchar",
        lambda name, _: f"rtrim({name}::text, ' ')",
    ),
    Normalisation(
        "infinite dates are the ends of the calendar",
        "date",
        "infinity is 9999-12-31, -infinity is 4713-01-01 BC",
        "dms.md 2.2, ±infinity timestamp",
        lambda column: column.base_type == "date",
        _date,
    ),
    Normalisation(
        "infinite and unwritable timestamps are the ends of the calendar",
        "timestamp, timestamptz",
        "infinity and moments beyond 64-bit microseconds since 1970 are 9999-12-31 23:59:59, -infinity is "
        "4713-01-01 00:00:00 BC; with a zone or without, what is written is UTC",
        "dms.md 2.2, ±infinity timestamp; 1.7",
        lambda column: column.base_type in {"timestamp", "timestamptz"},
        _timestamp,
    ),
    Normalisation(
        "times have milliseconds, and no zone",
        "time, timetz",
        "TIME32: cut to milliseconds; 24:00:00 is the last millisecond; the zone of timetz is lost",
        "dms.md 2.1, TIME; 2.2, time, timetz",
        lambda column: column.base_type in {"time", "timetz"},
        _time,
    ),
    Normalisation(
        "intervals are words",
        "interval",
        "`1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6 SECONDS`, zero parts left out, each part with its sign",
        "dms.md 2.2, interval",
        lambda column: column.base_type == "interval",
        _interval,
    ),
    Normalisation(
        "types without a Parquet type are the text PostgreSQL prints",
        "text, varchar, json (verbatim), jsonb, uuid, enum, array, inet, numeric of more than 38 digits and the like",
        "the output function's text, in a session with UTC, ISO dates and shortest exact floats",
        "dms.md 2.2, enum and below; 1.7",
        lambda column: column.logical.kind is Kind.STRING,
        lambda name, _: f"case when {name} is not null then format('%s', {name}) end",
    ),
)
"""Permitted differences of values, the first that applies counts."""

TABLE_RULES: tuple[TableRule, ...] = (
    TableRule(
        "a table without a key is a log, at least once",
        "tables without a primary key",
        "every row inserted is there at least once, and no row that was not; updates and deletes do not flow",
        "dms.md 1.9, tables without PK",
    ),
    TableRule(
        "generated columns are not replicated",
        "columns `generated always as ... stored`",
        "logical decoding does not carry them, so neither load nor change has them",
        "dms.md 2.2, generated columns",
    ),
)
"""Permitted differences of tables."""

SOURCE_SESSION: tuple[str, ...] = (
    "set timezone = 'UTC'",
    "set datestyle = 'ISO, YMD'",
    "set intervalstyle = 'postgres'",
    "set extra_float_digits = 1",
    "set bytea_output = 'hex'",
)
"""Settings under which the source prints values, whatever the database's defaults are."""


def normalisation(column: PostgresColumn) -> Normalisation | None:
    """The rule for a column, None if its values must be equal as they are."""
    for rule in NORMALISATIONS:
        if rule.applies(column):
            return rule
    return None
