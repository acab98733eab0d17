"""Two daemons on one instance, manual runs of the same tables, and a run that is cancelled half way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import dagster as dg
import duckdb

from dms_assets.lake.ledger import Event, Ledger
from dms_assets.lake.pinned_snapshot import pinned_snapshot, validated_identifier
from dms_assets.model.names import Layer
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.landing import INGEST, WORK_TAG
from dms_assets.stack.parts import Parts
from tests.processes.graphql import launch, terminate
from tests.processes.running_stack import SOURCE, RunningStack
from tests.processes.waiting import PATIENCE_S, NotReachedError, wait_for

_OTHER = "still sending heartbeats"
"""What a daemon says that finds another at its work."""


@dataclass(frozen=True)
class Applied:
    """What the validated tables hold: rows of one file that are there twice, files that the ledger accepted twice."""

    rows_twice: int
    files_twice: int

    @property
    def once(self) -> bool:
        """Whether everything was applied once."""
        return not (self.rows_twice or self.files_twice)


@contextmanager
def second_daemon(stack: RunningStack) -> Iterator[Path]:
    """A second daemon on the stack's instance, that nobody forbids; gives its log."""
    part = Parts(stack.installation.environment).daemon()
    part = replace(part, log=part.log.with_name("second-daemon.log"))
    process = part.launch()
    try:
        yield part.log
    finally:
        process.stop()


def daemons_met(stack: RunningStack, log: Path) -> int:
    """How often one of two daemons said that there is another."""
    logs = [log, log.with_name("daemon.log")]
    return sum(log.read_text(encoding="utf-8", errors="replace").count(_OTHER) for log in logs if log.exists())


def manual_runs(stack: RunningStack, count: int) -> list[str]:
    """So many runs of all tables, asked for at once by a user; their ids."""
    found = stack.file
    assert found is not None
    assets = [table_key(SOURCE, Layer.VALIDATED, name).path for name in stack.spec.table_names]
    return [launch(found.urls["ui"], assets) for _ in range(count)]


def ended(stack: RunningStack, runs: list[str], patience_s: float = PATIENCE_S) -> Counter[str]:
    """How these runs ended; those that did not are counted as they are."""

    def statuses() -> Counter[str]:
        found = [stack.instance.get_run_by_id(run) for run in runs]
        return Counter(run.status.value for run in found if run is not None)

    try:
        wait_for("the end of runs", lambda: not set(runs) & set(stack.unfinished()), patience_s)
    except NotReachedError:
        return statuses()
    return statuses()


def overlaps(stack: RunningStack) -> int:
    """Pairs of runs that worked on validated tables at the same time."""
    records = [
        record
        for record in stack.instance.get_run_records()
        if record.start_time
        and record.end_time
        and any(key.path[1] == Layer.VALIDATED.value for key in record.dagster_run.asset_selection or ())
    ]
    return sum(
        one.start_time < other.end_time and other.start_time < one.end_time  # type: ignore[operator]
        for one, other in combinations(records, 2)
    )


def launched_twice(stack: RunningStack) -> int:
    """Runs that two processes were started for: two daemons took them from the queue."""
    twice = 0
    for record in stack.instance.get_run_records():
        told = stack.instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        twice += sum(event.message.startswith("Started process for run") for event in told) > 1
    return twice


def cancel_half_way(stack: RunningStack) -> str:
    """Cancel a run of ingestion that is at work; its status afterwards. Raises NotReachedError if there is none."""
    found = stack.file
    assert found is not None

    def at_work() -> str | None:
        filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={WORK_TAG: INGEST})
        records = stack.instance.get_run_records(filters)
        return records[0].dagster_run.run_id if records else None

    run_id = str(wait_for("a run of ingestion", at_work))
    answer = terminate(found.urls["ui"], run_id)
    assert answer == "TerminateRunSuccess", answer
    (status,) = ended(stack, [run_id])
    return status


def applied(stack: RunningStack) -> Applied:
    """Look at all validated tables and the ledger."""
    rows = 0
    for name in stack.spec.table_names:
        found = pinned_snapshot(stack.installation.catalog, validated_identifier(SOURCE, name))
        if found is None or not found.files:
            continue
        question = (
            "select count(*) - count(distinct (_file, _file_row, _load_id)) from read_parquet(?, union_by_name => true)"
        )
        with duckdb.connect() as connection:
            rows += connection.execute(question, [list(found.files)]).fetchall()[0][0]
    ledger = Ledger(stack.installation.ledger, SOURCE)
    accepted = Counter(
        (row.key, row.etag, row.last_modified)
        for name in stack.spec.table_names
        for row in ledger.rows(name)
        if row.event == Event.ACCEPTED
    )
    return Applied(rows, sum(count > 1 for count in accepted.values()))


def seconds_until_curated(stack: RunningStack, mark: str) -> float:
    """Wait for a row that everybody can recognise."""
    began = time.monotonic()
    wait_for(f"{mark} in curated", lambda: mark in stack.curated_regions())
    return time.monotonic() - began
