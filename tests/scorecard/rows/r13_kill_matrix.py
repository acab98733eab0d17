"""R13: kill -9 of everything a stack runs, one after the other and all at once; and steps that rise again."""

from __future__ import annotations

from pathlib import Path

from dms_assets.validation.worker_process import ValidationWorker
from tests.processes.proof import prove
from tests.processes.running_stack import RunningStack
from tests.processes.stopped_step import BEFORE_COMMIT, PLACES, Zombie, rise_again
from tests.processes.strike import EVERYTHING, NOTHING, PARTS, RUN, VALIDATION, Recovery, strike
from tests.processes.ticking import Ticking
from tests.scorecard.figure import Budget, Outcome, Row
from tests.simulation.stopped_build import stopped_builds

WITHIN_S = 60.0
MATRIX = (NOTHING, RUN, VALIDATION, *PARTS, EVERYTHING)
ONE_STOP = ("lake.before_commit", "lake.after_commit")


def zombies(budget: Budget) -> list[Zombie]:
    """Steps stopped at all places, or at two of them."""
    found = []
    with ValidationWorker() as worker:
        for place in ONE_STOP if budget.quick else PLACES:
            home = budget.folder / place
            home.mkdir()
            found.append(rise_again(home, worker, place))
    return found


def matrix(home: Path, seed: int) -> tuple[list[Recovery], str, bool]:
    """All kills on one stack, then the proof: in words, and whether it holds."""
    with RunningStack(home) as stack:
        stack.json("sync")
        marks = [f"K{number:03d}" for number in range(len(MATRIX))]
        with Ticking(lambda: stack.dsn, seed=seed):
            found = [strike(stack, victim, mark) for victim, mark in zip(MATRIX, marks, strict=True)]
        proof = prove(stack)
        lost = set(marks) - stack.curated_regions()
        return found, f"{proof}, {len(lost)} marked rows lost", proof.holds and not lost


def measure(budget: Budget) -> Outcome:
    """The stopped steps alone if it is quick."""
    risen = zombies(budget)
    effective = sum(not zombie.harmless for zombie in risen)
    observed = {
        "steps stopped and continued": len(risen),
        "their commits refused": sum(zombie.refused for zombie in risen if zombie.place in BEFORE_COMMIT),
    }
    if budget.quick:
        told = f"{effective} of {len(risen)} zombies had an effect"
        return Outcome(told, holds=not effective, observed=observed)
    (budget.folder / "builds").mkdir()
    builds = stopped_builds(budget.seed, budget.folder / "builds")
    effective += sum(not build.harmless for build in builds)
    observed["builds stopped and refused"] = sum(build.refused for build in builds)
    told = f"{effective} of {len(risen) + len(builds)} zombies had an effect"
    recoveries, proof, proved = matrix(budget.folder / "home", budget.seed)
    faults = [recovery for recovery in recoveries if recovery.victim != NOTHING]
    observed |= {f"{recovery.victim} killed": recovery.killed for recovery in faults}
    observed["runs cut off"] = sum(recovery.runs_cut for recovery in faults)
    orphans = sum(recovery.orphans for recovery in faults)
    slowest = max(recovery.seconds for recovery in faults)
    return Outcome(
        f"{'; '.join(map(str, recoveries))}; {orphans} orphans; {proof}; {told}",
        holds=proved and not effective and not orphans and slowest < WITHIN_S,
        observed=observed,
        seeds=[budget.seed],
    )


ROW = Row(
    "R13",
    "Kill matrix: all that runs, killed in turn, and at once with its supervisor (then one command begins it again); "
    "steps stopped in the middle of their commit, builds before they publish",
    f"back unattended in {WITHIN_S:.0f} s; 0 effective zombies, orphans, stuck runs, held slots; curated right",
    420,
    None,
    measure,
)
