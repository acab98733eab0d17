"""Many simulations, some side by side, each process going through several seeds: imports are paid for once."""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.simulation import DifferenceError, run
from tests.simulation.steps import make_plan


@dataclass(frozen=True)
class SeedResult:
    """What became of one seed. `told` is empty if everything was equal; `done` steps were made before a difference."""

    seed: int
    counts: Counter[str]
    told: str
    done: int | None
    seconds: float


def run_seed(seed: int, length: int, folder: Path, checkpoints: int = 3) -> SeedResult:
    """One seed; its folder stays if it failed."""
    started, counts, told, done = time.monotonic(), Counter[str](), "", None
    home, plan = folder / f"simulation-{seed}", make_plan(seed, length, checkpoints)
    home.mkdir(parents=True)
    try:
        counts = run(plan, home)
        shutil.rmtree(home)
    except DifferenceError as error:
        told, done = str(error), error.done
    except Exception:  # noqa: BLE001 whatever it is, this seed failed and the others go on
        told = f"seed {seed} broke; run it again: {plan.again}\n{traceback.format_exc()}"
    return SeedResult(seed, counts, told, done, time.monotonic() - started)


def run_seeds(
    first: int, seeds: int, length: int, folder: Path, *, jobs: int, seconds: float = float("inf"), checkpoints: int = 3
) -> Iterator[SeedResult]:
    """Results as they come. After so many seconds no further seed is begun; the first of each job always is."""
    ends = time.monotonic() + seconds
    waiting = iter(range(first, first + seeds))
    # Not copies of this process, which may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_quiet) as pool:
        running: set[Future[SeedResult]] = set()
        begun = 0
        while True:
            while len(running) < jobs and (begun < jobs or time.monotonic() < ends):
                seed = next(waiting, None)
                if seed is None:
                    break
                begun += 1
                running.add(pool.submit(run_seed, seed, length, folder, checkpoints))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


def _quiet() -> None:
    # Failpoints and restarts are what a simulation is made of; each would be an error in the log.
    logging.basicConfig(level=logging.CRITICAL)
