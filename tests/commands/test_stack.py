"""The stack as an operator meets it: up, a child that dies, sync, down, dev, a supervisor that is killed, sync."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
import psutil
import psycopg
import pytest

from dms_assets.sample.connection import read_secret
from dms_assets.stack.leftovers import find_leftovers
from dms_assets.stack.ports import Ports
from dms_assets.stack.stack_file import read_stack_file
from tests.local_dms.service import until

pytestmark = [pytest.mark.system, pytest.mark.postgres, pytest.mark.timeout(600)]
NOT_RUNNING = 3


class Stack:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = Ports(home.with_name("ports.json")).choose("ui")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dms_assets.cli", *arguments, "--dir", str(self.home)]

    def run(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def json(self, *arguments: str, status: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", status=status))

    def up(self) -> Any:
        # Not the usual port: another stack may take that while this one is down.
        return self.json("stack", "up", "--scale", "0.01", "--no-workload", "--port", str(self.port))

    def processes(self) -> list[psutil.Process]:
        """Everything that runs on the folder: the marked ones, and PostgreSQL, which works in it."""
        found = find_leftovers(self.home)
        for process in psutil.process_iter():
            try:
                if process.cwd().startswith(str(self.home)) or str(self.home) in process.cmdline():
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def stack(tmp_path: Path) -> Any:
    stack = Stack(tmp_path / "home")
    yield stack
    stack.run("stack", "down")
    assert stack.processes() == []


def answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bool(answer.status == 200)


def curated_rows(warehouse: str) -> int:
    with duckdb.connect(warehouse, read_only=True) as connection:
        row = connection.execute("select count(*) from probation_probation_curated.region").fetchone()
    assert row is not None
    return int(row[0])


def test_the_life_of_a_stack(stack: Stack) -> None:
    assert stack.json("stack", "status", status=NOT_RUNNING)["state"] == "down"
    first = stack.up()
    assert stack.up()["pid"] == first["pid"], "up again changes nothing"
    status = stack.json("stack", "status")
    assert status["state"] == "up"
    assert set(status["processes"]) == {"postgres", "local_dms", "code_server", "daemon", "ui", "ui_read_only"}
    assert all(answers(f"{status['urls'][name]}/server_info") for name in ("ui", "ui_read_only"))
    private = [stack.home, stack.home / "stack.json", Path(status["paths"]["secrets"])]
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private] == [0, 0, 0]

    # A child that is killed comes back, and nobody had to ask.
    victim = status["processes"]["local_dms"]["pid"]
    os.kill(victim, signal.SIGKILL)
    restarted = until(lambda: restart_of(stack, "local_dms", victim), 60)
    assert restarted["restarts"] == 1
    assert "Local DMS ended with status -9" in (stack.home / "logs" / "stack.log").read_text()

    synced = stack.json("sync")
    assert (synced["settled"], synced["held"]) == (True, [])
    assert len(synced["tables"]) == 17
    warehouse = status["paths"]["warehouse"]
    assert curated_rows(warehouse) > 0

    stack.run("stack", "down")
    assert stack.processes() == []
    stack.run("stack", "down")
    stack.json("stack", "status", status=NOT_RUNNING)

    # The next one goes on, in a terminal this time: same addresses, and the task captures without being started.
    log = stack.home.with_name("dev.log")
    with log.open("wb") as output:
        dev = subprocess.Popen(stack.command("dev", "--no-workload"), stdout=output, stderr=subprocess.STDOUT)
    again = until(lambda: running(stack, dev), 120)
    assert {name: again[name] for name in ("urls", "databases")} == {
        name: status[name] for name in ("urls", "databases")
    }
    until(lambda: "DMS Assets is up" in log.read_text())
    insert_region(Path(status["paths"]["secrets"]))

    # A supervisor that is killed leaves everything running; down ends it.
    dev.kill()
    dev.wait()
    assert len(stack.processes()) >= len(again["processes"]), "the kill left its children"
    stack.json("stack", "status", status=NOT_RUNNING)
    assert stack.run("stack", "down") == "stopped\n"
    assert stack.processes() == []

    # Without a stack sync starts one for the time being.
    before = curated_rows(warehouse)
    synced = stack.json("sync")
    assert synced["settled"]
    assert [table["table"] for table in synced["tables"] if table["files"]] == ["probation.region"]
    assert curated_rows(warehouse) == before + 1
    assert stack.processes() == []


def restart_of(stack: Stack, name: str, victim: int) -> Any:
    found = json.loads((stack.home / "stack.json").read_text())["processes"][name]
    time.sleep(0.1)
    return found if found["state"] == "up" and found["pid"] not in {None, victim} else None


def insert_region(secrets: Path) -> None:
    with psycopg.connect(read_secret(secrets / "probation__dms.json").dsn) as connection:
        connection.execute("insert into probation.region (code, name) values ('ZZ99', 'New')")


def running(stack: Stack, dev: subprocess.Popen[bytes]) -> Any:
    assert dev.poll() is None
    time.sleep(0.1)
    found = read_stack_file(stack.home)
    return found.to_json() if found is not None and found.pid == dev.pid and found.state == "up" else None
