"""The product's reconciliation over a driven system, whose sensors go on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dms_assets.model.names import TableName
from dms_assets.pipeline.reconciliation.reconcile import Limits, Reconciler
from dms_assets.reconcile.result import ReconciliationResult
from tests.system.conftest import System


def reconcile(system: System, names: Sequence[TableName], limits: Limits) -> dict[TableName, ReconciliationResult]:
    """The results of all tables. Raises AssertionError if one could not be compared."""

    def go_on(_: float) -> None:
        system.drive.tick(f"{system.spec.name}_dms_sensor")
        time.sleep(1)
        system.drive.settle(system.spec.name, 1)

    reconciler = Reconciler(system.installation, system.spec, say=lambda *_: None, limits=limits, pause=go_on)
    results = {found.result.table: found.result for found in reconciler.run(names)}
    skipped = {str(table): result.reason for table, result in results.items() if not result.compared}
    assert not skipped, f"not every table was compared: {skipped}"
    return results
