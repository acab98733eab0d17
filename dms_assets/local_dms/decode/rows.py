"""Rows of a load: `record_send` values (a count, then for each column its type, length and bytes)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from dms_assets.local_dms.decode.cells import Cells, DecodeError, slab_of


def record_columns(records: pa.Array[Any], columns: int) -> list[Cells]:
    """Where each column's values lie in an Arrow array of records. Raises DecodeError if they do not add up."""
    slab, offsets = slab_of(records)
    position = offsets[:-1]
    if len(position) and int(slab.i4[position[0]]) != columns:
        raise DecodeError(f"a row of the source has {int(slab.i4[position[0]])} columns instead of {columns}")
    position = position + 4
    cells: list[Cells] = []
    for _ in range(columns):
        length = slab.i4[position + 4].astype(np.int32)
        start = position + 8
        cells.append(Cells(slab, start, length))
        position = start + np.maximum(length, 0)
    if not np.array_equal(position, offsets[1:]):
        raise DecodeError("rows of the source do not end where their columns end")
    return cells
