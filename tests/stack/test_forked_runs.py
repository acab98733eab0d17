"""Runs are forked from a process with all imports, and the names of Dagster that this takes are what we think."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from typing import cast

import pytest
from dagster._cli import api
from dagster._grpc import server

from dms_assets.stack.forked_runs import PRELOADED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are spawned elsewhere")

IMPORT_ALL = f"""
import importlib, json, pathlib, sys
for name in {PRELOADED!r}:
    importlib.import_module(name)
threads = [path.read_text().strip() for path in pathlib.Path("/proc/self/task").glob("*/comm")]
print(json.dumps([threads, "polars" in sys.modules]))
"""


def test_nothing_is_imported_that_does_not_survive_a_fork() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True)
    threads, polars = json.loads(done.stdout)
    assert not polars, "import it inside the function that needs it"
    # Our own, those of OpenBLAS, which have no name, and those of Arrow's allocator.
    assert set(threads) <= {"python", "jemalloc_bg_thd"}


def test_the_code_server_starts_runs_through_the_name_that_is_replaced() -> None:
    assert "from dagster._grpc.server import DagsterApiServer" in inspect.getsource(
        cast("Callable[..., None]", api.grpc_command.callback)
    )
    assert 'self._mp_ctx = multiprocessing.get_context("spawn")' in inspect.getsource(server.DagsterApiServer.__init__)
    started = inspect.getsource(server.DagsterApiServer.StartRun)
    assert "self._mp_ctx.Process(" in started
    assert "target=start_run_in_subprocess" in started
