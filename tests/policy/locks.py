"""What is installed and what runs in CI: everything is named with what it must be, byte for byte."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w, -]+\])?==(\S+)")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_USES = re.compile(r"^\s*-?\s*uses:\s*(\S+)", re.MULTILINE)
_COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def entries(lock: str) -> list[str]:
    """The requirements of a lock file, each with its hashes."""
    text = re.sub(r"\\\n\s*", " ", lock)
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def not_pinned(lock: str) -> list[str]:
    """Requirements without an exact version, without a hash, or from an address."""
    return [entry.split(" ")[0] for entry in entries(lock) if not _PIN.match(entry) or not _HASH.search(entry)]


def not_locked(pyproject: str, lock: str, group: str | None) -> list[str]:
    """Dependencies that the lock lacks, or has in a version that `pyproject.toml` does not allow."""
    project = tomllib.loads(pyproject)
    wanted = list(project["project"]["dependencies"])
    wanted += [one for one in project["dependency-groups"].get(group, []) if isinstance(one, str)] if group else []
    pins = {canonicalize_name(found[1]): found[2] for entry in entries(lock) if (found := _PIN.match(entry))}
    return [text for text in wanted if not _satisfied(Requirement(text), pins)]


def _satisfied(requirement: Requirement, pins: Mapping[NormalizedName, str]) -> bool:
    pin = pins.get(canonicalize_name(requirement.name))
    return pin is not None and requirement.specifier.contains(pin, prereleases=True)


def actions(workflow: str) -> list[str]:
    """The actions that a workflow uses."""
    return _USES.findall(workflow)


def loose_actions(workflow: str) -> list[str]:
    """Actions that are not named by a commit: a tag can be moved."""
    return [action for action in actions(workflow) if not action.startswith("./") and not _COMMIT.fullmatch(action)]


def workflows() -> Iterator[str]:
    """The text of every workflow."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.y*ml")):
        yield path.read_text(encoding="utf-8")
