"""Incremental history against one rebuilt from scratch, and against the same rows in another order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from dms_assets.model.change_log import Row
from dms_assets.model.load import Load
from tests.curation.random_logs import LogBatch, random_log
from tests.curation.warehouse import Warehouse
from tests.strategies.change_log import METADATA, SETUPS, generate

SHOWN = len(METADATA.columns) + 3
"""Columns of history that the source decides: its own, then from, to and whether it is current."""

History = Counter[tuple[object, ...]]


class RebuildDifferenceError(AssertionError):
    """Incremental history is not what a rebuild makes of the same rows."""


def batches_of(seed: int, *, unique: bool) -> list[LogBatch]:
    """The log of a seed: half of them any rows at all, half of them what a source could have done."""
    random = Random(seed)
    if seed % 2:
        return random_log(random, unique_positions=unique, sequenced=seed % 3 > 0)
    setup = random.choice([setup for setup in SETUPS if setup.unique_positions == unique])
    return [LogBatch(list(batch.rows), list(batch.loads)) for batch in generate(random, setup).batches]


def shuffled(random: Random, batches: Sequence[LogBatch]) -> list[LogBatch]:
    """The same rows and loads in other batches; the rows of a load stay together and come with it."""
    count = random.randrange(2, 7)
    loads = batches[-1].loads
    visible = {load.load_id: random.randrange(1, count + 1) for load in loads}
    rows = [row for batch in batches for row in batch.rows]
    random.shuffle(rows)
    placed = [
        replace(row, batch=visible[row.load_id] if row.load_id else random.randrange(1, count + 1)) for row in rows
    ]
    return [
        LogBatch(
            [row for row in placed if row.batch == number], [load for load in loads if visible[load.load_id] <= number]
        )
        for number in range(1, count + 1)
    ]


def check_seed(warehouse: Warehouse, seed: int, *, unique: bool, orders: int = 1) -> Counter[str]:
    """What the log of a seed met, counted. Raises RebuildDifferenceError."""
    counts: Counter[str] = Counter()
    batches = batches_of(seed, unique=unique)
    first = _grow(warehouse, seed, batches, counts, compare_each=True)
    for order in range(orders):
        again = _grow(warehouse, seed, shuffled(Random(seed * 101 + order), batches), counts, compare_each=False)
        if again != first:
            told = f"{again - first} instead of {first - again}"
            raise RebuildDifferenceError(f"seed {seed}: arrival in order {order} gives another history: {told}")
        counts["orders of arrival"] += 1
    return counts


def _grow(
    warehouse: Warehouse, seed: int, batches: Sequence[LogBatch], counts: Counter[str], *, compare_each: bool
) -> History:
    warehouse.reset()
    seen: list[Row] = []
    for number, batch in enumerate(batches, 1):
        counts["late rows"] += _late(seen, batch.rows)
        counts["copies"] += len({row.change_id for row in batch.rows} & {row.change_id for row in seen})
        counts["loads over history"] += _new_loads(batches, number) if number > 1 else 0
        warehouse.append(batch.rows, batch.loads)
        warehouse.build()
        seen += batch.rows
        if number > 1:
            counts["increments"] += 1
        if not compare_each and number < len(batches):
            continue
        grown, rebuilt = warehouse.versions(), warehouse.rebuilt()
        if grown != rebuilt:
            raise RebuildDifferenceError(
                f"seed {seed}, batch {number}: the increment has {grown - rebuilt}, a rebuild {rebuilt - grown}"
            )
    return Counter(row[:SHOWN] for row in warehouse.history().elements())


def _late(seen: Sequence[Row], rows: Sequence[Row]) -> int:
    newest = max((row.commit_at for row in seen), default=None)
    return sum(newest is not None and row.commit_at < newest for row in rows)


def _new_loads(batches: Sequence[LogBatch], number: int) -> int:
    def known(loads: Sequence[Load]) -> set[str]:
        return {load.load_id for load in loads}

    return len(known(batches[number - 1].loads) - known(batches[number - 2].loads))
