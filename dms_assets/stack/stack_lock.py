"""One stack per folder: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


class StackInUseError(RuntimeError):
    """Another process runs a stack in this folder."""

    def __init__(self, home: Path, holder: str) -> None:
        super().__init__(
            f"the stack in {home} is already run by process {holder or '(unknown)'}; "
            "stop that one, or name another folder"
        )


def take(home: Path) -> TextIO:
    """Take the lock of a stack's folder; it is held until the returned file is closed. Raises StackInUseError."""
    home.mkdir(parents=True, exist_ok=True)
    file = (home / "stack.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise StackInUseError(home, holder) from error
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
