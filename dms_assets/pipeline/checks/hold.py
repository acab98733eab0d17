"""When a table is held: three conditions, judged from what the lake says, for sensor, runs and checks alike.

A held table's curated relations stay as they are: stale and right beats fresh and wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from dms_assets.installation import Installation
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.lake.quarantine import Quarantine
from dms_assets.lake.stuck_loads import StuckLoads
from dms_assets.lake.table_summary import TableSummary, read_summary
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.load import Load, Stream
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec

QUARANTINE_CHECK = "nothing_in_quarantine"
LOAD_CHECK = "load_not_stuck"
STREAM_CHECK = "stream_unbroken"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one blocking check says of one table. `holds` is False where the declaration says to go on regardless.

    `remedy` is '' where it passed; `entries` are the ids of the quarantined files it is about.
    """

    table: TableName
    check: str
    passed: bool
    expected: str
    found: str
    remedy: str = ""
    holds: bool = True
    entries: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What was found and what to do about it, in one line."""
        return f"{self.found}; {self.remedy}" if self.remedy else self.found


def judge_stream(name: TableName, streams: Collection[Stream], loads: Iterable[Load]) -> Verdict:
    """Changes of a stream are whole only once a load of that stream is in the table; before the first, nothing is."""
    newest = max((stream.ordinal for stream in streams), default=0)
    loaded = max((load.stream for load in loads), default=None)
    passed = loaded is None or loaded >= newest
    found = f"stream {newest}, load of stream {loaded or 'none yet'}"
    remedy = ""
    if not passed:
        found += ": the task was started afresh, and what changed in between is only in the new load"
        remedy = "the table is released when that load is complete; if none is under way, reload the table"
    return Verdict(name, STREAM_CHECK, passed, f"a load of stream {newest}, the one its changes are in", found, remedy)


def judge_load(name: TableName, stuck: str | None) -> Verdict:
    """`stuck` is what the last run said of a load that will not become complete by itself: `reason; remedy`."""
    reason, _, remedy = (stuck or "no load is stuck").partition("; ")
    return Verdict(name, LOAD_CHECK, stuck is None, "every load becomes complete", reason, remedy)


def judge_quarantine(spec: SourceSpec, name: TableName, entries: Collection[str]) -> Verdict:
    """`entries` are the ids of the table's files in quarantine that nobody has decided on."""
    expected = "no file of the table in quarantine"
    if not entries:
        return Verdict(name, QUARANTINE_CHECK, passed=True, expected=expected, found="nothing in quarantine")
    ids = tuple(sorted(entries))
    return Verdict(
        name,
        QUARANTINE_CHECK,
        passed=False,
        expected=expected,
        found=f"{len(ids)} in quarantine ({', '.join(ids[:5])})",
        remedy="read the report with `dms-assets quarantine show ID`, then replay or discard it with a reason",
        holds=spec.table(name).on_quarantine == "hold",
        entries=ids,
    )


def read_summaries(
    installation: Installation, spec: SourceSpec, names: Collection[TableName]
) -> dict[TableName, TableSummary]:
    """What the validated tables say of themselves."""
    return {name: read_summary(installation.catalog, validated_identifier(spec.name, name)) for name in names}


def judge(installation: Installation, spec: SourceSpec, summaries: Mapping[TableName, TableSummary]) -> list[Verdict]:
    """Every blocking check of some tables, as things are now."""
    quarantined = Quarantine(installation.quarantine, spec.name).held_tables()
    streams = StreamStore(installation.state, spec.name).streams()
    stuck = StuckLoads(installation.state, spec.name)
    verdicts = []
    for name, summary in summaries.items():
        verdicts.append(judge_quarantine(spec, name, quarantined.get(name, ())))
        verdicts.append(judge_load(name, stuck.reason(name)))
        verdicts.append(judge_stream(name, streams, summary.loads))
    return verdicts


def held(verdicts: Iterable[Verdict]) -> set[TableName]:
    """The tables whose curated relations must not move."""
    return {verdict.table for verdict in verdicts if not verdict.passed and verdict.holds}
