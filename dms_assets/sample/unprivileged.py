"""How to run PostgreSQL as root, which it refuses: in a process of another identity, with nothing else changed.

No user is created and no folder is opened to others. Two ways, tried in this order:

- a user namespace in which our own uid appears as `nobody`: files keep their owner, folders of mode 700 stay readable;
- `setpriv` to `nobody` with the one capability that reads through folders of mode 700; the data folder changes owner.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
"""uid and gid `nobody` on Linux; needs no entry in /etc/passwd."""


class CannotDropRootError(RuntimeError):
    """This host lets root run PostgreSQL in neither of the two ways."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Arguments to put before a command, and the uid that must own PostgreSQL's files (None: leave the owner)."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None

    def command(self, *arguments: str | Path) -> list[str]:
        """The whole command line."""
        return [*self.prefix, *map(str, arguments)]

    def own(self, path: Path) -> None:
        """Give a file or folder we made to the server."""
        if self.owner is not None:
            os.chown(path, self.owner, self.owner)


def identity(program: Path, folder: Path) -> Identity:
    """The way to run `program` on `folder` (which exists) from this process.

    Raises CannotDropRootError if we are root and no way works.
    """
    if os.geteuid() != 0:
        return Identity()
    failures: list[str] = []
    for candidate in _candidates():
        failure = _probe(candidate, program, folder)
        if failure is None:
            return candidate
        failures.append(f"{candidate.prefix[0]}: {failure}")
    raise CannotDropRootError(
        "PostgreSQL refuses to run as root and root cannot be dropped here "
        f"({'; '.join(failures) or 'neither unshare nor setpriv is installed'}); "
        "run this command as an ordinary user, or allow user namespaces or CAP_SETUID in the container"
    )


def _candidates() -> list[Identity]:
    found: list[Identity] = []
    if unshare := shutil.which("unshare"):
        found.append(Identity((unshare, "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")))
    if setpriv := shutil.which("setpriv"):
        capabilities = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        drop = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        found.append(Identity((setpriv, *drop, *capabilities, "--"), owner=NOBODY))
    return found


def _probe(candidate: Identity, program: Path, folder: Path) -> str | None:
    """Why `candidate` does not work, or None if it does: it can run the program and read the folder."""
    for command in ((str(program), "--version"), ("ls", "-a", str(folder))):
        try:
            result = subprocess.run(
                candidate.command(*command), capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            return said.splitlines()[-1] if said else f"{command[0]} ended with {result.returncode}"
    return None
