"""A live source equals curated at an instant; a TRUNCATE is found, told with its remedy, and repaired by a reload."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import dagster as dg
import psycopg
import pytest
from click.testing import CliRunner

from dms_assets.cli import cli
from dms_assets.dms.task_reader import read_task
from dms_assets.model.names import Layer, TableName
from dms_assets.model.task_state import TABLE_COMPLETED
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.reconciliation import checks as reconciliation_checks
from dms_assets.pipeline.reconciliation.checks import RECONCILED_CHECK
from dms_assets.pipeline.reconciliation.reconcile import Reconciler
from dms_assets.pipeline.reconciliation.reload import ReloadStore
from dms_assets.pipeline.reconciliation.store import ReconciliationStore, read_last_reconciliation
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore
from dms_assets.pipeline.status.progress import read_progress
from dms_assets.sample.commit_gate import CommitGate
from dms_assets.sample.workload import Workload
from tests.local_dms.service import until
from tests.system.conftest import System

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(900)]

PAYMENT = TableName("probation", "payment")


def sensors_go_on(system: System, _: float) -> None:
    """Between two looks of a reconciliation the daemon would have done this, but for what is derived."""
    for _ in range(3):
        system.drive.tick(f"{system.spec.name}_dms_sensor")
        time.sleep(2)
    system.drive.tick(f"{system.spec.name}_landing_sensor")
    behind = [item.name for item in read_progress(system.installation, system.spec) if item.batch > item.curated_batch]
    relations = [TableName(n.schema, n.table + end) for n in behind for end in ("_versions", "_history", "")]
    if relations:
        keys = [table_key(system.spec.name, Layer.CURATED, relation) for relation in relations]
        assert system.drive.run(keys, [], {}).success


def evaluate(system: System, names: list[TableName]) -> dict[TableName, dg.AssetCheckEvaluation]:
    """The checks, as the schedule or the button would run them."""
    keys = [dg.AssetCheckKey(table_key(system.spec.name, Layer.CURATED, name), RECONCILED_CHECK) for name in names]
    run = system.drive.run([], keys, {})
    assert run.success
    found = run.get_asset_check_evaluations()
    return {TableName(e.asset_key.path[2], e.asset_key.path[3]): e for e in found}


def told(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: value.value for name, value in evaluation.metadata.items()}


def test_a_truncated_table_is_found_and_repaired_by_the_reload_job(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.load()
    state, names = system.installation.state, system.spec.table_names
    workload = Workload(system.postgres.dsn, CommitGate(), rate=40.0, seed=3)
    after: list[int] = []

    def go_on(seconds: float) -> None:
        """The source was busy at the first instant, and goes on for a while; keys are settled when it is quieter."""
        sensors_go_on(system, seconds)
        if not after:
            after.append(workload.stop()["transactions"])

    monkeypatch.setattr(reconciliation_checks, "Reconciler", partial(Reconciler, pause=go_on))
    workload.start()
    until(lambda: workload.counts()["transactions"] > 100)
    before = workload.counts()["transactions"]
    quiet = evaluate(system, names)
    assert after[0] > before, "the source was not quiet while it was read"
    assert {name for name, found in quiet.items() if not found.passed} == set()
    assert set(quiet) == set(names)
    last = read_last_reconciliation(state, system.spec.name)
    assert all(result.equal and result.watermark and result.watermark >= result.at for result in last.values())
    assert WatermarkStore(state, system.spec.name).reached() is not None

    with psycopg.connect(system.postgres.dsn) as connection:
        row = connection.execute("select count(*) from probation.payment").fetchone()
        assert row is not None
        connection.execute("create temp table kept as select * from probation.payment limit 5")
        connection.execute("truncate probation.payment")
        connection.execute("insert into probation.payment select * from kept")
    failed = evaluate(system, [PAYMENT, TableName("probation", "region")])
    assert failed[TableName("probation", "region")].passed
    assert not failed[PAYMENT].passed
    assert failed[PAYMENT].severity == dg.AssetCheckSeverity.ERROR
    metadata = told(failed[PAYMENT])
    assert (metadata["extra"], metadata["missing"], metadata["different"]) == (row[0] - 5, 0, 0)
    assert "dms-assets reload payment --source probation" in metadata["remedy"]
    assert "jobs/probation_reload/playground" in metadata["reload"]

    reload = system.drive.definitions.resolve_job_def("probation_reload")
    config = {"tables": ["payment"], "reason": "truncated by the test"}
    done = reload.execute_in_process(
        instance=system.drive.instance, run_config={"ops": {"probation_reload_tables": {"config": config}}}
    )
    assert done.success
    until(lambda: (t := read_task(system.client, system.task).tables[PAYMENT]).reloaded and t.state == TABLE_COMPLETED)
    (kept,) = ReloadStore(state, system.spec.name).reloads()
    assert (kept.reason, kept.tables) == ("truncated by the test", (PAYMENT,))
    key = table_key(system.spec.name, Layer.LANDING, PAYMENT)
    observed = [o.asset_observation for o in system.drive.instance.fetch_observations(key, limit=20).records]
    assert "truncated by the test" in {
        str(o.metadata["reason"].value) for o in observed if o and "reason" in o.metadata
    }
    repaired = evaluate(system, [PAYMENT])[PAYMENT]
    assert repaired.passed, told(repaired)
    history = ReconciliationStore(state, system.spec.name).history(PAYMENT)
    assert [result.equal for result in history] == [True, False, True]

    # On the command line, with nothing that drives the stack: what is there already holds an older instant only.
    result = CliRunner().invoke(cli, ["reconcile", "--table", "payment", "--timeout", "0", "--json"])
    assert result.exit_code == 2, result.output
    assert not json.loads(result.stdout)[0]["compared"]
