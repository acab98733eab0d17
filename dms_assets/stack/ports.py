"""Ports of a stack on 127.0.0.1: those of the last start if they are free, so that bookmarks and settings live on."""

from __future__ import annotations

import json
from pathlib import Path

from dms_assets.sample.loopback import HOST, any_free, is_free


class PortTakenError(RuntimeError):
    """The port that was asked for is in use."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(f"port {port} of {HOST}, wanted for {name}, is taken; name another one, or none for any free")


class Ports:
    """The ports of one stack by the name of what listens; remembered in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._last: dict[str, int] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self._chosen: dict[str, int] = {}

    def choose(self, name: str, *, wanted: int | None = None, usual: int | None = None) -> int:
        """The port for `name`, the same at every call: `wanted`, else that of the last start, else `usual`, else any.

        Raises PortTakenError if `wanted` is in use; the others are taken only if they are free.
        """
        if name not in self._chosen:
            self._chosen[name] = self._wanted(name, wanted) if wanted is not None else self._free(name, usual)
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file.write_text(json.dumps(self._last | self._chosen), encoding="utf-8")
        return self._chosen[name]

    def _wanted(self, name: str, wanted: int) -> int:
        if wanted in self._chosen.values() or not is_free(wanted):
            raise PortTakenError(wanted, name)
        return wanted

    def _free(self, name: str, usual: int | None) -> int:
        # What another part had the last time stays with it, also before that part has asked.
        others = {port for part, port in (self._last | self._chosen).items() if part != name}
        for port in (self._last.get(name), usual):
            if port is not None and port not in others and is_free(port):
                return port
        while (found := any_free()) in others:
            pass
        return found
