"""One stack per folder: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

import psutil

LOCK_NAME = "stack.lock"
_ATTEMPTS, _PAUSE_S = 5, 0.05


class StackInUseError(RuntimeError):
    """Another process runs a stack in this folder."""

    def __init__(self, home: Path, holder: str) -> None:
        super().__init__(
            f"the stack in {home} is already run by process {holder or '(unknown)'}; "
            f"stop it with `dms-assets stack down --dir {home}`, or name another folder"
        )


def take(home: Path) -> TextIO:
    """Take the lock of a stack's folder; it is held until the returned file is closed. Raises StackInUseError."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (home / LOCK_NAME).open("a+", encoding="utf-8")
    # A look by `holder` takes the lock for a moment; only a stack keeps it.
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if attempt == _ATTEMPTS - 1:
                file.seek(0)
                pid = file.read().partition(" ")[0]
                file.close()
                raise StackInUseError(home, pid) from error
            time.sleep(_PAUSE_S)
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()} {psutil.Process().create_time()}")
    file.flush()
    return file


def holder(home: Path) -> psutil.Process | None:
    """The live process that holds the lock of a folder, None if nobody does. Creates nothing."""
    try:
        file = (home / LOCK_NAME).open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with file:
        for _ in range(_ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                if (found := _named(file.read())) is not None:
                    return found
                # Taken, but not signed yet; or given back since.
                time.sleep(_PAUSE_S)
            else:
                return None
    return None


def _named(signature: str) -> psutil.Process | None:
    """The process that signed: its pid and the time it began, as a pid alone may be somebody else's by now."""
    pid, _, began = signature.partition(" ")
    try:
        process = psutil.Process(int(pid))
        return process if process.create_time() == float(began) else None
    except (ValueError, psutil.NoSuchProcess):
        return None
