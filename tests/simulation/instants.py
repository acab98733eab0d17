"""Recorded states of the source against curated as of their instants: all, or those that are called complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dms_assets.curation.covered_instants import read_covered
from dms_assets.lake.pinned_snapshot import validated_identifier
from dms_assets.lake.table_summary import read_summary
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.load import Load
from dms_assets.model.names import TableName
from dms_assets.reconcile.compare import compare, compare_table, open_warehouse
from dms_assets.reconcile.comparison import TableComparison
from tests.simulation.parts import Recorded
from tests.simulation.world import SOURCE, World

_HUNDREDTH = timedelta(milliseconds=10)


@dataclass(frozen=True, slots=True)
class Difference:
    """A table that is not what the source was: when, and how."""

    table: TableName
    told: str


def unequal(world: World, *, again: bool) -> list[Difference]:
    """What differs from any recorded state, or from the last one now; `again`: also where it was equal before."""
    wanted = {
        number: {name for name in recorded.state.rows if again or (number, name) not in world.found_equal}
        for number, recorded in enumerate(world.recorded)
    }
    now = (Difference(table.table, f"now: {table.to_json()}") for table in unequal_now(world))
    return [*_differences(_unequal_then(world, wanted)), *now]


def unequal_now(world: World) -> Sequence[TableComparison]:
    """Tables whose present rows differ from the last recorded state."""
    last = world.recorded[-1]
    return compare(last.state, world.stack.environment.published_file, SOURCE, last.tables, as_of=False).unequal


def unequal_though_complete(world: World) -> list[Difference]:
    """What differs from a recorded state up to which the platform calls the table complete, for the first time."""
    with open_warehouse(world.stack.environment.published_file) as connection:
        covered = read_covered(connection)
    new = {
        number: {
            name
            for name in recorded.state.rows
            if (known := covered.get((SOURCE, name)))
            and recorded.state.at <= known.complete_to
            and (number, name) not in world.found_equal
        }
        for number, recorded in enumerate(world.recorded)
    }
    before = world.counts["tables compared"]
    found = list(_differences(_unequal_then(world, new)))
    world.counts["instants called complete"] += world.counts["tables compared"] - before
    return found


def _differences(found: Iterator[tuple[int, TableComparison]]) -> Iterator[Difference]:
    return (Difference(table.table, f"instant {number}: {table.to_json()}") for number, table in found)


def _unequal_then(world: World, wanted: Mapping[int, set[TableName]]) -> Iterator[tuple[int, TableComparison]]:
    """Of the tables wanted of each recorded state, those that differ, where history is promised to be exact."""
    loads = {
        table.name: read_summary(world.installation.catalog, validated_identifier(SOURCE, table.name)).loads
        for table in world.tables
    }
    with open_warehouse(world.stack.environment.published_file) as connection:
        for number, names in wanted.items():
            recorded = world.recorded[number]
            begun = {name for name in names if _begun_then(recorded, loads[name])}
            unread = {name for name in names if _load_lost(world, recorded, loads[name])}
            exact = names - recorded.diverged - begun - unread
            world.counts["tables compared"] += len(exact)
            world.counts["instants of a table that its log does not tell of"] += len(names & recorded.diverged)
            world.counts["instants at a boundary"] += len(begun)
            world.counts["instants of a load written over unread"] += len(unread)
            for table in recorded.tables:
                if table.name in exact:
                    found = compare_table(connection, recorded.state, SOURCE, table, at=recorded.state.at)
                    if found.equal:
                        world.found_equal.add((number, table.name))
                    else:
                        yield number, found


def _begun_then(recorded: Recorded, loads: Sequence[Load]) -> bool:
    """Whether a reload began in the hundredth of a second of this instant, where no order tells it by time."""
    return any(load.boundary_at - _HUNDREDTH <= recorded.state.at < load.boundary_at for load in loads)


def _load_lost(world: World, recorded: Recorded, loads: Sequence[Load]) -> bool:
    """Whether DMS wrote over the load of that instant's stream, for a later one, before anything read it.

    What was between the end of the stream before and that load is told by nothing else: it is not promised.
    """
    streams = StreamStore(world.installation.state, SOURCE).streams()
    then = max(stream.ordinal for stream in streams if stream.fresh_start <= recorded.state.at)
    written_over = then < len(streams) or any(load.stream == then for load in loads)
    return written_over and all(load.stream < then for load in loads if load.boundary_at <= recorded.state.at)
