"""Many small data files of a validated table become few large ones: same rows, one commit, nobody notices.

Every batch leaves a data file of a few kilobytes or more; a table that takes one a minute has ten thousand in a week,
and every reader opens them all. The files that are replaced stay for those who read an older snapshot, until
`lake.orphans` finds that none is left.
"""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import parquet_files_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from dms_assets.lake.data_files import publish
from dms_assets.lake.refusals import CommitRefusedError, refusals_prove_nothing
from dms_assets.lake.removed import Removed
from dms_assets.lake.validated_table import batch_summary
from dms_assets.model.change_columns import BATCH, FILE, FILE_ROW
from dms_assets.model.failpoints import reach
from dms_assets.model.stored_schema import COLUMNS_PROPERTY, columns_from_json, schema_of
from dms_assets.validation.messages import OutputFile
from dms_assets.validation.output import data_file_writer

_LOG = logging.getLogger(__name__)

SMALL_BYTES = 4 << 20
_GROUP_BYTES = 32 << 20
"""So much of small files at a time: their rows are in memory, several times as large."""


class RewrittenRowsError(Exception):
    """A rewritten data file does not hold the rows it was made from. Nothing was committed."""


def compact(
    catalog: Catalog, identifier: tuple[str, str], scratch: Path, *, at_least: int, dry_run: bool = False
) -> Removed:
    """Rewrite a table's small data files if there are `at_least` so many; how many files that does away with.

    One commit on the snapshot that was read: a batch that is committed meanwhile makes it fail, and nothing is done
    this time. Raises RewrittenRowsError, OSError.
    """
    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        return Removed()
    small = _small_files(table)
    if len(small) < at_least:
        return Removed()
    found = Removed(len(small), sum(file.file_size_in_bytes for file in small))
    if dry_run:
        return found
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"{uuid.uuid4().hex}.parquet"
    rows = _rewrite(table, small, path)
    return found if _replace(table, small, OutputFile(path, rows)) else Removed()


def _small_files(table: Table) -> list[DataFile]:
    """As many as go into one file."""
    small: list[DataFile] = []
    size = 0
    for task in table.scan().plan_files():
        if task.file.file_size_in_bytes < SMALL_BYTES and size < _GROUP_BYTES:
            small.append(task.file)
            size += task.file.file_size_in_bytes
    return small


def _rewrite(table: Table, files: list[DataFile], path: Path) -> int:
    """Write the rows of some data files, in order of their batches, to a new one, and read it back; how many."""
    schema = schema_of(columns_from_json(table.properties[COLUMNS_PROPERTY]))
    rows = pa.concat_tables([_read(table, file, schema) for file in files])
    rows = rows.sort_by([(BATCH, "ascending"), (FILE, "ascending"), (FILE_ROW, "ascending")])
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    with data_file_writer(path, schema, text) as writer:
        writer.write_table(rows, row_group_size=1 << 18)
    written = _in_schema(pq.read_table(path), schema)
    if not _bits(written).equals(_bits(rows)) or rows.num_rows != sum(file.record_count for file in files):
        raise RewrittenRowsError(
            f"{path} does not hold exactly the rows of {len(files)} data files of {'.'.join(table.name())}; the table "
            "is as it was. Keep both, and report it"
        )
    return rows.num_rows


_FLOAT_BITS = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}


def _bits(rows: pa.Table) -> pa.Table:
    """With floating numbers as their bits: two NaNs are the same row, and zero is not minus zero."""
    for place, field in enumerate(rows.schema):
        if bits := _FLOAT_BITS.get(field.type):
            rows = rows.set_column(place, field.name, rows.column(place).combine_chunks().view(bits))
    return rows


def _read(table: Table, file: DataFile, schema: pa.Schema) -> pa.Table:
    with table.io.new_input(file.file_path).open() as stream:
        return _in_schema(pq.read_table(cast("IO[bytes]", stream)), schema)


def _in_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """With the columns of a schema; null where a file is older than a column."""
    held = set(rows.column_names)
    columns = [
        rows[field.name].cast(field.type) if field.name in held else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _replace(table: Table, files: list[DataFile], output: OutputFile) -> bool:
    """Commit a new data file in place of others; whether the table was still as it was read.

    The new snapshot is of the same batch as the one before, whose rows it holds: a worker that looks for its commit
    finds it, and a rebuilt ledger too. A refused file is left to the sweep: a refusal may answer a repeated request.
    """
    published = publish(table, [output])
    reach("retention.before_compaction")
    transaction = table.transaction()
    with transaction.update_snapshot(snapshot_properties=batch_summary(table)).overwrite() as overwrite:
        for added in parquet_files_to_data_files(table.io, transaction.table_metadata, iter(published.uris)):
            overwrite.append_data_file(added)
        for file in files:
            overwrite.delete_data_file(file)
    try:
        with refusals_prove_nothing(table):
            transaction.commit_transaction()
    except CommitRefusedError:
        _LOG.info("%s is compacted another time: a batch was committed just now", ".".join(table.name()))
        return False
    return True
