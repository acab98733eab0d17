"""Files that are no (whole) Parquet, or say of themselves what is not so."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.validation.outcome import Reason
from tests.corpus.making import HostileFile, flipped, footer_of, good, varint, with_footer, written
from tests.lake.world import cdc_table, parquet, rows


def _flipped_page() -> bytes:
    """Bit flips in a compressed page, far from the footer: the footer alone looks right."""
    body = written(good(5000), compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(3)
    return flipped(body, *(column.data_page_offset + offset for offset in range(40, 400, 7)))


def _one_flip_in(column: str, **options: object) -> bytes:
    body = written(good(5000), **options)
    metadata = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    index = next(i for i in range(metadata.num_columns) if metadata.column(i).path_in_schema == column)
    chunk = metadata.column(index)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    return flipped(body, start + chunk.total_compressed_size * 3 // 4)


def _bad_utf8() -> bytes:
    names = pa.array([b"ok", b"\xff\xfe\xfa", b"ok"], pa.binary())
    table = good(3)
    return written(table.set_column(table.schema.get_field_index("name"), "name", names.view(pa.string())))


def _cut_pages() -> bytes:
    """The footer of a whole file behind half its pages."""
    body = parquet(good(5000))
    size = len(footer_of(body)) + 8
    return body[: (len(body) - size) // 2] + body[-size:]


def _footer_claims_other_rows() -> bytes:
    """A footer in which 70 rows have become 71, everywhere."""
    body = parquet(good(70))
    footer = footer_of(body)
    assert footer.count(varint(70)) >= 2
    return with_footer(body, footer.replace(varint(70), varint(71)))


def _footer_of_another() -> bytes:
    return with_footer(parquet(good(10)), footer_of(parquet(good(5000))))


def _two_files() -> bytes:
    """One file behind another: the last footer counts from the beginning of what is not its file."""
    return parquet(good(3000)) + parquet(cdc_table(rows(40)))


def _zip() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("a.parquet", parquet(good()))
    return body.getvalue()


def _moved_offsets() -> bytes:
    """Every column's pages are said to begin where the first one's do."""
    body = written(good(5000), use_dictionary=False, compression="none")
    group = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    first, footer = group.column(0).data_page_offset, footer_of(body)
    for index in range(1, group.num_columns):
        footer = footer.replace(varint(group.column(index).data_page_offset), varint(first))
    return with_footer(body, footer)


def _beyond_the_end() -> bytes:
    body = written(good(5000), use_dictionary=False, compression="none")
    chunk = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0).column(4)
    return with_footer(body, footer_of(body).replace(varint(chunk.data_page_offset), varint(1 << 40)))


def _many_columns_claimed() -> bytes:
    """The list of columns is said to have two thousand million of them."""
    body = parquet(good())
    footer = footer_of(body)
    assert footer[2:4] == b"\x19\xac"
    return with_footer(body, footer[:3] + b"\xfc\xff\xff\xff\xff\x07" + footer[4:])


DAMAGED: dict[str, HostileFile] = {
    name: HostileFile(build, Reason.UNREADABLE)
    for name, build in {
        "empty": lambda: b"",
        "one_byte": lambda: b"P",
        "zeros": lambda: bytes(4096),
        "csv": lambda: b"Op,id\nI,1\n",
        "json": lambda: b'{"id": 1}\n',
        "html": lambda: b"<html><script>alert(1)</script></html>",
        "gzipped_parquet": lambda: gzip.compress(parquet(good())),
        "zip": _zip,
        "magic_only": lambda: b"PAR1PAR1",
        "magic_once": lambda: b"PAR1",
        "wrong_magic": lambda: b"PARX" + parquet(good())[4:-4] + b"PARX",
        "encrypted_magic": lambda: parquet(good())[:-4] + b"PARE",
        "truncated_by_one": lambda: parquet(good())[:-1],
        "truncated_tail": lambda: parquet(good())[:-20],
        "truncated_half": lambda: parquet(good(5000))[: len(parquet(good(5000))) // 2],
        "truncated_head": lambda: parquet(good())[1000:],
        "truncated_pages": _cut_pages,
        "one_byte_more": lambda: parquet(good()) + b"\0",
        "footer_length_huge": lambda: parquet(good())[:-8] + b"\xff\xff\xff\x7fPAR1",
        "footer_length_negative": lambda: parquet(good())[:-8] + b"\xff\xff\xff\xffPAR1",
        "footer_length_zero": lambda: parquet(good())[:-8] + b"\0\0\0\0PAR1",
        "footer_noise": lambda: b"PAR1" + bytes(range(256)) * 8 + struct.pack("<I", 2000) + b"PAR1",
        "footer_other_rows": _footer_claims_other_rows,
        "footer_of_another_file": _footer_of_another,
        "footer_of_two_thousand_million_columns": _many_columns_claimed,
        "two_files_in_one": _two_files,
        "offsets_all_the_same": _moved_offsets,
        "offset_beyond_the_end": _beyond_the_end,
        "page_bit_flips": _flipped_page,
        "one_bit_of_gzip": lambda: _one_flip_in("amount", compression="gzip", use_dictionary=False),
        "one_bit_of_zstd_text": lambda: _one_flip_in("name", compression="zstd", use_dictionary=False),
        "one_bit_under_a_checksum": lambda: _one_flip_in(
            "amount", compression="none", use_dictionary=False, write_page_checksum=True
        ),
        "invalid_utf8": _bad_utf8,
    }.items()
}
