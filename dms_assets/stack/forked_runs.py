"""Runs begin in a copy of a process that has imported everything, rather than in a new one that imports it again.

The imports are what a run takes longest for: some five seconds of a core, against a tenth of one for the copy. Done
with the standard library's fork server, a process that imports and does nothing else. What it imports survives a fork:
the threads of Arrow, OpenBLAS and jemalloc idle in it and are made anew in the copy. Those of polars are not, so polars
stays outside.

Uses two names of Dagster that are not promised to stay, `dagster._grpc.server.DagsterApiServer` and its `_mp_ctx`;
`tests/stack/test_forked_runs.py` says what they must be.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing import forkserver
from typing import Any

from dagster._grpc import server

PRELOADED = (
    "dms_assets.definitions",
    "dagster._grpc.impl",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.launcher.default_run_launcher",
    # A run that builds: dbt and its adapter.
    "dbt.cli.main",
    "dbt.adapters.duckdb.connections",
    # A run that ingests.
    "dms_assets.lake.iceberg",
)


class ForkingApiServer(server.DagsterApiServer):
    """The stock code server, but for how it starts the processes of runs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._mp_ctx = multiprocessing.get_context("forkserver")  # type: ignore[assignment]  # declared as spawning


def fork_runs() -> None:
    """Let the code server that is about to start in this process fork its runs; the imports begin now, beside it.

    Elsewhere than on Linux runs are spawned as ever: system libraries of macOS do not survive a fork.
    """
    if sys.platform != "linux":
        return
    multiprocessing.set_forkserver_preload(list(PRELOADED))
    forkserver.ensure_running()
    server.DagsterApiServer = ForkingApiServer  # type: ignore[misc]  # that is the point
