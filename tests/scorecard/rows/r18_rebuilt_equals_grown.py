"""R18: history rebuilt from scratch equals the one that grew batch by batch, whatever the order of arrival."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.curation.rebuilds import RebuildDifferenceError, check_seed
from tests.curation.rendered import render
from tests.curation.warehouse import Warehouse
from tests.scorecard.figure import Budget, Outcome, Row
from tests.strategies.change_log import METADATA

WANTED = 200
BROKEN = ("_change_id in (select _change_id from fresh)", "false")
"""A rule of the increment, and what takes its place to show that its loss would be noticed."""
CONTROLS = 3


def warehouses(folder: Path) -> dict[bool, Warehouse]:
    """One warehouse where positions are unique, one where they are shared, with the SQL that dbt ran."""
    tables = {"unique": (METADATA, True), "shared": (METADATA, False)}
    rendered = render(folder, tables)
    return {unique: Warehouse(rendered["unique" if unique else "shared"], METADATA) for unique in (True, False)}


def noticed(warehouse: Warehouse) -> int:
    """How many seeds notice that the increment lost a rule: the first few are enough."""
    rendered = warehouse.rendered
    assert BROKEN[0] in rendered.increment
    broken, found = Warehouse(replace(rendered, increment=rendered.increment.replace(*BROKEN)), METADATA), 0
    for seed in range(50):
        if found == CONTROLS:
            break
        try:
            check_seed(broken, seed, unique=True)
        except RebuildDifferenceError:
            found += 1
    broken.connection.close()
    return found


def measure(budget: Budget) -> Outcome:
    """As many seeds as the budget allows, 200 at most; each as any rows, or as a source could have done."""
    ends = time.monotonic() + budget.seconds
    found = warehouses(budget.folder)
    counts = Counter({"planted errors noticed": noticed(found[True])})
    differ: list[str] = []
    tried = 0
    while tried < WANTED and time.monotonic() < ends:
        seed = budget.seed + tried
        unique = seed // 2 % 2 == 0
        try:
            counts.update(check_seed(found[unique], seed, unique=unique))
        except RebuildDifferenceError as error:
            differ.append(str(error))
        tried += 1
    for warehouse in found.values():
        warehouse.connection.close()
    told = f", the first: {differ[0]}" if differ else ""
    return Outcome(
        f"{len(differ)} differences in {tried} seeds{told}",
        holds=not differ and (budget.quick or tried >= WANTED),
        observed=counts,
        seeds=[budget.seed],
    )


ROW = Row(
    "R18",
    "History rebuilt equals history grown, in any order of arrival",
    f"0 differences in {WANTED} seeds",
    480,
    None,
    measure,
)
