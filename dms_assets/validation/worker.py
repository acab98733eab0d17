"""The child process that reads untrusted files: `python -m dms_assets.validation.worker MEMORY CPU_S CPU_PER_MIB`.

It answers requests (see `messages`) from standard input on standard output, one JSON object a line. It has no
environment to speak of, an address space of MEMORY bytes, and CPU time per request of CPU_S seconds and
CPU_PER_MIB for each MiB of file; beyond that the system ends it, and the parent knows which files it was at.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from dms_assets.model.logical_type import Kind
from dms_assets.model.stored_schema import stored_schema
from dms_assets.validation.declared import DeclaredCheckError
from dms_assets.validation.duplicates import find_duplicates
from dms_assets.validation.file_validation import check_declaration, validate_file
from dms_assets.validation.messages import FileTask, OutputFile, TableTask, Validated, encode
from dms_assets.validation.outcome import FileVerdict
from dms_assets.validation.output import Output, OutputFailedError
from dms_assets.validation.reader import LandedParquet, UnreadableError

_MIB = 1 << 20


class Worker:
    """Answers requests about one table at a time."""

    def __init__(self, cpu_seconds: float, cpu_seconds_per_mib: float) -> None:
        self._cpu_seconds = cpu_seconds
        self._cpu_seconds_per_mib = cpu_seconds_per_mib
        self._table: TableTask | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises ValueError for one that it does not know."""
        match request["do"]:
            case "table":
                self._table = TableTask.from_json(request)
                check_declaration(self._table)
                return {}
            case "validate":
                files = [FileTask.from_json(file) for file in request["files"]]
                self._allow_cpu([file.path for file in files])
                output, batch, careful = Path(request["output"]), request["batch"], request["careful"]
                return self._validate(files, output, batch, careful=careful).to_json()
            case "count":
                path = Path(request["path"])
                self._allow_cpu([path])
                return {"rows": _claimed_rows(path)}
            case "duplicates":
                outputs = [OutputFile(Path(path), rows) for path, rows in request["outputs"]]
                self._allow_cpu([output.path for output in outputs])
                found = find_duplicates(outputs)
                return {"duplicates": [[item.file, item.row, item.key_hash] for item in found]}
            case unknown:
                raise ValueError(f"the validation worker knows no request '{unknown}'")

    def _validate(self, files: list[FileTask], prefix: Path, batch: int, *, careful: bool) -> Validated:
        table = self._table
        if table is None:
            raise ValueError("the validation worker was not told the table before its files")
        text = [column.name for column in table.metadata.columns if column.type.kind is Kind.STRING]
        output = Output(prefix, stored_schema(table.metadata), text)
        verdicts: list[FileVerdict | None] = []
        for file in files:
            try:
                verdicts.append(validate_file(file, table, output, batch, careful=careful))
            except MemoryError:
                verdicts.append(None)
        return Validated(tuple(verdicts), output.finish())

    def _allow_cpu(self, paths: list[Path]) -> None:
        """Raise the CPU limit, which counts from the start of the process, by what these files may take."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        size = sum(path.stat().st_size for path in paths)
        budget = self._cpu_seconds + self._cpu_seconds_per_mib * size / _MIB
        resource.setrlimit(
            resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + budget) + 1, resource.RLIM_INFINITY)
        )


def _claimed_rows(path: Path) -> int | None:
    """Rows as the footer says, None for a file without a readable one (validating it says why)."""
    try:
        parquet = LandedParquet(path, careful=False)
    except (MemoryError, UnreadableError):
        return None
    try:
        return parquet.rows
    finally:
        parquet.close()


def _requests(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    for line in stream:
        yield json.loads(line)


def main(arguments: list[str]) -> None:
    """Set the limits, then serve until standard input ends."""
    memory, cpu_seconds, cpu_per_mib = int(arguments[0]), float(arguments[1]), float(arguments[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pa.set_cpu_count(2)
    # Whatever a library prints goes to standard error; the answers have the pipe to themselves.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        worker = Worker(cpu_seconds, cpu_per_mib)
        for request in _requests(sys.stdin.buffer):
            try:
                answer = worker.answer(request)
            except (OutputFailedError, DeclaredCheckError) as error:
                answer = {"failed": str(error)}
            answers.write(encode(answer))
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
