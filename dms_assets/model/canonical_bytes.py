"""Values as bytes, the same for ever and everywhere: what identities are digests of.

A value is a tag, the length of its payload (4 bytes, big-endian) and the payload, so that values side by side can
be told apart, and null (tag `n`) from empty. No session time zone, locale or engine has a part in it:

| kind | tag | payload |
|---|---|---|
| boolean | b | 1 byte |
| int16, int32, int64 | i | 8 bytes, signed, big-endian: widening a column changes nothing |
| decimal | d | the value times 10^38, 32 bytes, signed, little-endian: neither does another precision or scale |
| float32, float64 | f | IEEE double, big-endian; every NaN is one; minus zero is not zero |
| string | s | UTF-8 |
| binary | x | the bytes |
| date | D | days since 1970, as an integer |
| time | t | milliseconds of the day, as an integer |
| timestamp, timestamptz | T, Z | microseconds since 1970 (without zone, UTC), as an integer |

A row's content is the columns that are not null, sorted by name, each as its name and its value: a column that is
added later, or moved, changes no identity that was given before.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from dms_assets.model.logical_type import Kind, LogicalType

NULL = b"n\x00\x00\x00\x00"
INTEGER_BYTES = 8
DECIMAL_BYTES = 32
DECIMAL_SCALE = 38
CANONICAL_NAN = struct.pack(">d", math.nan)

TAGS: dict[Kind, bytes] = {
    Kind.BOOLEAN: b"b",
    Kind.INT16: b"i",
    Kind.INT32: b"i",
    Kind.INT64: b"i",
    Kind.DECIMAL: b"d",
    Kind.FLOAT32: b"f",
    Kind.FLOAT64: b"f",
    Kind.STRING: b"s",
    Kind.BINARY: b"x",
    Kind.DATE: b"D",
    Kind.TIME: b"t",
    Kind.TIMESTAMP: b"T",
    Kind.TIMESTAMPTZ: b"Z",
}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (zone-less values are counted from a zone-less epoch)
_MICROSECOND = timedelta(microseconds=1)


def tagged(tag: bytes, payload: bytes) -> bytes:
    """Tag, length and payload."""
    return tag + len(payload).to_bytes(4, "big") + payload


def string(text: str) -> bytes:
    """A string as a value."""
    return tagged(b"s", text.encode())


def integer(number: int) -> bytes:
    """An integer of at most 64 bits as a value."""
    return tagged(b"i", number.to_bytes(INTEGER_BYTES, "big", signed=True))


def encode(value: object, logical_type: LogicalType) -> bytes:
    """A column's value as bytes. Raises TypeError for a value of another type, OverflowError for one too large."""
    if value is None:
        return NULL
    return tagged(TAGS[logical_type.kind], _payload(value, logical_type))


def encode_content(columns: Iterable[tuple[str, LogicalType, object]]) -> bytes:
    """The content of a row from (name, type, value) of its columns."""
    present = sorted((column for column in columns if column[2] is not None), key=lambda column: column[0].encode())
    return b"".join(string(name) + encode(value, logical_type) for name, logical_type, value in present)


def _payload(value: object, logical_type: LogicalType) -> bytes:  # noqa: PLR0911 (one line per kind)
    match logical_type.kind, value:
        case Kind.BOOLEAN, bool():
            return b"\x01" if value else b"\x00"
        case Kind.INT16 | Kind.INT32 | Kind.INT64, int() if not isinstance(value, bool):
            return _integer(value)
        case Kind.DECIMAL, Decimal() if value.is_finite():
            return _decimal(value)
        case Kind.FLOAT32 | Kind.FLOAT64, float():
            return CANONICAL_NAN if math.isnan(value) else struct.pack(">d", value)
        case Kind.STRING, str():
            return value.encode()
        case Kind.BINARY, bytes():
            return value
        case Kind.DATE, date() if not isinstance(value, datetime):
            return _integer((value - _EPOCH.date()).days)
        case Kind.TIME, time() if value.microsecond % 1000 == 0:
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return _integer(seconds * 1000 + value.microsecond // 1000)
        case Kind.TIMESTAMP, datetime() if value.tzinfo is None:
            return _integer((value - _EPOCH) // _MICROSECOND)
        case Kind.TIMESTAMPTZ, datetime() if value.tzinfo is not None:
            return _integer((value.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _MICROSECOND)
    raise TypeError(f"a {type(value).__name__} is not a value of type {logical_type}; normalise it first")


def _integer(number: int) -> bytes:
    return number.to_bytes(INTEGER_BYTES, "big", signed=True)


def _decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + DECIMAL_SCALE
    number = int("".join(map(str, digits)))
    if shift < 0:
        raise OverflowError(f"a decimal with {-int(exponent)} places has more than {DECIMAL_SCALE}")
    scaled: int = number * 10**shift
    return (-scaled if sign else scaled).to_bytes(DECIMAL_BYTES, "little", signed=True)
