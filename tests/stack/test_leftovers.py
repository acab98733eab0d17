"""What a killed stack left running is found, whoever its parent is by now, and ended."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from dms_assets.stack.leftovers import end_leftovers, find_leftovers, mark
from dms_assets.stack.shutdown import bring_down
from dms_assets.stack.stack_lock import take

# A supervisor that starts a child, which starts one in a session of its own, and is killed.
SUPERVISOR = """
import os, subprocess, sys
sleep = "import time; time.sleep(600)"
grandchild = "import subprocess, sys; "
grandchild += f"p = subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True); "
grandchild += "print(p.pid, flush=True); p.wait()"
subprocess.Popen([sys.executable, "-c", grandchild], start_new_session=True)
"""


def orphans(home: Path) -> list[psutil.Process]:
    environment = {**os.environ, **mark(home)}
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
    assert process.wait() == 0
    found = find_leftovers(home)
    assert len(found) == 2
    return found


def test_all_generations_are_ended_and_those_of_another_folder_are_not(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    mine, others = orphans(own), orphans(other)
    assert end_leftovers(own) == 2
    assert not any(process.is_running() for process in mine)
    assert all(process.is_running() for process in others)
    assert bring_down(other) is False  # no such folder: nothing of it is touched
    other.mkdir()
    assert bring_down(other) is True
    assert not any(process.is_running() for process in others)
    assert bring_down(other) is False


def test_the_one_who_looks_is_no_leftover(tmp_path: Path) -> None:
    code = "from pathlib import Path; import sys; from dms_assets.stack.leftovers import find_leftovers\n"
    code += "print(find_leftovers(Path(sys.argv[1])))"
    environment = {**os.environ, **mark(tmp_path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_down_stops_the_holder_of_the_lock(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from dms_assets.stack.stack_lock import take\n"
    code += "held = take(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            assert bring_down(tmp_path, timeout_s=20)
        finally:
            process.kill()
    take(tmp_path).close()
