"""A build that rises again; row R13 has the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.stopped_build import PLACES, stopped_builds

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(600)]


def test_a_build_that_another_followed_changes_nothing(tmp_path: Path) -> None:
    risen = stopped_builds(3, tmp_path)
    assert [build.place for build in risen] == list(PLACES)
    assert [build for build in risen if not build.harmless] == []
