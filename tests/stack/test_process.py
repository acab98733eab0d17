"""Processes of a stack end with all they started; one stack per folder."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from dms_assets.stack.process import ProcessFailedError, StackProcess
from dms_assets.stack.stack_lock import StackInUseError, take

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


def start(tmp_path: Path, code: str, *arguments: str) -> StackProcess:
    command = [sys.executable, "-c", code, *arguments]
    return StackProcess("a process", command, os.environ, tmp_path / "log.txt", tmp_path)


def test_stop_ends_what_the_process_started(tmp_path: Path) -> None:
    note = tmp_path / "child"
    process = start(tmp_path, PARENT, str(note))
    process.wait_ready(lambda: note.exists() and note.read_text() != "", 20)
    child = psutil.Process(int(note.read_text()))
    process.stop()
    assert process.returncode is not None
    assert not child.is_running()


def test_a_process_that_ends_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    process = start(tmp_path, "print('no such port'); raise SystemExit(3)")
    with pytest.raises(ProcessFailedError, match=r"(?s)ended with status 3.*no such port"):
        process.wait_ready(lambda: False, 20)


def test_a_process_that_is_not_ready_in_time_is_told(tmp_path: Path) -> None:
    process = start(tmp_path, "import time; time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(ProcessFailedError, match="not ready"):
        process.wait_ready(lambda: False, 0.3)
    assert time.monotonic() - began < 10
    process.stop()


def test_a_second_stack_on_a_folder_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    held = take(tmp_path)
    with pytest.raises(StackInUseError, match=f"process {os.getpid()}"):
        take(tmp_path)
    held.close()
    take(tmp_path).close()
