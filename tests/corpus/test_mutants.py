"""Mutants of right files: none is accepted with other rows than the original's, and none ends anything but itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.corpus.making import written
from tests.corpus.mutants import Mutant, judge, mutants, original
from tests.lake.world import cdc_table, rows

SEED, COUNT = 20_260_101, 160


def test_no_mutant_is_wrongly_accepted(tmp_path: Path) -> None:
    every = list(mutants(SEED, COUNT))
    told = [(mutant.seed, mutant.writer, found) for mutant, found in judge(every, tmp_path)]
    assert [item for item in told if item[2].startswith("WRONG")] == []
    tally = Counter(found for _, _, found in told)
    assert len(every) > 0.9 * COUNT
    # Most are found out; some changes mean nothing (statistics, names of the writer), and their rows are the same.
    assert tally["unreadable"] > COUNT / 2
    assert tally["accepted"] > 0


def test_a_wrong_acceptance_would_be_noticed(tmp_path: Path) -> None:
    """A file of other rows than the original's, passed off as a mutant of it."""
    other = written(cdc_table(rows(200, first=2)), compression="gzip")
    ((_, told),) = judge([Mutant("gzip", 1, other)], tmp_path)
    assert told == "WRONG: accepted with another id"
    ((_, told),) = judge([Mutant("gzip", 1, original("gzip")[1])], tmp_path)
    assert told == "accepted"
