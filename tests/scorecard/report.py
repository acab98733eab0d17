"""The table of figures: on the terminal, as JSON, and in docs/reliability.md between two marks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.scorecard.figure import Figure

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def document(figures: Sequence[Figure], *, quick: bool, seed: int) -> dict[str, Any]:
    """Everything as JSON; `format` is raised when its meaning changes."""
    return {
        "format": 1,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "seed": seed,
        "passed": all(figure.passed for figure in figures),
        "figures": [
            {
                "id": figure.row.id,
                "figure": figure.row.question,
                "target": figure.row.target,
                "measured": measured(figure),
                "passed": figure.passed,
                "observed": dict(figure.outcome.observed) if figure.outcome else {},
                "seeds": list(figure.outcome.seeds) if figure.outcome else [],
                "seconds": round(figure.took_s, 1),
            }
            for figure in figures
        ],
    }


def measured(figure: Figure) -> str:
    """What it came to, or why it came to nothing."""
    if figure.outcome is None:
        return f"broke: {figure.error}"
    unseen = f" (never took place: {', '.join(figure.unseen)})" if figure.unseen else ""
    return figure.outcome.measured + unseen


def print_figures(console: Console, figures: Sequence[Figure]) -> None:
    """The table, for people."""
    table = Table("", "figure", "target", "measured", "pass", "seconds")
    for figure in figures:
        verdict = "yes" if figure.passed else "NO"
        seconds = f"{figure.took_s:.0f}"
        table.add_row(figure.row.id, figure.row.question, figure.row.target, measured(figure), verdict, seconds)
    console.print(table)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def markdown(figures: Sequence[Figure], *, seed: int) -> str:
    """The table as it stands in the document."""
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d}, first seed {seed}; again with `make scorecard`.",
        "",
        "| | figure | target | measured | took place | pass |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        observed = figure.outcome.observed if figure.outcome else {}
        cells = [
            figure.row.id,
            figure.row.question,
            figure.row.target,
            measured(figure),
            ", ".join(f"{count:,} {name}" for name, count in observed.items()),
            "yes" if figure.passed else "**no**",
        ]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def write(figures: Sequence[Figure], page: Path, data: Path, *, seed: int) -> None:
    """Put the figures of a full run into the page, between the marks, and beside it as JSON."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(figures, seed=seed)}\n{END}{after}", encoding="utf-8")
    found = json.dumps(document(figures, quick=False, seed=seed), indent=1)
    data.write_text(found + "\n", encoding="utf-8")
