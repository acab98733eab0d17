"""R22: policies of a running stack and of the repository, each with what it was tried on.

Whether a version that the locks name has a known vulnerability is not asked: that takes a live database, and nothing
here leaves the machine. What the AWS deployment is made of belongs to it and is judged there.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from dms_assets.curation.dbt_run import DbtTarget, ensure_manifest
from dms_assets.sample.loopback import any_free
from dms_assets.stack.process import StackProcess
from tests.curation.rendered import project_copy
from tests.policy.locks import LOCKS, ROOT, actions, entries, loose_actions, not_locked, not_pinned, workflows
from tests.policy.processes import Seen, passwords, readable_by_others, secret_files
from tests.processes.running_stack import RunningStack
from tests.scorecard.figure import Budget, Outcome, Row
from tests.web.hostile import (
    HOSTILE,
    WEBSOCKET_ORIGINS,
    is_answered,
    is_refused,
    mutations,
    opens_websocket,
    refuses_mutation,
)
from tests.web.server_process import READY_S, WebServer

LOOKS_S = 150.0


class _Tally:
    """What was tried, and what failed."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.failed: list[str] = []

    def take(self, gate: str, tried: int, failed: list[str]) -> None:
        self.tried[gate] += tried
        self.failed += [f"{gate}: {one}" for one in failed]


def measure(budget: Budget) -> Outcome:
    """All gates, on one stack that works meanwhile."""
    tally = _Tally()
    _repository(tally)
    _dbt(tally, budget.folder / "dbt")
    with RunningStack(budget.folder / "home") as stack:
        _processes(tally, stack)
        _secrets(tally, stack)
        _guard(tally, stack)
        with _stock_server(stack) as bare:
            passed = sum(is_answered(bare, request) for request in HOSTILE)
            passed += sum(opens_websocket(bare, origin) for origin in WEBSOCKET_ORIGINS)
            tally.tried["control: passed without the guard"] = passed
    return Outcome(
        f"{len(tally.failed)} failing of {sum(tally.tried.values()):,}"
        + (f": {'; '.join(tally.failed)[:400]}" if tally.failed else ""),
        holds=not tally.failed,
        observed=dict(tally.tried),
    )


def _repository(tally: _Tally) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for lock in LOCKS:
        text = (ROOT / lock).read_text(encoding="utf-8")
        loose = [*not_pinned(text), *not_locked(project, text, "dev" if "dev" in lock else None)]
        tally.take("dependencies pinned with hashes", len(entries(text)), loose)
    check = subprocess.run(["tools/lock", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    tally.take("locks in step with pyproject", len(LOCKS), [check.stderr.strip()] if check.returncode else [])
    for text in workflows():
        tally.take("actions pinned by commit", len(actions(text)), loose_actions(text))


def _dbt(tally: _Tally, folder: Path) -> None:
    """What dbt itself made of its settings."""
    from dbt.flags import get_flags

    folder.mkdir()
    ensure_manifest(DbtTarget(project_copy(folder), folder / "target", folder / "warehouse.duckdb"))
    flags = get_flags()  # type: ignore[no-untyped-call]
    sends = bool(flags.SEND_ANONYMOUS_USAGE_STATS) or bool(flags.VERSION_CHECK)
    tally.take("telemetry of dbt off", 1, ["on"] if sends else [])


def _processes(tally: _Tally, stack: RunningStack) -> None:
    """Everything that runs, until a row has come all the way: with the runs, and the workers that read files."""
    seen, secrets = Seen(), passwords(stack.home)
    stack.insert_region("R22")
    ends = time.monotonic() + LOOKS_S
    published, arrived = stack.installation.environment.published_file, False
    while not arrived and time.monotonic() < ends:
        seen.look(stack.family(), secrets)
        arrived = published.exists() and "R22" in stack.curated_regions()
        time.sleep(0.2)
    tally.take("a row came to curated meanwhile", int(arrived), [])
    tally.take("processes looked at", len(seen.processes), sorted(seen.wrong))
    tally.take("listeners, all loopback", len(seen.listeners), [])
    tally.take("peers, all loopback", len(seen.connections), [])
    tally.take("processes told to send no telemetry", len(seen.quiet), [])
    tally.take("telemetry of Dagster off", 1, ["on"] if stack.instance.telemetry_enabled else [])


def _secrets(tally: _Tally, stack: RunningStack) -> None:
    files = list(secret_files(stack.home, passwords(stack.home)))
    open_ones = [str(path.relative_to(stack.home)) for path in files if readable_by_others(path, stack.home)]
    tally.take("files with secrets, for their user only", len(files), open_ones)


def _guard(tally: _Tally, stack: RunningStack) -> None:
    operators, analysts = (_server(stack, name) for name in ("ui", "ui_read_only"))
    for server in (operators, analysts):
        tally.take(
            "hostile requests refused", len(HOSTILE), [one.name for one in HOSTILE if not is_refused(server, one)]
        )
        opened = [str(origin) for origin in WEBSOCKET_ORIGINS if opens_websocket(server, origin)]
        tally.take("websockets of other pages refused", len(WEBSOCKET_ORIGINS), opened)
    names = mutations()
    tally.take(
        "mutations refused to analysts", len(names), [name for name in names if not refuses_mutation(analysts, name)]
    )


def _server(stack: RunningStack, name: str) -> WebServer:
    found = stack.file
    assert found is not None
    return WebServer(urlsplit(found.urls[name]).port or 0, stack.home / "logs" / f"{name}.log")


@contextmanager
def _stock_server(stack: RunningStack) -> Iterator[WebServer]:
    """Dagster's own server on the same instance, without the guard."""
    workspace = stack.home / "stock.yaml"
    workspace.write_text("load_from: []\n", encoding="utf-8")
    server = WebServer(any_free(), stack.home / "logs" / "stock.log")
    command = [sys.executable, "-m", "dagster_webserver", "--workspace", str(workspace)]
    command += ["--host", "127.0.0.1", "--port", str(server.port)]
    environment = stack.installation.environment.process_environment()
    process = StackProcess("the stock web server", command, environment, server.log, ROOT)
    try:
        process.wait_ready(server.answers, READY_S)
        yield server
    finally:
        process.stop()


ROW = Row("R22", "Policy: guard, locks, loopback, telemetry, secrets", "0 failing", 240, None, measure)
