"""The Dagster instance of a local stack: its folder and its settings."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from string import Template

import dagster as dg

_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def prepare(dagster_home: Path) -> None:
    """Make the instance's folder, with this release's `dagster.yaml`; one that an operator changed is kept.

    Its databases are made here: two processes that make them at once can leave them without a revision.
    """
    dagster_home.mkdir(parents=True, exist_ok=True)
    target = dagster_home / "dagster.yaml"
    if not target.exists():
        shipped = (files("dms_assets.stack") / "dagster.yaml").read_text(encoding="utf-8")
        target.write_text(Template(shipped).substitute(DAGSTER_HOME=json.dumps(str(dagster_home))), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        # Runs are children of the code server, which is about to start: those under way ended with an earlier one.
        for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)):
            instance.report_run_failed(run, "its process ended with the code server that started it")
        instance.get_dynamic_partitions("")
        instance.all_instigator_state()
