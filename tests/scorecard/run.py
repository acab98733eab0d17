"""Run rows, one after the other or side by side; a row that breaks counts as failed and the others go on."""

from __future__ import annotations

import importlib
import multiprocessing
import pkgutil
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.scorecard import rows
from tests.scorecard.figure import Budget, Figure, Row


def all_rows() -> list[Row]:
    """Every row there is, R1 first."""
    names = sorted(module.name for module in pkgutil.iter_modules(rows.__path__))
    found = [importlib.import_module(f"{rows.__name__}.{name}").ROW for name in names]
    return sorted(found, key=lambda row: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", row.id)])


def chosen(only: Sequence[str], *, quick: bool) -> list[Row]:
    """The rows to run. Raises LookupError for an id that is not there."""
    found = all_rows()
    if unknown := set(only) - {row.id for row in found}:
        raise LookupError(f"no row {', '.join(sorted(unknown))}; there are {', '.join(row.id for row in found)}")
    return (
        [row for row in found if row.id in only] if only else [row for row in found if not quick or row.quick_seconds]
    )


def run(wanted: Sequence[Row], seed: int, *, quick: bool, jobs: int = 1) -> Iterator[Figure]:
    """Each row's figure, as soon as it is there. With several jobs, rows that may share the machine do, at the end."""
    beside = [row for row in wanted if jobs > 1 and not row.alone]
    for row in wanted:
        if row not in beside:
            yield _measure(row, seed, quick=quick)
    # The long ones first, so that none of them is left alone at the end.
    beside.sort(key=lambda row: row.seconds, reverse=True)
    with ThreadPoolExecutor(jobs) as threads:
        for future in as_completed([threads.submit(_measure_apart, row, seed, quick=quick) for row in beside]):
            yield future.result()


def _measure(row: Row, seed: int, *, quick: bool) -> Figure:
    seconds = row.quick_seconds if quick and row.quick_seconds else row.seconds
    started = time.monotonic()
    # A row that ended early may have processes that still write: what it found must not be lost for that.
    with tempfile.TemporaryDirectory(prefix=f"scorecard-{row.id}-", ignore_cleanup_errors=True) as folder:
        try:
            outcome, error = row.measure(Budget(seconds, seed, Path(folder), quick)), ""
        except Exception as broken:  # noqa: BLE001 whatever it is, the row failed and says so
            outcome, error = None, f"{type(broken).__name__}: {broken}".strip().splitlines()[0]
    return Figure(row, outcome, error, time.monotonic() - started)


def _measure_apart(row: Row, seed: int, *, quick: bool) -> Figure:
    """In a process of its own: rows change the environment of theirs."""
    started = time.monotonic()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_measure, row, seed, quick=quick).result()
        except BrokenExecutor as error:
            return Figure(row, None, f"its process died: {error}", time.monotonic() - started)
