"""Row images of changes: which values a change writes, and what its operation is in the change log.

An update that changes the key is a delete of the old key and an insert of the new one, at its place in the
transaction: for keys that are checked at once (PostgreSQL allows no other as replica identity) that order is exact,
chains through a temporary key and a key that was inserted in the same transaction included. `strict` writes such
an update as DMS does, as an update with the new key only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from dms_assets.local_dms.decode.cells import NULL, UNCHANGED, Bytes, Cells, DecodeError, Int64s, Slab
from dms_assets.local_dms.decode.messages import Changes
from dms_assets.local_dms.decode.variable import bytes_array

_UPDATE, _DELETE, _INSERT = ord("U"), ord("D"), ord("I")
_NEW, _TEXT, _BINARY, _TOAST = ord("N"), ord("t"), ord("b"), ord("u")
_HEADER = 5


@dataclass(frozen=True, slots=True)
class Images:
    """Rows to write. `source` is each row's index in the changes; `second` marks the insert of a changed key."""

    op: Bytes
    source: Int64s
    second: npt.NDArray[np.bool_]
    cells: list[Cells]
    printed: npt.NDArray[np.bool_]
    """Per column: whether any value came as text although the plugin was asked for binary."""


@dataclass(slots=True)
class _Tuples:
    start: list[Int64s]
    length: list[npt.NDArray[np.int32]]
    end: Int64s
    text: npt.NDArray[np.bool_]


def _walk(slab: Slab, position: Int64s, columns: int) -> _Tuples:
    """The columns of one tuple of each row; `position` is at its column count."""
    if len(position) and not bool((slab.i2[position] == columns).all()):
        raise DecodeError(f"a row in the log does not have the {columns} columns of its relation")
    position = position + 2
    tuples = _Tuples([], [], position, np.zeros(columns, bool))
    for column in range(columns):
        kind = slab.u1[position]
        text = kind == _TEXT
        there = text | (kind == _BINARY)
        length = np.where(there, slab.i4[position + 1], np.where(kind == _TOAST, UNCHANGED, NULL)).astype(np.int32)
        tuples.text[column] = bool(text.any())
        tuples.start.append(position + 5)
        tuples.length.append(length)
        position = position + np.where(there, 5 + length.astype(np.int64), 1)
    tuples.end = position
    return tuples


def _key_changed(slab: Slab, old: _Tuples, new: _Tuples, key: Sequence[int]) -> npt.NDArray[np.bool_]:
    changed = np.zeros(len(old.end), bool)
    for column in key:
        # An unchanged large value in a key cannot have changed.
        before, after = (Cells(slab, t.start[column], np.maximum(t.length[column], NULL)) for t in (old, new))
        differs = pc.not_equal(bytes_array(before, text=False), bytes_array(after, text=False))
        changed |= differs.fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003 - Arrow's own signature
    return changed


def images(changes: Changes, key: Sequence[int], *, strict: bool) -> Images:
    """The rows that some changes of one relation write; `key` are the positions of its primary key columns."""
    slab, count = changes.slab, len(changes.relation.columns)
    body = changes.at + _HEADER
    has_old = (changes.kind == _UPDATE) & (slab.u1[body] != _NEW)
    if not has_old.any():
        whole = _walk(slab, body + 1, count)
        _check_end(whole.end, changes.end)
        cells = [Cells(slab, s, n) for s, n in zip(whole.start, whole.length, strict=True)]
        rows = np.arange(len(changes.at))
        return Images(changes.kind, rows, np.zeros(len(rows), bool), cells, whole.text)
    return _with_old_images(changes, key, has_old, strict=strict)


def _with_old_images(changes: Changes, key: Sequence[int], has_old: npt.NDArray[np.bool_], *, strict: bool) -> Images:
    slab, count = changes.slab, len(changes.relation.columns)
    first = _walk(slab, changes.at + _HEADER + 1, count)
    both = np.flatnonzero(has_old)
    old = _Tuples([s[both] for s in first.start], [n[both] for n in first.length], first.end[both], first.text)
    new = _walk(slab, old.end + 1, count)
    end = first.end.copy()
    end[both] = new.end
    _check_end(end, changes.end)
    moved = np.zeros(len(both), bool) if strict else _key_changed(slab, old, new, key)
    repeat = np.ones(len(changes.at), np.int64)
    repeat[both[moved]] = 2
    source = np.repeat(np.arange(len(changes.at)), repeat)
    second = np.zeros(len(source), bool)
    second[1:] = source[1:] == source[:-1]
    op = changes.kind[source].copy()
    is_moved = repeat[source] == 2
    op[is_moved & ~second], op[is_moved & second] = _DELETE, _INSERT
    cells = []
    for column in range(count):
        start, length = first.start[column].copy(), first.length[column].copy()
        carried = new.length[column] == UNCHANGED
        new_start = np.where(carried, old.start[column], new.start[column])
        # The old image has the value only under REPLICA IDENTITY FULL; a key image has null there, which is not it.
        full = changes.relation.identity == "f"
        new_length = np.where(carried, old.length[column] if full else UNCHANGED, new.length[column]).astype(np.int32)
        start_now, length_now = start[source], length[source]
        place = np.searchsorted(both, source)
        from_new = has_old[source] & (~is_moved | second)
        start_now[from_new] = new_start[place[from_new]]
        length_now[from_new] = new_length[place[from_new]]
        cells.append(Cells(slab, start_now, length_now))
    return Images(op, source.astype(np.int64), second, cells, first.text | new.text)


def _check_end(found: Int64s, promised: Any) -> None:
    if not np.array_equal(found, promised):
        raise DecodeError("changes in the log do not end where their columns end")
