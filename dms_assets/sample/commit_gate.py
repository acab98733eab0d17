"""The gate all commits of the workload pass, so that an instant can be recorded with no commit in flight.

PostgreSQL takes a commit's timestamp before the commit becomes visible; a snapshot at time T may therefore miss
commits of before T. Behind a closed gate there are none on their way, and the snapshot is exactly {commit_at <= T}.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CommitGate:
    """A read-write lock: commits pass together, the recorder passes alone and is not kept waiting by new commits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passing = 0
        self._closed = False

    @contextmanager
    def commit(self) -> Iterator[int]:
        """Hold while committing; gives the number of commits under way, this one included."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._passing += 1
            together = self._passing
        try:
            yield together
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self, timeout_s: float = 30.0) -> Iterator[None]:
        """Hold all commits back, after those under way have ended; for some milliseconds.

        Raises TimeoutError if a commit under way does not end in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._closed, timeout_s):
                raise TimeoutError(f"the commit gate stays closed by another recorder for {timeout_s:.0f} s")
            self._closed = True
            if not self._changed.wait_for(lambda: self._passing == 0, timeout_s):
                passing = self._passing
                self._open()
                raise TimeoutError(
                    f"{passing} commits are still under way after {timeout_s:.0f} s; look for a lock wait"
                )
        try:
            yield
        finally:
            with self._changed:
                self._open()

    def _open(self) -> None:
        self._closed = False
        self._changed.notify_all()
