"""How much memory a process really had: the kernel's own high-water mark."""

from __future__ import annotations

import re
from pathlib import Path


def peak_megabytes(pid: int) -> float:
    """The largest resident size of a live process since its start, in MB of a million bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None, f"process {pid} has no high-water mark"
    return int(found.group(1)) * 1024 / 1e6
