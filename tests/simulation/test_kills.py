"""The process killed at some failpoints of a pipeline; row R2 goes through all of them, with several seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.kills import kill_everywhere

NAMES = ("local_dms.before_advance", "lake.after_commit", "build.before_publishing", "metadata.after_version")


@pytest.mark.postgres
@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kills = kill_everywhere(11, tmp_path, NAMES)
    assert kills.unreached == []
    assert kills.counts == {"local_dms": 1, "lake": 1, "build": 1, "metadata": 1, "checks against the source": 3}
