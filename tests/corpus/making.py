"""How files of the corpus are made: around the table of tests.lake.world, one thing wrong at a time."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.validation.outcome import Reason
from tests.lake.world import cdc_table, parquet, rows


@dataclass(frozen=True, slots=True)
class HostileFile:
    """A change file that is written by nobody's DMS. `reason` is why it is rejected; None: it is right, and gets in."""

    build: Callable[[], bytes]
    reason: Reason | None


def good(count: int = 50) -> pa.Table:
    """A right table: inserts with keys from 1."""
    return cdc_table(rows(count))


def column(name: str, values: Any, count: int = 3) -> Callable[[], bytes]:
    """A right file but for the values (and type) of one column."""

    def build() -> bytes:
        table = good(count)
        return parquet(table.set_column(table.schema.get_field_index(name), name, values))

    return build


def text(*values: str | None) -> pa.Array:
    """A text column."""
    return pa.array(values, pa.string())


def written(table: pa.Table, **options: Any) -> bytes:
    """The table as Parquet, with options of the writer."""
    body = io.BytesIO()
    pq.write_table(table, body, **{"store_schema": False, **options})
    return body.getvalue()


def footer_of(body: bytes) -> bytes:
    """The footer of a Parquet file, without its length and magic."""
    size = struct.unpack("<I", body[-8:-4])[0]
    return body[-8 - size : -8]


def with_footer(body: bytes, footer: bytes) -> bytes:
    """The same pages behind another footer."""
    pages = body[: -8 - len(footer_of(body))]
    return pages + footer + struct.pack("<I", len(footer)) + b"PAR1"


def varint(value: int) -> bytes:
    """A number as Thrift's compact protocol writes it, zigzag."""
    value, out = value << 1, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def flipped(body: bytes, *places: int) -> bytes:
    """The bytes with a bit turned at some places, negative ones from the end."""
    out = bytearray(body)
    for place in places:
        out[place] ^= 0x10
    return bytes(out)
