"""`python -m tests.simulation --seed N [--seeds M] [--jobs J] [--shrink] [--trace]`: simulations, or one again.

With `--kills 0/2` the process is killed at the first half of all failpoints instead.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import click

from tests.simulation.kills import kill_everywhere, share_of
from tests.simulation.many import run_seed, run_seeds
from tests.simulation.simulation import shrink
from tests.simulation.steps import make_plan


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--seeds", type=int, default=1, show_default=True, help="So many, from this one on.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="So many side by side.")
@click.option("--length", type=int, default=300, show_default=True, help="Steps.")
@click.option("--checkpoints", type=click.IntRange(1), default=3, show_default=True, help="Comparisons.")
@click.option("--kills", metavar="PART/PARTS", help="Kill at this part of all failpoints, with this seed.")
@click.option("--shrink", "cut", is_flag=True, help="Cut a failing one down to the steps that matter.")
@click.option("--trace", is_flag=True, help="Tell each step as it is done; one job only.")
def main(
    seed: int, seeds: int, jobs: int, length: int, checkpoints: int, kills: str | None, cut: bool, trace: bool
) -> None:
    """Exit status 1 if curated differs from the source, or a part breaks."""
    if trace:
        logging.basicConfig(level=logging.WARNING)
        logging.getLogger("tests.simulation").setLevel(logging.INFO)
    folder = Path(tempfile.mkdtemp(prefix="simulations-"))
    if kills:
        part, _, parts = kills.partition("/")
        found = kill_everywhere(seed, folder, share_of(int(part), int(parts)))
        click.echo(f"seed {seed}: equal after every kill, {dict(found.counts)}; never reached: {found.unreached}")
        sys.exit(1 if found.unreached else 0)
    here = (run_seed(number, length, folder, checkpoints) for number in range(seed, seed + seeds))
    failed = 0
    for result in here if jobs == 1 else run_seeds(seed, seeds, length, folder, jobs=jobs, checkpoints=checkpoints):
        if not result.told:
            click.echo(f"seed {result.seed}: equal, {result.seconds:.0f} s, {dict(result.counts)}")
            continue
        failed += 1
        click.echo(f"{result.told}\nIts folder: {folder / f'simulation-{result.seed}'}")
        if cut and result.done is not None:
            plan = make_plan(result.seed, length, checkpoints)
            for step in shrink(plan, plan.steps[: result.done], folder / f"cut-{result.seed}", 40).steps:
                click.echo(f"  {step}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
