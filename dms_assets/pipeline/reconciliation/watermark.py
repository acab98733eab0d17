"""Keep the watermark of a source: one short query at every tick, and what it means for tables as committed now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from dms_assets.environment import SecretNotFoundError
from dms_assets.installation import Installation
from dms_assets.lake.landing import read_inbox
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.quarantine import Quarantine
from dms_assets.lake.state_document import StateDocument
from dms_assets.lake.table_summary import TableSummary
from dms_assets.lake.task_memory import StreamStore
from dms_assets.metadata.source_connection import SourceUnreachableError
from dms_assets.model.engine import EngineNotSupportedError
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.watermark import LogReading, Note, SlotUnknownError, Watermark, WatermarkState, choose_slot
from dms_assets.pipeline.checks.hold import read_summaries

FORMAT = 1
_NO_STREAM = "the task was never started"
_READING = """
select clock_timestamp(), (pg_current_wal_insert_lsn() - '0/0')::bigint,
       (select coalesce(jsonb_object_agg(slot_name, (confirmed_flush_lsn - '0/0')::bigint), '{}')
        from pg_replication_slots
        where slot_type = 'logical' and not temporary and database = current_database()
          and confirmed_flush_lsn is not null)
"""


class WatermarkStore:
    """The watermarks of one source."""

    def __init__(self, state: ObjectStore, source: str) -> None:
        self._document = StateDocument(state, f"watermarks/{source}.json", format=FORMAT)

    def state(self) -> WatermarkState | None:
        """Everything known, None before the first reading."""
        data = self._document.read()
        return WatermarkState.from_json(data) if data else None

    def reached(self) -> Watermark | None:
        """The newest watermark, None before the first."""
        state = self.state()
        return state.reached[-1] if state and state.reached else None

    def advance(self, stream: int, reading: LogReading, *, landed_by: datetime) -> WatermarkState:
        """Take in a reading. See `WatermarkState.advanced`."""

        def edit(data: dict[str, Any] | None) -> dict[str, Any]:
            before = WatermarkState.from_json(data) if data else WatermarkState(stream, reading.slot)
            return before.advanced(stream, reading, landed_by=landed_by).to_json()

        return WatermarkState.from_json(self._document.change(edit))


def read_log(connection: psycopg.Connection[Any], task_arn: str, declared: str | None) -> LogReading:
    """Where a PostgreSQL source's log ends and how far the task's slot is confirmed. Raises SlotUnknownError."""
    row = connection.execute(_READING).fetchone()
    assert row is not None  # noqa: S101  a select without a table has one row
    at, position, slots = row
    slot = choose_slot(list(slots), task_arn, declared)
    return LogReading(Note(at.astimezone(UTC), position), slot, int(slots[slot]))


def advance_watermark(installation: Installation, spec: SourceSpec, task_arn: str) -> str | None:
    """Read the source and take it in: for the tick of a sensor. None, or why the watermark stands.

    A source that is down, or shows no slot, is no reason for the tick to fail.
    """
    stream = max(StreamStore(installation.state, spec.name).streams(), key=lambda s: s.ordinal, default=None)
    if stream is None:
        return f"the watermark stands: {_NO_STREAM}"
    try:
        with installation.source_connection(spec) as connection:
            reading = read_log(connection, task_arn, spec.dms.slot_name)
    except (
        SourceUnreachableError,
        SecretNotFoundError,
        EngineNotSupportedError,
        SlotUnknownError,
        psycopg.Error,
    ) as error:
        return f"the watermark stands: {error}"
    landed_by = datetime.now(UTC) + landing_delay(spec)
    WatermarkStore(installation.state, spec.name).advance(stream.ordinal, reading, landed_by=landed_by)
    return None


def landing_delay(spec: SourceSpec) -> timedelta:
    """How much later than its confirmation a change may land, by landing's clock."""
    seconds = spec.dms.clock_skew_s
    if not spec.dms.confirms_durable:
        # A batch that was begun is written when its interval is over, and the next one is begun by then.
        seconds += 2 * spec.dms.cdc_max_batch_interval_s
    return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the validated tables of a source hold, as committed at one moment.

    `summaries` are what they say of themselves, `oldest` when the oldest pending file of a table was written (tables
    without one are left out), `waiting` tables in which something is missing, with the reason; of these, `quarantined`
    wait for a decision.
    """

    reached: tuple[Watermark, ...]
    begun: Mapping[TableName, datetime]
    oldest: Mapping[TableName, datetime]
    waiting: Mapping[TableName, str]
    quarantined: frozenset[TableName]
    summaries: Mapping[TableName, TableSummary]

    def instant(self, tables: Collection[TableName]) -> datetime | None:
        """The instant up to which some tables hold every change; None where there is none."""
        if not tables or any(name in self.waiting for name in tables):
            return None
        begun = max(self.begun[name] for name in tables)
        oldest = min((self.oldest[name] for name in tables if name in self.oldest), default=None)
        for mark in reversed(self.reached):
            if (oldest is None or oldest > mark.landed_by) and mark.instant >= begun:
                return mark.instant
        return None


def read_coverage(installation: Installation, spec: SourceSpec) -> Coverage:
    """What the tables of a source cover now. Snapshots pinned later hold at least that.

    Files in quarantine are missing, unless the table is declared to go on without them. Before the load that the
    present stream began with, nothing is whole.
    """
    # In this order: a file goes from landing to the table or to quarantine, never back.
    state = WatermarkStore(installation.state, spec.name).state()
    inbox = read_inbox(installation.landing, spec)
    quarantined = Quarantine(installation.quarantine, spec.name).held_tables()
    streams = StreamStore(installation.state, spec.name).streams()
    summaries = read_summaries(installation, spec, spec.table_names)
    held = frozenset(name for name in quarantined if spec.table(name).on_quarantine == "hold")
    newest = max((stream.ordinal for stream in streams), default=0)
    waiting: dict[TableName, str] = {}
    begun: dict[TableName, datetime] = {}
    for name, summary in summaries.items():
        ends = [load.ended_at for load in summary.loads if load.stream == newest]
        if ends:
            begun[name] = min(ends)
        else:
            waiting[name] = f"the load that stream {newest} begins with is not in the table" if newest else _NO_STREAM
        if name in held:
            waiting[name] = f"files are in quarantine: {', '.join(quarantined[name][:3])}"
    return Coverage(
        reached=state.reached if state and state.stream == newest else (),
        begun=begun,
        oldest={name: min(file.last_modified for file in files) for name, files in inbox.tables.items() if files},
        waiting=waiting,
        quarantined=held,
        summaries=summaries,
    )


def covered_instant(installation: Installation, spec: SourceSpec, tables: Collection[TableName]) -> datetime | None:
    """The instant up to which validated tables, as committed now, hold every change; None where there is none.

    Call it before pinning their snapshots.
    """
    return read_coverage(installation, spec).instant(tables) if tables else None
