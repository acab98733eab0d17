"""The parent's side of the validation worker: start it, ask it, notice that it died, start another."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dms_assets.validation.messages import (
    Duplicate,
    FileTask,
    OutputFile,
    TableTask,
    Validated,
    count_request,
    duplicates_request,
    encode,
    table_request,
    validate_request,
)
from dms_assets.validation.outcome import FileVerdict, Reason, beyond_limits, rejected

_MIB = 1 << 20
_ERROR_BYTES = 4000
_START_SECONDS = 120.0
# Allocators that reserve address space far beyond their use would spend the limit on nothing.
_THREADS = {
    "POLARS_MAX_THREADS": "2",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a worker may use. `memory_bytes` is address space, of which an idle worker takes some 500 MB.

    A request may take `cpu_seconds` and `cpu_seconds_per_mib` for each MiB of file, and by the clock five times that,
    `clock_seconds_least` at least.
    """

    memory_bytes: int = 2048 * _MIB
    cpu_seconds: float = 20.0
    cpu_seconds_per_mib: float = 1.0
    clock_seconds_least: float = 60.0

    def clock_seconds(self, size: int) -> float:
        """How long to wait for an answer about files of `size` bytes."""
        return max(5 * (self.cpu_seconds + self.cpu_seconds_per_mib * size / _MIB), self.clock_seconds_least)


class WorkerDiedError(Exception):
    """The worker ended, or was ended for taking too long, while it was at these files.

    `by_itself`: by an error that nobody foresaw, not by a limit or a signal.
    """

    def __init__(self, message: str, *, by_itself: bool = False) -> None:
        super().__init__(message)
        self.by_itself = by_itself


class WorkerFailedError(RuntimeError):
    """The worker cannot do its work: a fault of this program or of the machine, not of a file."""


class ValidationWorker:
    """One worker process at a time, started when needed and again after it died. Use as a context manager."""

    def __init__(self, limits: WorkerLimits | None = None) -> None:
        self._limits = limits or WorkerLimits()
        self._table: TableTask | None = None
        self._told = False
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._buffer = b""
        self.started = 0
        """How many processes were started so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_table(self, table: TableTask) -> None:
        """Say which table the following files are of.

        The first call starts a process and does not wait for it: it takes about a second until it can answer.
        """
        self._table = table
        self._told = False
        if self._process is None:
            self._start()

    def claimed_rows(self, path: Path) -> int | None:
        """How many rows the footer of a file claims, None if that cannot be read within the limits."""
        try:
            rows = self._request(count_request(path), path.stat().st_size)["rows"]
        except WorkerDiedError:
            return None
        return None if rows is None else int(rows)

    def duplicates(self, outputs: Sequence[OutputFile]) -> list[Duplicate]:
        """Rows of one load, given by its data files, whose key is there before. Raises WorkerDiedError."""
        size = sum(output.path.stat().st_size for output in outputs)
        found = self._request(duplicates_request(outputs), size)["duplicates"]
        return [Duplicate(*item) for item in found]

    def validate(self, files: Sequence[FileTask], prefix: Path, batch: int) -> Validated:
        """Validate files; the data files of accepted ones are named `prefix` and a number.

        If the worker dies, each file is tried again alone, in small batches; one that ends it again, or takes too
        much memory, is rejected with `resource limit`; one that the reader has no answer to as `unreadable`. Raises
        WorkerFailedError if a worker cannot be started, or cannot write.
        """
        try:
            result = self._validate(files, prefix, batch, careful=False)
        except WorkerDiedError:
            _remove(prefix)
            result = Validated((None,) * len(files), ())
        verdicts, outputs = list(result.verdicts), list(result.outputs)
        for index, file in enumerate(files):
            if verdicts[index] is not None:
                continue
            alone = prefix.with_name(f"{prefix.name}-alone{index}")
            try:
                again = self._validate([file], alone, batch, careful=True)
            except WorkerDiedError as error:
                _remove(alone)
                verdicts[index] = _culprit(error)
            else:
                verdicts[index] = again.verdicts[0]
                outputs += again.outputs
        return Validated(tuple(verdicts), tuple(outputs))

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        if self._errors is not None:
            self._errors.close()

    def _validate(self, files: Sequence[FileTask], prefix: Path, batch: int, *, careful: bool) -> Validated:
        size = sum(file.path.stat().st_size for file in files)
        return Validated.from_json(self._request(validate_request(files, prefix, batch, careful=careful), size))

    def _request(self, message: dict[str, Any], size: int) -> dict[str, Any]:
        if self._process is None:
            self._start()
        if self._table is not None and not self._told:
            try:
                self._ask(table_request(self._table), _START_SECONDS)
            except WorkerDiedError as error:
                name = self._table.metadata.name
                raise WorkerFailedError(f"no validation worker for {name}: {error}") from error
            self._told = True
        return self._ask(message, self._limits.clock_seconds(size))

    def _start(self) -> None:
        limits = self._limits
        arguments = [str(limits.memory_bytes), str(limits.cpu_seconds), str(limits.cpu_seconds_per_mib)]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._buffer = b""
        self._told = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "dms_assets.validation.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={"LANG": "C.UTF-8", **_THREADS},
            cwd="/",
        )
        self.started += 1

    def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise WorkerFailedError("the validation worker is not running")
        deadline = time.monotonic() + seconds
        try:
            process.stdin.write(encode(message))
            process.stdin.flush()
        except BrokenPipeError:
            raise self._died("it ended before the request") from None
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                process.kill()
                raise self._died("it took too long")
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                raise self._died("it ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise WorkerFailedError(f"the validation worker cannot go on: {answer['failed']}")
        return answer

    def _died(self, what: str) -> Exception:
        """Forget the process; the error that says how it ended."""
        process, self._process = self._process, None
        if process is None:
            return WorkerFailedError("the validation worker is not running")
        status = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        text = self._last_words()
        if status == 1 and "Traceback" in text:
            return WorkerDiedError(f"the process that read it failed with {_error_name(text)}", by_itself=True)
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        return WorkerDiedError(f"the process that read it: {what} ({name})")

    def _last_words(self) -> str:
        if self._errors is None:
            return ""
        with self._errors as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - _ERROR_BYTES, 0))
            return file.read().decode(errors="replace")


def _culprit(error: WorkerDiedError) -> FileVerdict:
    """The verdict on a file that ended the worker, alone."""
    return rejected(Reason.UNREADABLE if error.by_itself else Reason.RESOURCE_LIMIT, beyond_limits(str(error)))


def _error_name(traceback: str) -> str:
    """The class of the error a traceback ends with; its message may hold values."""
    return traceback.strip().splitlines()[-1].partition(":")[0]


def _remove(prefix: Path) -> None:
    """Data files that a dead worker left behind."""
    for path in prefix.parent.glob(f"{prefix.name}-*.parquet"):
        path.unlink()
