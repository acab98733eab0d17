"""Logs of children stay bounded: one that grew too long is kept once as `<name>.1`, and begins anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LOG_LIMIT_BYTES = 10_000_000


def rotate(log: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> bool:
    """Begin a log anew if it is longer than the limit; whether it was.

    The writer keeps its file, which it has opened for appending: what it writes between copy and cut is lost.
    """
    if not log.exists() or log.stat().st_size <= limit_bytes:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True
