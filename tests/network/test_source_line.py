"""Local DMS behind a bad line for some seconds; row R20 does it for minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dms_assets.sample.postgres import EmbeddedPostgres
from tests.network.source_line import SourceLine, Spans

pytestmark = pytest.mark.postgres


def test_every_row_comes_once_over_a_bad_line(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    seen = SourceLine(tmp_path, postgres, 1).run(Spans(latency=1, resets=3, refusing=1, hole=1, round_trip=0.05))
    assert seen["connections reset"]
    assert seen["reset: attempts given up and begun again"]
    assert seen["connections cut off"]
    assert seen["connections in a hole"]
