"""One table taken in over a bad line to a bad S3; row R20 does it for longer."""

from __future__ import annotations

from pathlib import Path

from dms_assets.validation.worker_process import ValidationWorker
from tests.network.s3_faults import S3Fault
from tests.network.s3_line import KINDS, S3Line


def test_every_row_comes_once_over_a_bad_line_to_a_bad_service(tmp_path: Path) -> None:
    with ValidationWorker() as worker:
        seen = S3Line(tmp_path, 1, worker).run(rounds=2, hole_s=0.5)
    assert sum(seen[f"spells of {kind}"] for kind in set(KINDS)) == 4
    assert sum(seen[fault.word] for fault in S3Fault)
    assert seen["further pages of listings"]
