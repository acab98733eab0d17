"""Where accepted rows are written while they are validated: small files together, a large one by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.model.change_columns import BATCH, FILE, LOAD_ID, METADATA_VERSION, OP, STREAM
from dms_assets.validation.messages import OutputFile

_HELD_BYTES = 32 << 20
_LOW_CARDINALITY = [OP, STREAM, LOAD_ID, FILE, BATCH, METADATA_VERSION]


class OutputFailedError(Exception):
    """Data files cannot be written: no fault of the file that is validated."""


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if "not enough memory" in str(error):
            raise MemoryError(f"writing {path.name} takes more memory than there is") from error
        raise OutputFailedError(f"cannot write {path}: {error}; make room or correct its folder's rights") from error


class Output:
    """Data files of one request: `<prefix>-<number>.parquet`. Rows of a rejected file never get into one.

    A file's rows are held in memory until it is accepted, up to 32 MiB; beyond that they go to a data file of their
    own, which is removed if the file is rejected.
    """

    def __init__(self, prefix: Path, schema: pa.Schema, text_columns: list[str]) -> None:
        self._prefix = prefix
        self._schema = schema
        self._text_columns = text_columns
        self._accepted: list[pa.Table] = []
        self._files: list[OutputFile] = []
        self._number = 0
        self._own: pq.ParquetWriter | None = None
        self._own_file = OutputFile(prefix, 0)
        self._held: list[pa.Table] = []
        self._held_bytes = self._accepted_bytes = 0
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None

    def write(self, rows: pa.Table) -> None:
        """Rows of the file that is being validated."""
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        if self._own is None:
            if self._held_bytes <= _HELD_BYTES:
                return
            self._own_file = OutputFile(self._next_path(), 0)
            with _writing(self._own_file.path):
                self._own = data_file_writer(self._own_file.path, self._schema, self._text_columns)
        held, self._held = self._held, []
        for table in held:
            self._write_behind(self._own, table)
            self._own_file = OutputFile(self._own_file.path, self._own_file.rows + table.num_rows)

    def accept(self) -> None:
        """The file is good: its rows stay."""
        if self._own is not None:
            with _writing(self._own_file.path):
                self._settle()
                self._own.close()
            self._own = None
            self._files.append(self._own_file)
        else:
            self._accepted += self._held
            self._accepted_bytes += self._held_bytes
            if self._accepted_bytes > _HELD_BYTES:
                self._flush()
        self._held, self._held_bytes = [], 0

    def discard(self) -> None:
        """The file is rejected: its rows go."""
        if self._own is not None:
            with suppress(OSError, MemoryError, OutputFailedError):  # It goes anyway.
                self._settle()
                self._own.close()
            self._own = None
            self._own_file.path.unlink()
        self._held, self._held_bytes = [], 0

    def finish(self) -> tuple[OutputFile, ...]:
        """Close all; the data files that hold rows."""
        self._flush()
        self._thread.shutdown()
        return tuple(self._files)

    def _write_behind(self, writer: pq.ParquetWriter, table: pa.Table) -> None:
        """Encode one table while the next is judged: identities are hashed in Python, on the other core."""
        self._settle()
        self._pending = self._thread.submit(writer.write_table, table, row_group_size=1 << 18)

    def _settle(self) -> None:
        """Wait for the table that is being written."""
        pending, self._pending = self._pending, None
        if pending is not None:
            with _writing(self._own_file.path):
                pending.result()

    def _flush(self) -> None:
        table = pa.concat_tables(self._accepted) if self._accepted else None
        self._accepted, self._accepted_bytes = [], 0
        if table is None or table.num_rows == 0:
            return
        path = self._next_path()
        with _writing(path), data_file_writer(path, self._schema, self._text_columns) as writer:
            writer.write_table(table, row_group_size=1 << 18)
        self._files.append(OutputFile(path, table.num_rows))

    def _next_path(self) -> Path:
        self._number += 1
        return self._prefix.with_name(f"{self._prefix.name}-{self._number:05d}.parquet")


def data_file_writer(path: Path, schema: pa.Schema, text_columns: Sequence[str]) -> pq.ParquetWriter:
    """A writer of data files of validated tables: no Arrow schema in the footer and no field ids, for Iceberg maps
    columns by name.
    """
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[*_LOW_CARDINALITY, *text_columns],  # type: ignore[arg-type]  # the stubs know bool only
        store_schema=False,
        write_page_index=False,
        # pyiceberg turns statistics into Python dates, which end at the year 9999 and begin at 1.
        write_statistics=[field.name for field in schema if not pa.types.is_temporal(field.type)],
    )
