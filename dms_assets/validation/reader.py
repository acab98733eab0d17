"""Reading an untrusted Parquet file in flat memory: every byte of it, in batches of bounded size.

Call it in the worker process only: the limits there are what stops a file made to exhaust memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_READ_ERRORS = (pa.ArrowException, OSError, ValueError)
_MEMORY_ERRORS = (MemoryError, pa.ArrowCapacityError)

_MIB = 1 << 20
_BATCH_BYTES, _BATCH_ROWS = 16 * _MIB, 1 << 17
_CAREFUL_BYTES, _CAREFUL_ROWS = _MIB, 1 << 10
_EXPANDED_FLOOR = 1 << 30
_EXPANDED_RATIO = 1000


class UnreadableError(Exception):
    """A file is damaged. The message has no values in it."""

    def __init__(self, where: str, error: Exception) -> None:
        text = str(error).splitlines()[0] if str(error) else ""
        # Numbers may be values of the file; nothing else of it gets into a reader's message.
        safe = re.sub(r"\d+", "#", text)[:160].encode("unicode_escape").decode("ascii")
        super().__init__(f"{where}: {type(error).__name__}, {safe}")


class ExpandsTooMuchError(Exception):
    """The values of a file are out of proportion to its size."""


class LandedParquet:
    """An open Parquet file. Raises UnreadableError where it is damaged, MemoryError where it takes too much memory.

    `careful` reads texts as dictionaries, in small batches: slower, but a few bytes cannot become gigabytes.
    """

    def __init__(self, path: Path, *, careful: bool) -> None:
        self._size = path.stat().st_size
        self._careful = careful
        with _named("its footer"):
            self._file = _open(path, [])
            if careful:
                texts = [column.path for column in self._columns() if column.physical_type == "BYTE_ARRAY"]
                self._file.close()
                self._file = _open(path, texts)

    def _columns(self) -> list[pq.ColumnSchema]:
        return [self._file.schema.column(index) for index in range(len(self._file.schema))]

    @property
    def schema(self) -> pq.ParquetSchema:
        """The Parquet schema."""
        return self._file.schema

    @property
    def names(self) -> list[str]:
        """The columns' names, in the file's order."""
        return [str(column.path) for column in self._columns()]

    @property
    def rows(self) -> int:
        """Rows, as the footer says."""
        return int(self._file.metadata.num_rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def batches(self, types: dict[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """All rows, as batches of the columns and Arrow types given, each checked in full (UTF-8, offsets).

        Raises ExpandsTooMuchError for a file read carefully whose values exceed a thousand times its size.
        """
        names = list(types)
        read = expanded = 0
        batches = self._file.iter_batches(batch_size=self._batch_rows(), columns=names)
        while True:
            with _named(f"the rows from {read} on"):
                batch = next(batches, None)
                if batch is None:
                    return
                _validate(batch)
            expanded += _expanded_bytes(batch)
            if expanded > max(_EXPANDED_FLOOR, _EXPANDED_RATIO * self._size):
                raise ExpandsTooMuchError(f"{expanded} bytes of values in a file of {self._size}")
            read += batch.num_rows
            for piece in _pieces(batch):
                with _named(f"the rows before {read}"):
                    arrays = [_plain(piece.column(name), types[name]) for name in names]
                yield pa.record_batch(arrays, names=names)

    def _batch_rows(self) -> int:
        limit, rows = (_CAREFUL_BYTES, _CAREFUL_ROWS) if self._careful else (_BATCH_BYTES, _BATCH_ROWS)
        metadata = self._file.metadata
        claimed = sum(max(metadata.row_group(index).total_byte_size, 0) for index in range(metadata.num_row_groups))
        per_row = max(claimed // max(self.rows, 1), 1)
        return int(min(max(limit // per_row, 1), rows))


def _validate(batch: pa.RecordBatch) -> None:
    """Every value is one of its type. Digits of decimals are left to the rules, which say where there are too many."""
    batch.validate()
    for column in batch.columns:
        column.validate(full=not pa.types.is_decimal(column.type))


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say where in a file reading it failed."""
    try:
        yield
    except _MEMORY_ERRORS as error:
        raise MemoryError(f"{where} take more memory than there is") from error
    except _READ_ERRORS as error:
        if "not enough memory" in str(error):
            raise MemoryError(f"{where} take more memory than there is") from error
        raise UnreadableError(where, error) from error


def _open(path: Path, dictionaries: list[str]) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        read_dictionary=dictionaries,
        buffer_size=_MIB,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=16 * _MIB,
        thrift_container_size_limit=200_000,
    )


def _expanded_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of the batch's values if nothing were shared between rows."""
    total = 0
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray):
            words: Any = column.dictionary
            lengths = pc.binary_length(words)
            total += int(pc.sum(pc.take(lengths, column.indices)).as_py() or 0)
        else:
            total += column.nbytes
    return total


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces that stay small when values are no longer shared."""
    count = min(max(-(-_expanded_bytes(batch) // (4 * _BATCH_BYTES)), 1), max(batch.num_rows, 1))
    rows = -(-batch.num_rows // count)
    for start in range(0, batch.num_rows, max(rows, 1)):
        yield batch.slice(start, rows)


def _plain(array: pa.Array[Any], wanted: pa.DataType) -> pa.Array[Any]:
    """The same values in the wanted Arrow type, whatever the footer's Arrow hints made of them."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if array.type == wanted:
        return array
    if pa.types.is_timestamp(wanted):
        # A zone in the file is a property of how the instant is shown; the microseconds stay as they are.
        zone = array.type.tz if pa.types.is_timestamp(array.type) else None
        return array.cast(pa.timestamp("us", zone)).view(wanted)
    return array.cast(wanted)
