"""A declared rule on one column's values, as `defs.yaml` says it."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is no text, number or truth value; write dates with ge and le")  # noqa: TRY004
    return value


def _bound(value: object) -> object:
    wrong = f"{value!r} is no number and no date; write 5, 2026-01-31 or 2026-01-31T12:00:00"
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(wrong) from error
    if isinstance(value, bool) or not isinstance(value, int | float | date):
        raise ValueError(wrong)  # noqa: TRY004 pydantic's
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(wrong)
    return value


Scalar = Annotated[str | int | float | bool, BeforeValidator(_scalar)]
Bound = int | float | date | datetime
"""What values are compared with. Without a time of day an instant is the beginning of the day."""
_Bound = Annotated[Bound, BeforeValidator(_bound)]


class ColumnCheck(BaseModel):
    """A declared rule on one column's values; nulls pass all but `not_null`.

    `ge`, `gt`, `le`, `lt` compare numbers, dates and instants (UTC without a zone); `matches` is a pattern that the
    whole text has to match; lengths are in characters, or bytes of binary columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str
    not_null: bool = False
    isin: tuple[Scalar, ...] | None = None
    ge: _Bound | None = None
    gt: _Bound | None = None
    le: _Bound | None = None
    lt: _Bound | None = None
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    matches: str | None = None

    @field_validator("matches")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is not a pattern ({error}); correct it") from error
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        about = f"check on column '{self.column}'"
        rules = self.model_dump(exclude={"column"}, exclude_defaults=True)
        if not rules:
            known = ", ".join(name for name in type(self).model_fields if name != "column")
            raise ValueError(f"{about} has no rule; give one or more of {known}")
        if self.isin == ():
            raise ValueError(f"{about} allows no value; name one or more in isin")
        for pair in (("ge", "gt"), ("le", "lt")):
            if rules.keys() >= set(pair):
                raise ValueError(f"{about} has both {' and '.join(pair)}; keep one of them")
        low = next((rules[name] for name in ("ge", "gt") if name in rules), None)
        high = next((rules[name] for name in ("le", "lt") if name in rules), None)
        if low is not None and high is not None:
            _check_range(about, low, high, open_end=not rules.keys().isdisjoint({"gt", "lt"}))
        if (self.min_length or 0) > (math.inf if self.max_length is None else self.max_length):
            raise ValueError(f"{about} allows no length; let min_length be at most max_length")
        return self


def _check_range(about: str, low: Bound, high: Bound, *, open_end: bool) -> None:
    if isinstance(low, date) and isinstance(high, date):
        first, last = _instant(low).timestamp(), _instant(high).timestamp()
    elif not isinstance(low, date) and not isinstance(high, date):
        first, last = low, high
    else:
        raise ValueError(f"{about} compares with a number and with a date; use one of the two")  # noqa: TRY004 pydantic's
    if first > last or (open_end and first == last):
        raise ValueError(f"{about} allows no value between {low} and {high}; exchange or correct them")


def _instant(bound: date) -> datetime:
    at = bound if isinstance(bound, datetime) else datetime(bound.year, bound.month, bound.day, tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
