"""Parts of a running stack that are killed come back by themselves; the scorecard kills the others too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.proof import prove
from tests.processes.running_stack import RunningStack
from tests.processes.strike import PARTS, RUN, strike

pytestmark = [pytest.mark.system, pytest.mark.postgres, pytest.mark.timeout(600)]


@pytest.mark.long
def test_a_run_and_its_code_server_are_killed(tmp_path: Path) -> None:
    with RunningStack(tmp_path / "home") as stack:
        # The run that is killed first is that of the first load.
        run = strike(stack, RUN, "K001")
        server = strike(stack, PARTS[0], "K002")
        assert (run.killed, run.runs_cut, run.orphans) == (1, 1, 0), run
        assert (server.killed, server.orphans) == (1, 0), server
        proof = prove(stack)
        assert proof.holds, proof
        assert {"K001", "K002"} <= stack.curated_regions()
