"""The proof as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table

from dms_assets.demo.evidence import Happening, TableEvidence
from dms_assets.model.names import TableName
from dms_assets.pipeline.status.provenance import Provenance
from dms_assets.reconcile.comparison import Comparison
from dms_assets.reconcile.negative_control import NegativeControl

YES, NO = "[green]yes[/]", "[bold red]no[/]"


def _yes(passed: bool) -> str:
    return YES if passed else NO


def print_tables(
    console: Console,
    evidence: Sequence[TableEvidence],
    now: Comparison,
    instants: Mapping[datetime, Comparison],
    held: set[TableName],
) -> None:
    """One row a table: what it holds, and whether it equals the source now and at every instant."""
    table = Table(title="Source and curated, every column of every row", title_justify="left")
    for heading in ("table", "rows", "loaded", "changes", "files", "held before", "equal now", "equal then"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for item in evidence:
        then = sum(comparison.tables[item.name].equal for comparison in instants.values())
        table.add_row(
            str(item.name),
            f"{now.tables[item.name].curated_rows:,}",
            f"{item.load_rows:,}",
            f"{item.changes:,}",
            str(item.files),
            "yes" if item.name in held else "",
            _yes(now.tables[item.name].equal),
            f"{'[green]' if then == len(instants) else '[bold red]'}{then} of {len(instants)}[/]",
        )
    console.print(table)
    for comparison in (now, *instants.values()):
        for unequal in comparison.unequal:
            at = f"as of {unequal.at:%H:%M:%S.%f}" if unequal.at else "now"
            console.print(f"[red]{unequal.table} {at}: {unequal.to_json()}[/]")


def print_happenings(console: Console, found: Sequence[Happening]) -> None:
    """What the workload really did."""
    table = Table(title="What really happened", title_justify="left")
    table.add_column("what")
    table.add_column("count", justify="right")
    for item in found:
        table.add_row(item.what, f"{item.count:,}" if item.seen else f"[bold red]{item.count}[/]")
    console.print(table)


def print_control(console: Console, control: NegativeControl) -> None:
    """Whether the comparison can fail."""
    planted = control.planted
    told = "found exactly these" if control.exact else "[bold red]not found, or not only these[/]"
    console.print(
        f"Negative control, in a copy: one value changed ({planted.table}.{planted.changed_column}), one row dropped: "
        f"{told}"
    )


def print_provenance(console: Console, provenance: Provenance) -> None:
    """Who launched the materialisations."""
    console.print(
        f"Materialisations: {provenance.by_sensor} in runs of sensors, {provenance.by_automation} of automation "
        f"conditions, {provenance.reported} reported by sensors, {len(provenance.by_hand)} by hand "
        f"({provenance.runs} runs)"
    )
    for line in provenance.by_hand[:10]:
        console.print(f"[red]by hand: {line}[/]")


def print_seconds(console: Console, seconds: Mapping[str, float]) -> None:
    """How long each stage took."""
    table = Table(title="Time", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    for stage, value in seconds.items():
        table.add_row(stage, f"{value:.1f}")
    table.add_row("all", f"{sum(seconds.values()):.1f}")
    console.print(table)
