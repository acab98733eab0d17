"""A log that grew too long begins anew while its writer goes on."""

import subprocess
from pathlib import Path

from dms_assets.stack.log_rotation import rotate


def test_the_writer_goes_on_at_the_beginning_and_one_old_log_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    with log.open("ab") as output:
        subprocess.run(["echo", "x" * 500], stdout=output, check=True)
        assert not rotate(log, limit_bytes=501)
        assert rotate(log, limit_bytes=500)
        subprocess.run(["echo", "after"], stdout=output, check=True)
    assert log.read_text() == "after\n"
    assert (tmp_path / "daemon.log.1").read_text() == "x" * 500 + "\n"
    assert not rotate(tmp_path / "none.log")
