"""Processes of a stack whose supervisor was killed: found by the mark in their environment, and ended.

The mark is inherited, so it is also on what a process of the stack started itself, whatever session that is in; and
it is there from the first moment, where a list of pids in a file would be written after the start.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from dms_assets.sample.postgres_cluster import end_process, find_postmaster

MARK = "DMS_ASSETS_STACK_CHILD"
_END_TIMEOUT_S = 20.0


def mark(home: Path) -> dict[str, str]:
    """The environment variable that every process of the stack in `home` is started with."""
    return {MARK: str(home.resolve())}


def find_leftovers(home: Path) -> list[psutil.Process]:
    """The marked processes of this user that run; not this one, nor what it runs in."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    wanted = str(home.resolve())
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get(MARK) == wanted:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            # Of another user, or gone since it was listed.
            continue
    return found


def end_leftovers(home: Path) -> int:
    """End what a dead stack left running, its embedded PostgreSQL last. The number of processes ended.

    Only for who holds the stack's lock: it cannot tell a living stack from a dead one.
    """
    found = find_leftovers(home)
    # Killed, not asked: all of them are made for that, and a run that ends itself is not started again.
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=_END_TIMEOUT_S)
    postmaster = find_postmaster(home / "postgres")
    if postmaster is not None:
        end_process(postmaster.pid, _END_TIMEOUT_S)
    return len(found) + (postmaster is not None)
