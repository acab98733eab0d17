"""PostgreSQL is killed while changes flow; the scorecard does it more often."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.postmaster import kill_postmasters

pytestmark = [pytest.mark.system, pytest.mark.postgres, pytest.mark.timeout(600)]


@pytest.mark.long
def test_what_comes_again_after_a_kill_counts_once(tmp_path: Path) -> None:
    found = kill_postmasters(tmp_path / "home", times=2, seed=1)
    assert (found.killed, found.readers) == (2, 1)
    assert found.redelivered > 0, "the fault took place"
    assert (found.taken_twice, found.doubled, found.unequal) == (0, 0, ())
