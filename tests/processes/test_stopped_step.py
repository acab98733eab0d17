"""A zombie: stopped in the middle of its commit, replaced, and then awake again."""

from __future__ import annotations

from pathlib import Path

import pytest

from dms_assets.model.failpoints import NAMES
from dms_assets.validation.worker_process import ValidationWorker
from tests.processes.stopped_step import AFTER_COMMIT, BEFORE_COMMIT, PLACES, rise_again

HERE = ("lake.after_validation", "lake.before_commit", "lake.between_table_files", "lake.after_commit")
"""The scorecard stops at all of them."""


def test_the_places_are_known() -> None:
    assert set(HERE) <= PLACES.keys() <= NAMES


@pytest.mark.parametrize("place", HERE)
def test_a_step_that_goes_on_after_its_successor_has_no_effect(tmp_path: Path, place: str) -> None:
    with ValidationWorker() as worker:
        zombie = rise_again(tmp_path, worker, place)
    assert zombie.harmless, zombie
    if place in BEFORE_COMMIT:
        assert zombie.meanwhile == 4, "the successor took all of its files"
        assert (zombie.refused, zombie.committed) == (True, False)
    else:
        assert place in AFTER_COMMIT
        assert zombie.meanwhile == 1, "the step had committed before it was stopped"
