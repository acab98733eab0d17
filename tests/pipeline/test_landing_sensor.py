"""A batch whose run died before it said so is told by the sensor, once; new metadata brings rejected files back."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.quarantine import EntryState, Quarantine, Report
from dms_assets.lake.table_summary import TableSummary
from dms_assets.model.landed_file import FileIdentity, FileKind
from dms_assets.model.logical_type import LogicalType
from dms_assets.model.names import Layer, TableName
from dms_assets.model.table_metadata import ColumnMetadata, TableMetadata
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.landing import _replayed, _unannounced
from dms_assets.sources import find_source
from dms_assets.validation.outcome import Reason


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


def test_new_metadata_brings_a_rejected_file_back_and_reports_are_not_read_without_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, name = find_source("probation"), TableName("probation", "region")
    installation = Installation(Environment(home=tmp_path))
    narrow = TableMetadata(name, (ColumnMetadata("region_id", LogicalType.parse("int32"), "integer"),))
    wide = replace(narrow, columns=(*narrow.columns, ColumnMetadata("code", LogicalType.parse("string"), "text")))
    key = f"{spec.folder}/probation/region/20260101-000000001.parquet"
    landed = installation.landing.put(key, b"x")
    identity = FileIdentity(key, landed.etag, landed.last_modified.isoformat())
    quarantine = Quarantine(installation.quarantine, spec.name)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    reason, kind = Reason.SCHEMA, FileKind.CDC
    report = Report(identity, 1, spec.folder, name, kind, reason, (), at, narrow.version, 1)
    quarantine.put(report, installation.landing, key, landed.etag)
    read: list[str] = []
    stock = Quarantine.report
    monkeypatch.setattr(Quarantine, "report", lambda self, entry: (read.append(entry.entry_id), stock(self, entry))[1])

    entries, looked = _replayed(installation, spec, {name: narrow.version}, "")
    assert ([entry.state for entry in entries], len(read)) == ([EntryState.OPEN], 1)
    _, again = _replayed(installation, spec, {name: narrow.version}, looked)
    assert (again, len(read)) == (looked, 1)
    entries, _ = _replayed(installation, spec, {name: wide.version}, looked)
    assert [entry.state for entry in entries] == [EntryState.REPLAY]
    assert quarantine.replays(name)
