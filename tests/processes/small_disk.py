"""A disk of a few megabytes that can be filled: a tmpfs, which needs root on Linux, so that ENOSPC is the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BALLAST = "ballast"
_BLOCK = 4096


class NoSmallDiskError(RuntimeError):
    """This machine lets us mount nothing."""


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own at `folder`. Raises NoSmallDiskError."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoSmallDiskError("a tmpfs can be mounted by root on Linux only")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoSmallDiskError(done.stderr.strip())
    try:
        yield folder
    finally:
        # Lazy: a process that ends a moment later does not keep it from being taken away.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(disk: Path, leave: int) -> Iterator[None]:
    """Inside, the disk has room for `leave` bytes, to the block."""
    ballast = disk / _BALLAST
    room = os.statvfs(disk)
    blocks = room.f_bavail * room.f_frsize // _BLOCK - leave // _BLOCK
    with ballast.open("wb") as file:
        for _ in range(blocks):
            file.write(b"\0" * _BLOCK)
    try:
        yield
    finally:
        ballast.unlink()
