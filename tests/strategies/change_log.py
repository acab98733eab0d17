"""Scenarios for the change log: what a naive source did, what was delivered of it, and what is to be seen.

A `Scenario` is one table's life: batches of rows exactly as they stand in the validated table, the complete loads
visible with each batch, and what curated must show after it. Feed the batches to any implementation, one by one,
and compare after each with `Batch.expected`:

    @given(scenarios())
    def test_the_warehouse(scenario):
        for batch in scenario.batches:
            append(validated_table(batch.rows, scenario.metadata), loads=batch.loads)  # rows of this batch only
            for expected in batch.expected:
                shown = current() if expected.at is None else as_of(expected.at)
                expected.assert_shown(shown)  # {key values: values of all columns}

`generate(random, setup)` makes a scenario from any `random.Random`: use seeds for bulk, `scenarios()` in Hypothesis.
The table has the key columns `id` (int64) and `part` (string), and `name` (string) and `amount` (float64). For a
keyless setup it has no key, `expected` is empty, and `changes` tells what the log must hold at least once.

A batch may have no rows (a load of an empty table), and changes may come before the load they follow, but for the
first load of the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

import pyarrow as pa
from hypothesis import strategies as st

from dms_assets.model.change_columns import LOAD_OP, validated_schema
from dms_assets.model.change_identity import Origin, change_id
from dms_assets.model.change_log import Row
from dms_assets.model.landed_file import FileIdentity, cdc_file_name, load_file_name
from dms_assets.model.load import Load
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from tests.strategies.expectation import FOR_EVER, Oracle, position_text
from tests.strategies.source_model import EPOCH, KEYS, TABLE, Content, Delivery, Key, LoadRun, Setup, World, instant

__all__ = ["KEYLESS", "SETUPS", "Batch", "Expected", "Scenario", "Setup", "generate", "scenarios", "validated_table"]

METADATA = TableMetadata(
    TABLE,
    (
        ColumnMetadata("id", LogicalType.parse("int64"), "bigint", nullable=False),
        ColumnMetadata("part", LogicalType.parse("string"), "text", nullable=False),
        ColumnMetadata("name", LogicalType.parse("string"), "text"),
        ColumnMetadata("amount", LogicalType.parse("float64"), "double precision"),
    ),
    key=("id", "part"),
)

LOCAL = Setup("local dms", unique_positions=True, positions="change", snapshots=True, redelivery="same")
AWS = Setup("aws", positions="commit", ticks="commit", redelivery="new")
SETUPS = (
    replace(LOCAL, exact_reloads=True),
    replace(LOCAL, name="local, clock back, late files", clock="back", shuffled=True, exact_reloads=True),
    replace(LOCAL, name="unique positions, new sequences", redelivery="new", clock="ties", shuffled=True),
    AWS,
    replace(AWS, name="aws, clock back, late files", clock="back", shuffled=True),
    replace(AWS, name="aws, positions of statements, ties", positions="statement", clock="ties", shuffled=True),
    replace(AWS, name="aws, positions of changes, clock back", positions="change", clock="back", exact_reloads=True),
    replace(AWS, name="aws, shared positions, coarse clock", positions="shared", clock="coarse", shuffled=True),
    replace(AWS, name="aws, no positions, clock back", positions="missing", clock="back", ticks="real"),
    replace(AWS, name="no sequences", sequences=False, clock="ties", shuffled=True),
    replace(AWS, name="no sequences, no positions", sequences=False, positions="missing", clock="coarse"),
    replace(AWS, name="gaps and reloads, no redelivery", redelivery="none", clock="back", exact_reloads=True),
)
KEYLESS = replace(AWS, name="keyless", keyless=True, shuffled=True)


def comparable(values: Sequence[object] | None) -> tuple[object, ...] | None:
    """Values that are equal in Python exactly if they are in SQL: NaN is NaN, and minus zero is zero."""
    if values is None:
        return None
    return tuple("NaN" if isinstance(value, float) and value != value else value for value in values)


@dataclass(frozen=True)
class Expected:
    """The state at an instant (None: now). Nothing is promised for the keys in `unpromised`."""

    at: datetime | None
    state: Mapping[Key, Content]
    unpromised: frozenset[Key]

    @property
    def promised(self) -> list[Key]:
        return [key for key in KEYS if key not in self.unpromised]

    def differences(self, shown: Mapping[Key, Sequence[object]]) -> list[str]:
        """One line per promised key that is shown otherwise, and per key that the source never had."""
        lines = [f"key {key} was never in the source" for key in shown if key not in KEYS]
        for key in self.promised:
            want, got = self.state.get(key), shown.get(key)
            if comparable(want) != comparable(got):
                lines.append(f"at {self.at or 'now'}: key {key} is {got}, in the source {want}")
        return lines

    def assert_shown(self, shown: Mapping[Key, Sequence[object]]) -> None:
        lines = self.differences(shown)
        assert not lines, "\n".join(lines)


@dataclass(frozen=True)
class Batch:
    """One commit: its rows, all complete loads of the table from then on, and what curated must show."""

    number: int
    rows: tuple[Row, ...]
    loads: tuple[Load, ...]
    expected: tuple[Expected, ...]


@dataclass(frozen=True)
class Scenario:
    """A table's life. `changes` are (operation, content) of every change that was captured, for keyless tables;
    `redelivered` counts the rows that are another copy of a change.
    """

    setup: Setup
    metadata: TableMetadata
    batches: tuple[Batch, ...]
    changes: tuple[tuple[str, Content], ...]
    redelivered: int

    @property
    def unique_positions(self) -> bool:
        return self.setup.unique_positions


def scenarios(setups: Sequence[Setup] = SETUPS) -> st.SearchStrategy[Scenario]:
    """Scenarios of any of the setups."""
    return st.builds(generate, st.randoms(use_true_random=False), st.sampled_from(list(setups)))


def generate(random: Random, setup: Setup, instants: int = 6) -> Scenario:
    """A scenario; after each batch, up to this many random instants are compared, and the current state."""
    world = World(random, setup)
    world.live()
    groups = _batches(world)
    batch_of = {row.order: number for number, group in enumerate(groups, 1) for row in _deliveries(group)}
    batch_of_load = {run.load.load_id: number for number, group in enumerate(groups, 1) for run in _runs(group)}
    oracle = Oracle(world, batch_of, batch_of_load)
    metadata = replace(METADATA, key=()) if setup.keyless else METADATA
    files = {id(item): index for index, item in enumerate(world.items)}
    batches: list[Batch] = []
    loads: tuple[Load, ...] = ()
    for number, group in enumerate(groups, 1):
        rows = [row for item in group for row in _rows(world, metadata, item, files[id(item)], number)]
        loads = (*loads, *(run.load for run in _runs(group)))
        expected = () if setup.keyless else _expected(oracle, random, number, instants)
        batches.append(Batch(number, tuple(rows), loads, expected))
    changes = tuple((c.op, c.content) for commit in world.commits if commit.stream for c in commit.changes)
    sent = [(delivery.commit, delivery.ordinal) for delivery in _deliveries(world.items)]
    return Scenario(setup, metadata, tuple(batches), changes, len(sent) - len(set(sent)))


def validated_table(rows: Sequence[Row], metadata: TableMetadata) -> pa.Table:
    """The rows as they stand in the validated table."""
    schema = validated_schema(metadata)
    dicts = []
    for row in rows:
        source = dict(zip((column.name for column in metadata.columns), row.content, strict=True))
        platform = {f"_{name}": getattr(row, name) for name in _PLATFORM}
        dicts.append({**source, **platform, "_metadata_version": metadata.version})
    return pa.Table.from_pylist(dicts, schema=schema)


_PLATFORM = ("op", "stream", "seq", "commit_at", "position", "load_id", "file", "file_row", "change_id", "batch")
_Item = list[Delivery] | LoadRun


def _deliveries(items: Sequence[_Item]) -> list[Delivery]:
    return [delivery for item in items if not isinstance(item, LoadRun) for delivery in item]


def _runs(items: Sequence[_Item]) -> list[LoadRun]:
    return [item for item in items if isinstance(item, LoadRun)]


def _batches(world: World) -> list[list[_Item]]:
    """The landed things, in batches: late and out of order if the setup says so, the first load first."""
    random = world.random
    items = list(world.items)
    if world.setup.shuffled:
        delays = [(index + random.choice((0, 0, 0, 1, 3, 6)), index) for index in range(len(items))]
        items = [items[index] for _, index in sorted(delays)]
    first = next((index for index, item in enumerate(items) if isinstance(item, LoadRun)), None)
    if first is not None:
        items.insert(0, items.pop(first))
    groups: list[list[_Item]] = []
    for item in items:
        if not groups or random.random() < 0.6:
            groups.append([])
        groups[-1].append(item)
    return groups


def _rows(world: World, metadata: TableMetadata, item: _Item, index: int, batch: int) -> list[Row]:
    if isinstance(item, LoadRun):
        name = load_file_name(1)
        origin = Origin(_identity(name, index), item.load.stream, item.load.load_id)
        at = item.load.boundary_at
        return [
            _row(world, metadata, origin, LOAD_OP, content, None, at, None, number, batch)
            for number, content in enumerate(item.contents.values())
        ]
    name = cdc_file_name(EPOCH + timedelta(milliseconds=index))
    origin = Origin(_identity(name, index), item[0].stream, None)
    rows = []
    for number, delivery in enumerate(item):
        commit = world.commits[delivery.commit]
        change = commit.changes[delivery.ordinal]
        position = position_text(world, commit, delivery.ordinal)
        at = instant(commit.at)
        rows.append(_row(world, metadata, origin, change.op, change.content, delivery.seq, at, position, number, batch))
    return rows


def _identity(name: str, index: int) -> FileIdentity:
    return FileIdentity(f"src/app/thing/{name}", f"etag-{index}", instant(index).isoformat(timespec="microseconds"))


def _row(
    world: World,
    metadata: TableMetadata,
    origin: Origin,
    op: str,
    content: Content,
    seq: str | None,
    commit_at: datetime,
    position: str | None,
    file_row: int,
    batch: int,
) -> Row:
    identity = change_id(
        metadata,
        origin,
        unique_positions=world.setup.unique_positions,
        op=op,
        content=content,
        commit_at=commit_at,
        position=position,
        file_row=file_row,
    )
    key = content[: len(metadata.key)]
    stream, load, file = origin.stream, origin.load_id, origin.file.key
    return Row(key, op, content, stream, seq, commit_at, position, load, file, file_row, identity, batch)


def _expected(oracle: Oracle, random: Random, batch: int, instants: int) -> tuple[Expected, ...]:
    spans = {key: oracle.unpromised(key, batch) for key in KEYS}
    now = frozenset(key for key in KEYS if any(end == FOR_EVER for _, end in spans[key]))
    expected = [Expected(None, oracle.state(FOR_EVER), now)]
    times = oracle.instants()
    for at in random.sample(times, len(times)):
        if len(expected) > instants:
            break
        open_keys = frozenset(key for key in KEYS if any(start <= at < end for start, end in spans[key]))
        if len(open_keys) < len(KEYS):
            expected.append(Expected(instant(at), oracle.state(at), open_keys))
    return tuple(expected)
