"""R2: the process killed at every failpoint while a source works; nothing lost, doubled or stuck."""

from __future__ import annotations

import multiprocessing
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from dms_assets.model.failpoints import NAMES
from tests.scorecard.figure import Budget, Outcome, Row
from tests.simulation.kills import kill_everywhere

SEEDS = 5
SHARES = 2
"""Each seed is cut into so many worlds, each with its share of the failpoints: they go side by side."""
QUICK = (
    "local_dms.before_advance",
    "lake.after_commit",
    "lake.between_deletes",
    "build.after_dbt",
    "memory.after_write",
)


@dataclass(frozen=True)
class Share:
    """What became of a share of a seed's failpoints; `told` is empty if all is well."""

    counts: Counter[str]
    killed: int
    unreached: tuple[str, ...]
    told: str


def kill_share(seed: int, names: Sequence[str], folder: Path) -> Share:
    """Kill at some failpoints, in a process of its own."""
    folder.mkdir(parents=True)
    try:
        kills = kill_everywhere(seed, folder, names)
    except Exception as error:  # noqa: BLE001 whatever it is, this share failed and says so
        told = f"seed {seed}: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        return Share(Counter(), 0, (), told)
    shutil.rmtree(folder)
    return Share(kills.counts, len(names) - len(kills.unreached), tuple(kills.unreached), "")


def measure(budget: Budget) -> Outcome:
    """Every failpoint with five seeds; in the reduced run, five of them with one."""
    names = sorted(QUICK if budget.quick else NAMES)
    seeds = [budget.seed] if budget.quick else list(range(budget.seed, budget.seed + SEEDS))
    shares = 1 if budget.quick else SHARES
    ends = time.monotonic() + budget.seconds
    done: list[Share] = []
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            pool.submit(kill_share, seed, names[number::shares], budget.folder / f"{seed}-{number}")
            for seed in seeds
            for number in range(shares)
        ]
        for future in as_completed(running):
            done.append(future.result())
            if time.monotonic() > ends or done[-1].told:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    counts: Counter[str] = Counter()
    for share in done:
        counts.update(share.counts)
    failed = [share.told for share in done if share.told]
    unreached = sorted({name for share in done for name in share.unreached})
    killed = sum(share.killed for share in done)
    told = f"; never reached: {', '.join(unreached)}" if unreached else ""
    told += f"; {failed[0]}" if failed else ""
    groups = sorted({name.partition(".")[0] for name in names})
    observed = {f"kills in {group} (137)": counts[group] for group in groups}
    return Outcome(
        f"{killed} kills at {len(names)} failpoints, {len(seeds)} seeds: {len(failed)} differ{told}",
        holds=not failed and not unreached and len(done) == len(running),
        observed={**observed, "checks against the source": counts["checks against the source"]},
        seeds=seeds,
    )


ROW = Row(
    "R2",
    "Killed at every failpoint while the source works: nothing lost, doubled or stuck",
    f"{len(NAMES)} failpoints x {SEEDS} seeds, 0 differences",
    900,
    None,
    measure,
)
