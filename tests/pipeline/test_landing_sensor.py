"""A batch whose run died before it said so is told by the sensor, once."""

import dagster as dg

from dms_assets.lake.table_summary import TableSummary
from dms_assets.model.names import Layer, TableName
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.landing_sensor import _unannounced
from dms_assets.sources import find_source


def test_a_committed_batch_that_no_run_told_of_is_found() -> None:
    spec, name = find_source("probation"), TableName("probation", "region")
    key = table_key(spec.name, Layer.VALIDATED, name)
    with dg.DagsterInstance.ephemeral() as instance:
        now = {name: TableSummary(batch=2)}
        assert dict(_unannounced(instance, spec, now, {})) == {name: 2}
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"batch": 1}))
        assert dict(_unannounced(instance, spec, now, {str(name): 1})) == {name: 2}
        instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata={"batch": 2}))
        assert not dict(_unannounced(instance, spec, now, {str(name): 1}))
        assert not dict(_unannounced(instance, spec, {name: TableSummary()}, {}))
