"""`<home>/stack.json`: what runs in a stack, where it listens and where it keeps things, for other processes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dms_assets.stack.stack_lock import holder

STACK_FILE = "stack.json"
_VERSION = 1


class State(StrEnum):
    """How a process of a stack is; FAILING died several times in a row, and is tried every few minutes."""

    STARTING = "starting"
    UP = "up"
    WAITING = "waiting to be started again"
    FAILING = "failing"


class StackState(StrEnum):
    """How a stack is as a whole."""

    STARTING = "starting"
    UP = "up"
    DEGRADED = "degraded"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """One process of a stack."""

    pid: int | None
    log: str
    state: State
    restarts: int


@dataclass(frozen=True, slots=True)
class StackFile:
    """A running stack. `urls`: ui, ui_read_only, local_dms. `paths`: warehouse (the read copy), landing and more.

    `databases` has the address of each source whose connection is known, without its password.
    """

    pid: int
    home: str
    state: StackState
    started_at: datetime
    urls: Mapping[str, str]
    databases: Mapping[str, str]
    paths: Mapping[str, str]
    processes: Mapping[str, ProcessInfo]

    def to_json(self) -> dict[str, Any]:
        """As stored, and as `stack status --json` prints it."""
        return {"v": _VERSION, **asdict(self), "started_at": self.started_at.isoformat()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StackFile:
        """Read what `to_json` made. Raises KeyError or ValueError if it did not."""
        return cls(
            pid=document["pid"],
            home=document["home"],
            state=StackState(document["state"]),
            started_at=datetime.fromisoformat(document["started_at"]),
            urls=document["urls"],
            databases=document["databases"],
            paths=document["paths"],
            processes={
                name: ProcessInfo(found["pid"], found["log"], State(found["state"]), found["restarts"])
                for name, found in document["processes"].items()
            },
        )


def write_stack_file(home: Path, stack: StackFile) -> None:
    """Store it atomically, readable by this user only."""
    target = home / STACK_FILE
    scratch = target.with_name(f".{STACK_FILE}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(stack.to_json(), file, indent=1)
    scratch.replace(target)


def read_stack_file(home: Path) -> StackFile | None:
    """The long-lived stack that runs in a folder; None if there is none, or if the one that wrote the file is dead."""
    process = holder(home)
    if process is None:
        return None
    try:
        found = StackFile.from_json(json.loads((home / STACK_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return found if found.pid == process.pid else None
