"""The stack's file speaks only for the living process that wrote it."""

import os
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dms_assets.stack.addresses import address_block, process_lines
from dms_assets.stack.stack_file import (
    STACK_FILE,
    ProcessInfo,
    StackFile,
    StackState,
    State,
    read_stack_file,
    write_stack_file,
)
from dms_assets.stack.stack_lock import LOCK_NAME, holder, take

STACK = StackFile(
    pid=os.getpid(),
    home="/h",
    state=StackState.DEGRADED,
    started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    urls={"ui": "http://127.0.0.1:3000", "local_dms": "http://127.0.0.1:5"},
    databases={"probation": "postgresql://u@h:5/d"},
    paths={name: f"/h/{name}" for name in ("warehouse", "landing", "secrets", "logs")},
    processes={
        "ui": ProcessInfo(17, "/h/ui.log", State.UP, 0),
        "daemon": ProcessInfo(18, "/h/d.log", State.FAILING, 4),
    },
)


def test_it_is_read_back_as_it_was_written_while_the_writer_holds_the_lock(tmp_path: Path) -> None:
    with take(tmp_path):
        write_stack_file(tmp_path, STACK)
        assert read_stack_file(tmp_path) == STACK
        assert stat.S_IMODE((tmp_path / STACK_FILE).stat().st_mode) == 0o600
        write_stack_file(tmp_path, replace(STACK, pid=STACK.pid + 1))
        assert read_stack_file(tmp_path) is None
    write_stack_file(tmp_path, STACK)
    assert read_stack_file(tmp_path) is None


def test_a_look_creates_nothing(tmp_path: Path) -> None:
    assert read_stack_file(tmp_path / "nowhere") is None
    assert list(tmp_path.iterdir()) == []


def test_the_holder_is_known_until_it_is_killed(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from dms_assets.stack.stack_lock import take\n"
    code += "held = take(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = holder(tmp_path)
        assert found is not None
        assert found.pid == process.pid
        process.kill()
    assert holder(tmp_path) is None
    assert (tmp_path / LOCK_NAME).read_text().startswith(str(process.pid))


def test_the_folder_of_a_new_stack_is_for_its_user_only(tmp_path: Path) -> None:
    with take(tmp_path / "home"):
        assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_the_block_names_every_address() -> None:
    text = address_block(STACK)
    for value in (*STACK.urls.values(), *STACK.paths.values(), *STACK.databases.values()):
        assert value in text
    assert "failing, started again 4 times" in process_lines(STACK).splitlines()[1]
