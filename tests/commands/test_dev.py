"""Ctrl-C ends `dev` in order at any time, also while it is starting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dms_assets.stack.leftovers import find_leftovers
from dms_assets.stack.ports import Ports
from dms_assets.stack.stack_lock import holder, take
from tests.local_dms.service import until

pytestmark = pytest.mark.postgres


def dev(home: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dms_assets.cli", "dev", "--dir", str(home), "--scale", "0.01", *arguments]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes that begin here know Ctrl-C. Of a suite that a shell put into the background they would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_starting_stops_what_had_started(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    process = dev(home, log)
    try:
        until(lambda: "Local DMS ..." in log.read_text(), 60)
        assert find_leftovers(home)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.terminate()
        process.wait(60)
    told = log.read_text()
    assert told.index("PostgreSQL is stopped") < told.index("Everything is stopped.")
    assert find_leftovers(home) == []
    assert holder(home) is None


def test_a_folder_in_use_and_a_port_in_use_are_errors_with_a_remedy(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    with take(home):
        assert dev(home, log).wait(60) == 1
    assert f"run by process {os.getpid()}; stop it with `dms-assets stack down" in log.read_text()
    port = str(Ports(tmp_path / "ports").choose("x"))
    with subprocess.Popen([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", port]) as server:
        until(lambda: dev(home, log, "--port", port).wait(60) == 1 and "is taken" in log.read_text(), 60)
        server.kill()
    assert find_leftovers(home) == []
