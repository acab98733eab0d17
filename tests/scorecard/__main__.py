"""`python -m tests.scorecard [--quick] [--only R1 --only R2] [--seed N] [--jobs J] [--json FILE] [--write]`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import click
from rich.console import Console

from tests.scorecard.report import document, print_figures, write
from tests.scorecard.run import chosen, run

DOCS = Path(__file__).parents[2] / "docs"


@click.command()
@click.option("--quick", is_flag=True, help="The reduced run: five minutes at most.")
@click.option("--only", multiple=True, metavar="ID", help="Only this row; may be given again.")
@click.option("--seed", type=int, default=1, show_default=True, help="The first seed.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="So many rows side by side.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures to this file.")
@click.option(
    "--write",
    "publish",
    is_flag=True,
    help="Put the figures into docs/reliability.md and docs/scorecard.json; rows not run keep theirs.",
)
def main(*, quick: bool, only: tuple[str, ...], seed: int, jobs: int, target: Path | None, publish: bool) -> None:
    """Measure the figures of reliability. Exit status 1 if one misses its target."""
    if publish and quick:
        raise click.UsageError("--write takes full rows: without --quick")
    logging.basicConfig(level=logging.ERROR)
    console = Console(width=max(160, Console().width))
    figures = []
    for figure in run(chosen(only, quick=quick), seed, quick=quick, jobs=jobs):
        figures.append(figure)
        if publish:
            write([figure], DOCS / "reliability.md", DOCS / "scorecard.json", seed=seed)
        verdict = "pass" if figure.passed else "FAIL"
        console.print(f"{figure.row.id} {verdict} after {figure.took_s:.0f} s, seed {seed}: {figure.row.question}")
    print_figures(console, figures)
    if target is not None:
        target.write_text(json.dumps(document(figures, quick=quick, seed=seed), indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(figure.passed for figure in figures) else 1)


if __name__ == "__main__":
    main()
