"""`python -m tests.simulation --seed N [--seeds M] [--shrink] [--trace]`: simulations, or one again."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.simulation.simulation import DifferenceError, run, shrink
from tests.simulation.steps import make_plan


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--seeds", type=int, default=1, show_default=True, help="So many, one after the other.")
@click.option("--length", type=int, default=300, show_default=True, help="Steps.")
@click.option("--shrink", "cut", is_flag=True, help="Cut a failing one down to the steps that matter.")
@click.option("--trace", is_flag=True, help="Tell each step as it is done.")
def main(seed: int, seeds: int, length: int, cut: bool, trace: bool) -> None:
    if trace:
        logging.basicConfig(level=logging.WARNING)
        logging.getLogger("tests.simulation").setLevel(logging.INFO)
    failed = 0
    for number in range(seed, seed + seeds):
        folder = Path(tempfile.mkdtemp(prefix=f"simulation-{number}-"))
        plan, started = make_plan(number, length), time.monotonic()
        try:
            counts = run(plan, folder)
        except DifferenceError as error:
            failed += 1
            click.echo(str(error))
            if cut:
                for step in shrink(plan, plan.steps[: error.done], folder, 40).steps:
                    click.echo(f"  {step}")
            continue
        click.echo(f"seed {number}: equal, {time.monotonic() - started:.0f} s, {dict(counts)}")
        shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
