"""Keys that are in a load twice, found in the data files of the load, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dms_assets.model.change_columns import CHANGE_ID, FILE, FILE_ROW
from dms_assets.model.change_identity import ID_BYTES
from dms_assets.validation.messages import Duplicate, OutputFile
from dms_assets.validation.outcome import MAX_REPORTED_ROWS

ROWS_PER_PASS = 8_000_000
_BATCH_ROWS = 1 << 18


def find_duplicates(outputs: Sequence[OutputFile], rows_per_pass: int = ROWS_PER_PASS) -> list[Duplicate]:
    """Rows of one load whose key another row before them has; at most MAX_REPORTED_ROWS, in order of file and row.

    In a load the identity of a row is that of its key. Each pass looks at a share of the identities, so that memory
    does not grow with the load.
    """
    passes = max(-(-sum(output.rows for output in outputs) // rows_per_pass), 1)
    twice: set[bytes] = set()
    for share in range(passes):
        heads = [ids[ids[:, 0] % passes == share] for ids in _identities(outputs)]
        if not heads:
            continue
        twice |= _repeated(np.concatenate(heads))
        if len(twice) > MAX_REPORTED_ROWS:
            break
    return _located(outputs, twice)[:MAX_REPORTED_ROWS] if twice else []


def _identities(outputs: Sequence[OutputFile]) -> Iterator[npt.NDArray[np.uint64]]:
    """Identities as pairs of integers, batch by batch."""
    for output in outputs:
        with pq.ParquetFile(output.path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[CHANGE_ID]):
                fixed: Any = batch.column(0).cast(pa.binary(ID_BYTES))
                yield np.frombuffer(fixed.buffers()[1], np.uint64, 2 * len(fixed), fixed.offset * ID_BYTES).reshape(
                    -1, 2
                )


def _repeated(ids: npt.NDArray[np.uint64]) -> set[bytes]:
    ordered = ids[np.lexsort((ids[:, 1], ids[:, 0]))]
    equal = np.all(ordered[1:] == ordered[:-1], axis=1)
    return {bytes(row) for row in ordered[1:][equal][: MAX_REPORTED_ROWS + 1]}


def _located(outputs: Sequence[OutputFile], twice: set[bytes]) -> list[Duplicate]:
    """Where repeated identities are, but for the first place of each."""
    places: dict[bytes, list[tuple[str, int]]] = {}
    for output in outputs:
        with pq.ParquetFile(output.path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=[CHANGE_ID, FILE, FILE_ROW]):
                for index, identity in enumerate(batch.column(0).to_pylist()):
                    if identity in twice:
                        place = (batch.column(1)[index].as_py(), batch.column(2)[index].as_py())
                        places.setdefault(identity, []).append(place)
    found = [(file, row, identity) for identity, at in places.items() for file, row in sorted(at)[1:]]
    return [Duplicate(file, row, identity.hex()[:16]) for file, row, identity in sorted(found)]
