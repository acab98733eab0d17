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
from tests.simulation.kills import kill_everywhere, share_of

SEEDS = 5
SHARES = 2
JOBS = 4
"""More than cores: a killed process is waited for most of the time."""
"""Each seed is cut into so many worlds, each with its share of the failpoints: they go side by side."""


@dataclass(frozen=True)
class Share:
    """What became of a share of a seed's failpoints; `told` is empty if all is well."""

    counts: Counter[str]
    killed: int
    unreached: tuple[str, ...]
    told: str


def kill_share(seed: int, names: Sequence[str], folder: Path, again: str) -> Share:
    """Kill at some failpoints, in a process of its own; `again` is the command that does just that."""
    folder.mkdir(parents=True)
    try:
        kills = kill_everywhere(seed, folder, names)
    except Exception as error:  # noqa: BLE001 whatever it is, this share failed and says so
        told = f"seed {seed}: {type(error).__name__}: {error}; again: {again}\n{traceback.format_exc()}"
        return Share(Counter(), 0, (), told)
    shutil.rmtree(folder)
    return Share(kills.counts, len(names) - len(kills.unreached), tuple(kills.unreached), "")


def _again(seed: int, part: int) -> str:
    return f"python -m tests.simulation --seed {seed} --kills {part}/{SHARES}"


def measure(budget: Budget) -> Outcome:
    """Every failpoint with five seeds; in the reduced run, with one."""
    seeds = list(range(budget.seed, budget.seed + (1 if budget.quick else SEEDS)))
    parts = [share_of(number, SHARES) for number in range(SHARES)]
    ends = time.monotonic() + budget.seconds
    done: list[Share] = []
    with ProcessPoolExecutor(JOBS, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [
            pool.submit(kill_share, seed, part, budget.folder / f"{seed}-{number}", _again(seed, number))
            for seed in seeds
            for number, part in enumerate(parts)
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
    groups = sorted({name.partition(".")[0] for name in NAMES})
    observed = {f"kills in {group} (137)": counts[group] for group in groups}
    return Outcome(
        f"{killed} kills at {len(NAMES)} failpoints, {len(seeds)} seeds: {len(failed)} differ{told}",
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
    alone=True,
)
