"""The history of a table as a pure function of its change log: the rules that the warehouse's SQL must agree with.

Per key: one version per change (`fold`), in log order, drop states of zero length, merge equal neighbours, in that
order (`history`). `valid_from` is the running maximum of the commit time, because commit clocks go back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dms_assets.model.change_columns import DELETE_OP, LOAD_OP
from dms_assets.model.change_log import LogPlace, Row, Values, load_place, loads_in_order, log_place
from dms_assets.model.load import Load

OPEN_END = datetime(2999, 1, 1, tzinfo=UTC)
"""`valid_to` of a current row, unless configured otherwise."""


class DuplicateKeyError(ValueError):
    """A load holds two rows of one key."""


@dataclass(frozen=True, slots=True)
class Version:
    """One distinct change. Of its copies, the one with the smallest sequence gives its place, the largest its state.

    With unique positions all copies have the same state. Otherwise the copies are all changes of a key in one
    transaction, and its last one is what the transaction left.
    """

    place: Row
    state: Row


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One state of a key, valid for `valid_from <= t < valid_to` (UTC)."""

    key: Values
    content: Values
    valid_from: datetime
    valid_to: datetime
    is_current: bool
    change_id: bytes
    batch: int


@dataclass(frozen=True, slots=True)
class _Event:
    """What happens to a key: `version` None is a load that the key is missing from."""

    at: datetime
    version: Version | None

    @property
    def present(self) -> bool:
        return self.version is not None and self.version.state.op != DELETE_OP

    def same_state(self, other: _Event) -> bool:
        if not (self.present and other.present):
            return self.present == other.present
        return self.version is not None and other.version is not None and _equal(self.version, other.version)


def fold(versions: Mapping[bytes, Version], rows: Iterable[Row]) -> dict[bytes, Version]:
    """The versions after more rows came, in any order and however often. Folding batch by batch equals one fold.

    Raises DuplicateKeyError if a load has a key twice.
    """
    folded = dict(versions)
    for row in rows:
        seen = folded.get(row.change_id)
        if seen is None:
            folded[row.change_id] = Version(row, row)
            continue
        if row.op == LOAD_OP:
            raise DuplicateKeyError(
                f"load {row.load_id} has one key in two rows: {seen.place.file} row {seen.place.file_row} and "
                f"{row.file} row {row.file_row}; reload the table"
            )
        folded[row.change_id] = Version(
            min(seen.place, row, key=lambda copy: copy.place), max(seen.state, row, key=lambda copy: copy.place)
        )
    return folded


def history(versions: Iterable[Version], loads: Sequence[Load], *, open_end: datetime = OPEN_END) -> list[HistoryRow]:
    """The history of a table with a key; `loads` are all its complete loads. Per key by time.

    A load touches every key of its table: one that is missing from it closes at its boundary. A delete of an absent
    key is nothing, an update of one inserts, and a delete's content is never compared. The touch counts for keys
    that the log first names later, too: their first state begins at the load's boundary at the earliest.

    Raises ValueError for a table without a key, which is a log and has no history.
    """
    ordered = loads_in_order(loads)
    by_key: dict[Values, list[tuple[LogPlace, Version]]] = defaultdict(list)
    for version in versions:
        if not version.place.key:
            raise ValueError(f"a row of {version.place.file} has no key: a table without a key is a log, not a history")
        by_key[_comparable(version.place.key)].append((log_place(version.place, ordered), version))
    rows: list[HistoryRow] = []
    for placed in by_key.values():
        rows.extend(_states(_merged(_lasting(_events(placed, ordered))), open_end))
    return rows


def current(rows: Iterable[HistoryRow]) -> dict[Values, Values]:
    """Key to content of the rows that are current."""
    return {row.key: row.content for row in rows if row.is_current}


def as_of(rows: Iterable[HistoryRow], at: datetime) -> dict[Values, Values]:
    """Key to content of the rows valid at an instant."""
    return {row.key: row.content for row in rows if row.valid_from <= at < row.valid_to}


def _events(placed: list[tuple[LogPlace, Version]], loads: Sequence[Load]) -> list[_Event]:
    """A key's events in log order, each at the running maximum of the times."""
    loaded = {version.place.load_id for _, version in placed if version.place.op == LOAD_OP}
    events: list[tuple[LogPlace, Version | None]] = [*placed]
    events += [(load_place(load), None) for load in loads if load.load_id not in loaded]
    events.sort(key=lambda event: event[0])
    timed: list[_Event] = []
    for place, version in events:
        at = place[5]
        timed.append(_Event(max(at, timed[-1].at) if timed else at, version))
    return timed


def _lasting(events: list[_Event]) -> list[_Event]:
    """Without the events that the next one overtakes at the same instant."""
    return [event for event, after in zip(events, [*events[1:], None], strict=True) if not after or event.at < after.at]


def _merged(events: list[_Event]) -> list[_Event]:
    """Without the events that change nothing."""
    kept: list[_Event] = []
    for event in events:
        if kept and kept[-1].same_state(event):
            continue
        kept.append(event)
    return kept


def _states(events: list[_Event], open_end: datetime) -> Iterable[HistoryRow]:
    for event, after in zip(events, [*events[1:], None], strict=True):
        if event.version is None or not event.present:
            continue
        state = event.version.state
        valid_to = after.at if after else open_end
        yield HistoryRow(
            state.key, state.content, event.at, valid_to, after is None, event.version.place.change_id, state.batch
        )


def _equal(one: Version, other: Version) -> bool:
    """Equal as SQL values: null equals null, NaN equals NaN, and zero equals minus zero."""
    return _comparable(one.state.content) == _comparable(other.state.content)


def _comparable(values: Values) -> Values:
    return tuple("\0NaN" if isinstance(value, float) and value != value else value for value in values)  # noqa: PLR0124
