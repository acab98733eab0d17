"""When a full load is complete: decided from what DMS says and what landed, never by guess."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dms_assets.model.landed_file import LandedFile
from dms_assets.model.load import Stream, load_id
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR, TableState

WHOLE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LoadFile:
    """An accepted LOAD file in landing and the number of its rows."""

    file: LandedFile
    rows: int


@dataclass(frozen=True, slots=True)
class LoadComplete:
    """The load consists of exactly `files`; `superseded` are left over from older loads: archive them as such."""

    load_id: str
    started_at: datetime
    ended_at: datetime
    rows: int
    files: tuple[LandedFile, ...]
    superseded: tuple[LandedFile, ...]


@dataclass(frozen=True, slots=True)
class LoadCommitted:
    """The load that DMS describes is in the table already; `superseded` are left over from loads before it."""

    load_id: str
    superseded: tuple[LandedFile, ...]


@dataclass(frozen=True, slots=True)
class LoadWaiting:
    """Not complete yet, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class LoadStuck:
    """It will not become complete by itself."""

    reason: str
    remedy: str


LoadDecision = LoadComplete | LoadCommitted | LoadWaiting | LoadStuck

_REMEDY = (
    "replay a quarantined file of the load, or reload the table; "
    "if rows were truly lost in DMS, see its table statistics and task log"
)


def decide_load(  # noqa: PLR0911 (one line per answer)
    stream: Stream,
    *,
    earlier: TableState,
    later: TableState,
    files: Sequence[LoadFile],
    committed: Collection[str],
    now: datetime,
    stuck_after_s: float,
) -> LoadDecision:
    """Whether the load of a table that DMS describes is complete.

    `earlier` was read before landing was listed, `later` after: a reload that re-used a key in between shows as a
    difference, for its rows and size may be the same. `files` are the accepted LOAD files that are pending,
    `committed` the ids of the loads in the table, `stuck_after_s` the seconds after the load's end or its newest
    file, whichever is later, from which waiting counts as stuck.
    """
    if later.state == TABLE_ERROR:
        return LoadStuck("DMS gave up the table: its state is 'Table error'", "see the task log, then reload the table")
    if later.state != TABLE_COMPLETED:
        return LoadWaiting(f"the table's state is '{later.state}'")
    if earlier.load_fingerprint != later.load_fingerprint:
        return LoadWaiting("the load's end was not the same in two polls")
    started, ended = later.load_started, later.load_ended
    if started is None or ended is None or ended < started:
        reason = "DMS gives no start, no end, or the end of an earlier load"
        return _patience(reason, later, files, now, stuck_after_s)
    if started < stream.fresh_start:
        return LoadWaiting(f"DMS describes a load of before stream {stream.ordinal}")
    members = [item for item in files if not older_than(item.file, started)]
    superseded = tuple(item.file for item in files if older_than(item.file, started))
    name = load_id(stream.ordinal, started)
    rows = sum(item.rows for item in members)
    if name in committed and not members:
        return LoadCommitted(name, superseded)
    if name in committed:
        reason = f"{members[0].file.identity.key} is newer than load {name}, which is committed without it"
    elif rows != later.load_rows:
        reason = f"{len(members)} accepted files have {rows} rows, DMS loaded {later.load_rows}"
    else:
        return LoadComplete(name, started, ended, rows, tuple(item.file for item in members), superseded)
    return _patience(reason, later, files, now, stuck_after_s)


def older_than(file: LandedFile, instant: datetime) -> bool:
    """Whether a file was surely written before an instant. S3 gives LastModified in whole seconds, rounded down."""
    if file.last_modified.microsecond:
        return file.last_modified < instant
    return file.last_modified + WHOLE_SECOND <= instant


def stream_of(file: LandedFile, streams: Sequence[Stream]) -> Stream | None:
    """The newest stream that had begun when the file was written, or None if the file is older than all."""
    begun = [stream for stream in streams if stream.fresh_start <= file.last_modified]
    return max(begun, key=lambda stream: stream.fresh_start, default=None)


def register_streams(known: Sequence[Stream], task_arn: str, fresh_start: datetime) -> tuple[Stream, ...]:
    """The streams of a source once DMS says that a task has run since `fresh_start`; the same ones if it is known.

    Raises ValueError for an unknown stream that is older than a known one: files are told apart by these times.
    """
    if any(stream.task_arn == task_arn and stream.fresh_start == fresh_start for stream in known):
        return tuple(known)
    newest = max(known, key=lambda stream: stream.fresh_start, default=None)
    if newest is not None and fresh_start <= newest.fresh_start:
        raise ValueError(
            f"task {task_arn} reports a fresh start at {fresh_start.isoformat()}, not after that of stream "
            f"{newest.ordinal} ({newest.task_arn}, {newest.fresh_start.isoformat()}); a source has one task, and its "
            "streams follow each other: stop the other task, or start this one afresh"
        )
    ordinal = max((stream.ordinal for stream in known), default=0) + 1
    return (*known, Stream(ordinal, task_arn, fresh_start))


def _patience(
    reason: str, state: TableState, files: Sequence[LoadFile], now: datetime, stuck_after_s: float
) -> LoadWaiting | LoadStuck:
    """Waiting, until the set time after the last thing that happened to the load is over."""
    times = [time for time in (state.load_started, state.load_ended) if time is not None]
    times += [item.file.last_modified for item in files]
    if times and (now - max(times)).total_seconds() >= stuck_after_s:
        return LoadStuck(reason, _REMEDY)
    return LoadWaiting(reason)
