"""Names of files: a counter for loads, the time for changes, never one twice below a table's prefix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dms_assets.model.landed_file import cdc_file_name, load_file_name

_MILLISECOND = timedelta(milliseconds=1)


def table_prefix(folder: str, schema: str, table: str) -> str:
    """`folder/schema/table/`."""
    return "/".join(part for part in (folder, schema, table) if part) + "/"


def load_key(prefix: str, number: int) -> str:
    """The key of a load's nth file, from 1."""
    return prefix + load_file_name(number)


class ChangeNames:
    """Gives keys to files of changes: the current time, moved on by a millisecond while it is taken."""

    def __init__(self, taken: Callable[[str], bool], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._taken = taken
        self._now = now
        self._last: dict[str, datetime] = {}

    def next(self, prefix: str) -> str:
        """A key below `prefix` that no earlier file of this process has, nor one in the bucket."""
        at = self._now()
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        if prefix in self._last:
            at = max(at, self._last[prefix] + _MILLISECOND)
        while self._taken(prefix + cdc_file_name(at)):
            at += _MILLISECOND
        self._last[prefix] = at
        return prefix + cdc_file_name(at)
