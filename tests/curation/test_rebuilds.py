"""History that grew equals history rebuilt, in several orders of arrival; row R18 goes through many more seeds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.scorecard.rows.r18_rebuilt_equals_grown import check_seed, noticed, warehouses


def test_a_rebuild_says_what_the_increments_say_in_any_order_of_arrival(tmp_path: Path) -> None:
    found = warehouses(tmp_path)
    counts: Counter[str] = Counter()
    for seed in range(4):
        counts.update(check_seed(found[seed < 2], seed, unique=seed < 2))
    assert counts["late rows"]
    assert counts["copies"]
    assert noticed(found[True]), "an increment without one of its rules is not found out"
    for warehouse in found.values():
        warehouse.connection.close()
