"""Run rows one after the other; a row that breaks counts as failed and the others go on."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
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


def run(wanted: Sequence[Row], seed: int, *, quick: bool) -> Iterator[Figure]:
    """Each row's figure, as soon as it is there."""
    for row in wanted:
        seconds = row.quick_seconds if quick and row.quick_seconds else row.seconds
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"scorecard-{row.id}-") as folder:
            try:
                outcome, error = row.measure(Budget(seconds, seed, Path(folder), quick)), ""
            except Exception as broken:  # noqa: BLE001 whatever it is, the row failed and says so
                outcome, error = None, f"{type(broken).__name__}: {broken}".strip().splitlines()[0]
        yield Figure(row, outcome, error, time.monotonic() - started)
