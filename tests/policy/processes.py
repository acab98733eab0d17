"""What the processes of a stack show and open: addresses, command lines, variables, and the files with secrets."""

from __future__ import annotations

import ipaddress
import json
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_READER = "dms_assets.validation.worker"
_ROW_DATA = frozenset({"postgres", "buckets", "lake", "archive", "warehouse", "quarantine"})
_TELEMETRY = {"DAGSTER_DISABLE_TELEMETRY": "yes", "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


@dataclass
class Seen:
    """What was seen of all processes, looked at again and again; `wrong` has a line for each thing that may not be."""

    processes: set[tuple[int, float]] = field(default_factory=set)
    listeners: set[tuple[str, int]] = field(default_factory=set)
    connections: set[tuple[str, int]] = field(default_factory=set)
    quiet: set[int] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)

    def look(self, processes: Iterable[psutil.Process], secrets: Iterable[str]) -> None:
        """Look at every process once; one that ends meanwhile is passed over."""
        wanted = list(secrets)
        for process in processes:
            try:
                self._look(process, wanted)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue

    def _look(self, process: psutil.Process, secrets: list[str]) -> None:
        name, line = process.name(), " ".join(process.cmdline())
        if not line:
            # It is ending: its memory, which holds line and variables, is gone already.
            return
        found = [(one.laddr, one.raddr) for one in process.net_connections(kind="inet")]
        # The reader of untrusted files has no environment, on purpose, and neither Dagster nor dbt in it.
        speaks = "python" in name and _READER not in line
        variables = process.environ() if speaks else None
        self.processes.add((process.pid, process.create_time()))
        self.listeners |= {(here[0], here[1]) for here, there in found if here and not there}
        self.connections |= {(there[0], there[1]) for _, there in found if there}
        self.wrong |= {f"{name} {told}" for told in outside(found)}
        if any(secret in line for secret in secrets):
            self.wrong.add(f"a secret on the command line of {name}")
        if variables is not None and talkative(variables):
            self.wrong.add(f"{line[:200]} may send telemetry: {talkative(variables)}")
        elif variables is not None:
            self.quiet.add(process.pid)


def outside(connections: Iterable[tuple[tuple[str, int] | tuple[()], tuple[str, int] | tuple[()]]]) -> list[str]:
    """Of sockets, each with its own and its peer's address, those that are open to others or lead elsewhere."""
    wrong = []
    for here, there in connections:
        if there and not _loopback(there[0]):
            wrong.append(f"is connected to {there[0]}")
        elif here and not there and not _loopback(here[0]):
            wrong.append(f"listens on {here[0]}:{here[1]}")
    return wrong


def _loopback(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def talkative(variables: dict[str, str]) -> list[str]:
    """The variables that should keep Dagster and dbt quiet, and do not."""
    return [name for name, value in _TELEMETRY.items() if variables.get(name) != value]


def passwords(home: Path) -> list[str]:
    """The passwords of a stack."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((home / "secrets").glob("*.json"))]
    return [str(secret["password"]) for secret in found]


def secret_files(home: Path, secrets: Iterable[str]) -> Iterator[Path]:
    """Files that hold a secret, the source's own data aside."""
    wanted = [secret.encode() for secret in secrets]
    for path in home.rglob("*"):
        if path.relative_to(home).parts[0] in _ROW_DATA or path.is_symlink() or not path.is_file():
            continue
        body = path.read_bytes()
        if any(secret in body for secret in wanted):
            yield path


def readable_by_others(path: Path, home: Path) -> bool:
    """Whether another user gets at a file: neither it nor a folder on the way to it keeps others out."""
    steps = [path, *(parent for parent in path.parents if parent.is_relative_to(home))]
    return all(step.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for step in steps)
