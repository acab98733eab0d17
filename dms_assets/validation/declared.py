"""Rules that a source's declaration adds to those of the metadata, and whether they fit the columns they name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

import polars as pl

from dms_assets.model.column_check import Bound, ColumnCheck
from dms_assets.model.logical_type import Kind
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.validation.outcome import Group
from dms_assets.validation.rule import Rule, at_most_long, column_of, not_null, one_of, polars_type

_INTEGERS = {Kind.INT16, Kind.INT32, Kind.INT64}
_NUMBERS = {*_INTEGERS, Kind.FLOAT32, Kind.FLOAT64, Kind.DECIMAL}
_TIMES = {Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ}
_TEXTS = {Kind.STRING, Kind.BINARY}
_COMPARISONS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


class DeclaredCheckError(ValueError):
    """A check in the source's declaration does not fit the column it names; the message ends with the remedy."""


def declaration_faults(metadata: TableMetadata, checks: Sequence[ColumnCheck]) -> Iterator[tuple[int, str]]:
    """Checks that do not fit the table: their place in the list and what is wrong, `reason; remedy`."""
    for index, check in enumerate(checks):
        try:
            declared_rules(metadata, check)
        except DeclaredCheckError as error:
            yield index, str(error)


def declared_rules(metadata: TableMetadata, check: ColumnCheck) -> list[Rule]:
    """The rules of one declared check. Raises DeclaredCheckError if it does not fit its column."""
    column = _column(metadata, check.column)
    about = f"on {metadata.name}.{check.column}"
    rules: list[Rule] = []
    # Where the metadata demands it already, the check says nothing new.
    if check.not_null and column.nullable and column.name not in metadata.key:
        rules.append(not_null(Group.DECLARED, check.column, value_rule=True))
    if check.isin is not None:
        allowed = _allowed(about, column, check.isin)
        rules.append(one_of(Group.DECLARED, check.column, allowed, value_rule=True))
    bounds = {"ge": check.ge, "gt": check.gt, "le": check.le, "lt": check.lt}
    rules += [_comparison(about, column, name, bound) for name, bound in bounds.items() if bound is not None]
    if check.max_length is not None:
        text = _sized(about, column, "max_length")
        rules.append(at_most_long(Group.DECLARED, check.column, check.max_length, text=text, value_rule=True))
    if check.min_length is not None:
        rules.append(_at_least_long(column, check.min_length, text=_sized(about, column, "min_length")))
    if check.matches is not None:
        rules.append(_matches(about, column, check.matches))
    return rules


def _column(metadata: TableMetadata, name: str) -> ColumnMetadata:
    try:
        return metadata.column(name)
    except KeyError as error:
        if name in metadata.excluded:
            raise DeclaredCheckError(
                f"column '{name}' of {metadata.name} is excluded and cannot be checked; remove the check"
            ) from error
        known = ", ".join(column.name for column in metadata.columns)
        raise DeclaredCheckError(
            f"table {metadata.name} has no column '{name}' to check; correct the name, known are: {known}"
        ) from error


def _comparison(about: str, column: ColumnMetadata, name: str, bound: Bound) -> Rule:
    exact = _exact(f"check {name} {about}", column, name, bound)
    value, literal = column_of(column.name), pl.lit(exact)
    passing = {"ge": value >= literal, "gt": value > literal, "le": value <= literal, "lt": value < literal}[name]
    return Rule(
        Group.DECLARED,
        column.name,
        name,
        f"{_COMPARISONS[name]} {bound}",
        ~passing.fill_null(value=True),
        value_rule=True,
        argument=exact,
    )


def _exact(about: str, column: ColumnMetadata, name: str, bound: Bound) -> Bound | Decimal:
    """The bound in a type that compares exactly with the column's."""
    kind = column.type.kind
    if isinstance(bound, date):
        if kind not in _TIMES:
            raise DeclaredCheckError(f"{about}: the column is {column.type}, no date or time; compare with a number")
        if kind is Kind.DATE:
            if isinstance(bound, datetime):
                raise DeclaredCheckError(f"{about}: the column is a date; leave out the time of day")
            return bound
        return _instant(bound, zoned=kind is Kind.TIMESTAMPTZ)
    if kind not in _NUMBERS:
        raise DeclaredCheckError(
            f"{about}: the column is {column.type}, no number; "
            + ("compare with a date" if kind in _TIMES else "use isin, matches, min_length or max_length")
        )
    if kind in _INTEGERS:
        # For whole numbers the next whole bound says the same, and no digit is lost.
        return math.ceil(bound) if name in {"ge", "lt"} else math.floor(bound)
    if kind is Kind.DECIMAL:
        return Decimal(str(bound))
    return float(bound)


def _instant(bound: date, *, zoned: bool) -> datetime:
    at = bound if isinstance(bound, datetime) else datetime(bound.year, bound.month, bound.day)  # noqa: DTZ001
    at = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return at.replace(tzinfo=UTC) if zoned else at


def _sized(about: str, column: ColumnMetadata, name: str) -> bool:
    """Whether the column's length is in characters. Raises DeclaredCheckError if it has none."""
    if column.type.kind not in _TEXTS:
        raise DeclaredCheckError(
            f"check {name} {about}: the column is {column.type}, which has no length; use ge or le for its values"
        )
    return column.type.kind is Kind.STRING


def _at_least_long(column: ColumnMetadata, limit: int, *, text: bool) -> Rule:
    value = column_of(column.name)
    size = value.str.len_chars() if text else value.bin.size()
    return Rule(
        Group.DECLARED,
        column.name,
        "min_length" if text else "min_bytes",
        f"at least {limit} {'characters' if text else 'bytes'}",
        (size < limit).fill_null(value=False),
        value_rule=True,
        argument=limit,
    )


def _matches(about: str, column: ColumnMetadata, pattern: str) -> Rule:
    if column.type.kind is not Kind.STRING:
        raise DeclaredCheckError(f"check matches {about}: the column is {column.type}, no text; use ge, le or isin")
    # Polars knows no lines here: a value that goes on after a line break does not match.
    whole = f"^(?:{pattern})$"
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.ComputeError as error:
        told = " ".join(str(error).split())[-120:]
        raise DeclaredCheckError(f"check matches {about}: {pattern!r} is not a pattern ({told}); correct it") from error
    failing = ~column_of(column.name).str.contains(whole).fill_null(value=True)
    expected = f"matches {pattern}"
    return Rule(Group.DECLARED, column.name, "matches", expected, failing, value_rule=True, argument=whole)


def _allowed(about: str, column: ColumnMetadata, values: Sequence[object]) -> pl.Series:
    if column.type.kind not in {*_NUMBERS, Kind.STRING, Kind.BOOLEAN}:
        raise DeclaredCheckError(
            f"check isin {about}: columns of type {column.type} have no list of values; use ge, le or matches"
        )
    try:
        exact: list[object] = list(values)
        if column.type.kind is Kind.DECIMAL:
            exact = [Decimal(str(value)) for value in values]
        return pl.Series(exact, dtype=polars_type(column.type), strict=True)
    except (TypeError, pl.exceptions.PolarsError, OverflowError, InvalidOperation) as error:
        raise DeclaredCheckError(
            f"check isin {about}: {list(values)} are not all values of type {column.type}; correct them"
        ) from error
