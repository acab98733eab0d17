"""The status of the platform on a terminal."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dms_assets.pipeline.status.model import PlatformStatus, SourceStatus, TableStatus
from dms_assets.pipeline.status.text import age, duration

_WIDE = 160
"""Columns of text where the output is no terminal: lines are not broken for a file."""
_COLOURS = {"held": "red", "not captured": "red", "diverged": "red", "up to date": "green"}


def print_status(status: PlatformStatus) -> None:
    """Print sources, tables and what needs a look, to standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    for source in status.sources:
        console.print(Text(_headline(source, status.at), style="bold"))
        console.print(_tables(source, status.at))
        console.print()
    if status.well:
        console.print(Text("all is well", style="green"))
    for problem in status.problems:
        console.print(Text(f"! {problem}", style="red"), soft_wrap=True)


def _headline(source: SourceStatus, now: datetime) -> str:
    lag = source.lag_s(now)
    quarantined = ", ".join(f"{count} {reason}" for reason, count in source.quarantined.items())
    parts = [
        f"task {source.task or 'never seen'}",
        f"polled {age(source.polled_at, now)} ago" if source.polled_at else "never polled",
        f"lag {duration(lag)}" if lag is not None else "lag not known",
        f"in quarantine: {quarantined or 'nothing'}",
    ]
    return f"{source.name} ({source.engine}, {source.owner}): {'; '.join(parts)}"


def _tables(source: SourceStatus, now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("table", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("DMS", no_wrap=True)
    for name in ("pending", "batch", "curated", "taken in", "built", "complete to"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("quarantined")
    table.add_column("reconciled")
    for row in source.tables:
        table.add_row(*_cells(row, now))
    return table


def _cells(table: TableStatus, now: datetime) -> list[str | Text]:
    return [
        str(table.name),
        Text(table.phase, style=_COLOURS.get(table.phase, "yellow")),
        table.state or "-",
        str(table.pending_files),
        str(table.batch),
        str(table.curated_batch),
        age(table.validated_at, now),
        age(table.curated_at, now),
        age(table.curated_complete_to, now),
        ", ".join(f"{count} {reason}" for reason, count in (table.quarantined or {}).items()) or "-",
        _reconciled(table, now),
    ]


def _reconciled(table: TableStatus, now: datetime) -> str:
    result = table.reconciliation
    if result is None:
        return "-"
    found = "equal" if result.equal else f"{result.differing} differ" if result.diverged else "not compared"
    return f"{found}, {age(result.at, now)} ago"
