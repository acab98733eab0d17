"""A broken stream is loud. A few cases here; the scorecard has all of them."""

from __future__ import annotations

import pytest

from dms_assets.local_dms.gaps import Gap, GapError, Lost
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.gap_cases import CASES, QUICK, Case
from tests.local_dms.gap_restarts import RESTARTS
from tests.local_dms.gap_world import GapWorld
from tests.local_dms.idle import idle_source_keeps_little_log
from tests.local_dms.service import Service


@pytest.mark.postgres
@pytest.mark.parametrize("case", [case for case in CASES if case.name in QUICK], ids=lambda case: case.name)
def test_a_broken_stream_fails_with_its_name_and_stays_failed(
    shared: Service, postgres: EmbeddedPostgres, case: Case
) -> None:
    case.run(GapWorld(shared, postgres, case.name.replace(" ", "-")))


@pytest.mark.postgres
def test_busy_neighbours_of_idle_tables_do_not_pile_up_log(shared: Service, postgres: EmbeddedPostgres) -> None:
    idle_source_keeps_little_log(GapWorld(shared, postgres, "idle"))


def test_every_gap_has_a_name_a_range_and_a_remedy() -> None:
    assert len({gap.value for gap in Gap}) == len(Gap)
    for gap in Gap:
        error = GapError(gap, "cause", Lost(0x16B374D848, None))
        assert str(error) == (f"Stream broken ({gap.value}): cause. Changes lost: 16/B374D848 to unknown. {gap.remedy}")
        assert "reload-target" in gap.remedy
        assert gap.remedy.endswith(".")


def test_there_is_a_case_for_every_gap() -> None:
    # States on the way to others, which their cases look at.
    inside = {Gap.STANDBY, Gap.LOG_LEVEL, Gap.OTHER_SYSTEM}
    without = set(Gap) - inside - {case.gap for case in CASES + RESTARTS}
    assert without == {Gap.SLOT_INVALIDATED}, "reasons that only standbys have"
