"""Where digests go. A sink is anything with a name that can take a digest; these two need nothing but a folder."""

from __future__ import annotations

import json
import logging
import os
from contextlib import closing
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NoReturn, Protocol

from dms_assets.alerts.cause import Severity
from dms_assets.alerts.digest import Digest

_LOG = logging.getLogger(__name__)
_LEVELS = {Severity.WARNING: logging.WARNING, Severity.ERROR: logging.ERROR, Severity.CRITICAL: logging.CRITICAL}


class Sink(Protocol):
    """Takes digests, one at a time and in order. A digest may come twice, with the same id: after a crash."""

    @property
    def name(self) -> str:
        """Names the sink, also over restarts: by it is remembered what it still has to get."""
        ...

    def send(self, digest: Digest) -> None:
        """Take a digest, within seconds. Any exception means that it did not, and is offered it again."""
        ...


class LogSink:
    """The log of the process, one record a digest; never below WARNING, for recoveries must show too."""

    name = "log"

    def send(self, digest: Digest) -> None:
        """Log the digest's text."""
        worst = max((item.episode.cause.severity for item in digest.items if item.episode.open), default=None)
        _LOG.log(_LEVELS[worst] if worst else logging.WARNING, "alerts: %s", digest.text())


class _RaisingHandler(RotatingFileHandler):
    """The library's rotation, with errors raised instead of printed."""

    def handleError(self, record: logging.LogRecord) -> NoReturn:  # noqa: ARG002, N802 the library's name
        raise  # noqa: PLE0704 called by the library inside its except clause


class FileSink:
    """`alerts.jsonl`, one digest a line, and `alerts.txt`, the same to read; in `folder`, both rotated.

    A file is at most `max_bytes` (or one digest, if that is more) long; `kept` older ones stay.
    """

    name = "file"

    def __init__(self, folder: Path, *, max_bytes: int = 1_000_000, kept: int = 5) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._kept = kept

    @property
    def lines_file(self) -> Path:
        """One JSON object a line."""
        return self._folder / "alerts.jsonl"

    @property
    def text_file(self) -> Path:
        """For people."""
        return self._folder / "alerts.txt"

    def send(self, digest: Digest) -> None:
        """Append the digest, unless it is the last one there. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._last_id() == digest.id:
            return
        # The lines last: they say whether the digest is there.
        self._append(self.text_file, digest.text())
        self._append(self.lines_file, json.dumps(digest.to_json(), ensure_ascii=False))

    def _append(self, path: Path, text: str) -> None:
        if _ends_within_a_line(path):
            text = f"\n{text}"
        handler = _RaisingHandler(path, maxBytes=self._max_bytes, backupCount=self._kept, encoding="utf-8", delay=True)
        with closing(handler):
            handler.emit(logging.makeLogRecord({"msg": text}))

    def _last_id(self) -> str | None:
        for path in (self.lines_file, self.lines_file.with_name(f"{self.lines_file.name}.1")):
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
            if lines:
                return _id(lines[-1])
        return None


def _ends_within_a_line(path: Path) -> bool:
    """Whether the process died while it wrote a line; the next one must not be put behind it."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _id(line: str) -> str | None:
    try:
        found: str = json.loads(line)["id"]
    except ValueError:
        # Half a line.
        return None
    return found
