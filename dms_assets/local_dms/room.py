"""A disk without room: nothing to fail a task for, whose changes the source keeps until there is room again."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dms_assets.local_dms.faults import RecoverableError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def _without_room(error: BaseException) -> bool:
    """Whether a write failed for want of room: of a file on its disk or within its quota, of the state on its disk."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _NO_ROOM


@contextmanager
def room_awaited() -> Iterator[None]:
    """Turn errors of full disks into RecoverableError, with the place and the remedy."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not _without_room(error):
            raise
        place = "the state of Local DMS" if isinstance(error, sqlite3.OperationalError) else "landing files"
        raise RecoverableError(
            f"The disk is full that holds {place} ({error}): make room. The source keeps its log meanwhile"
        ) from error
