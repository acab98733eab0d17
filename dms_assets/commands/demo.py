"""`dms-assets demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Scratch folder; a new one by default.")
@click.option("--scale", type=click.FloatRange(0.01, 50), default=1.0, show_default=True, help="1 is 200,000 rows.")
@click.option("--keep", is_flag=True, help="Keep the scratch folder, to look at what is in it.")
@click.option("--seed", type=int, default=20_260_101, show_default=True, help="Of the data and the workload.")
@click.pass_context
def demo(context: click.Context, directory: Path | None, scale: float, keep: bool, seed: int) -> None:
    """Take a real PostgreSQL to proven curated history, headless, and print the proof.

    Exit status 0 only if everything printed holds.
    """
    from dms_assets.demo.run import run_demo  # noqa: PLC0415

    root = context.find_root().command

    def command(*arguments: str) -> None:
        root.main(args=list(arguments), prog_name="dms-assets", standalone_mode=False)

    sys.exit(0 if run_demo(directory, command, scale=scale, keep=keep, seed=seed) else 1)
