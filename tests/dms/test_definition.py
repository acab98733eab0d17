"""In what a task that DMS has differs from its declaration: told in words, DMS's own additions and spellings aside."""

from __future__ import annotations

import json
from typing import Any

from dms_assets.dms.definition import MIGRATION_TYPE, Wanted

SOURCE = {"EngineName": "postgres", "Password": "p", "ExtraConnectionAttributes": "A=true;B=1"}
TARGET = {"EngineName": "s3", "S3Settings": {"ParquetVersion": "parquet-2-0", "EnableStatistics": True}}
MAPPINGS = {
    "rules": [
        {"rule-id": "1", "rule-action": "explicit", "object-locator": {"schema-name": "app", "table-name": "t"}},
    ]
}
WANTED = Wanted(SOURCE, TARGET, MAPPINGS, {"TargetMetadata": {"LobMaxSize": 64}})


def _task(mappings: Any = MAPPINGS, lob: int = 64, kind: str = MIGRATION_TYPE) -> dict[str, Any]:
    settings = {"TargetMetadata": {"LobMaxSize": lob, "SupportLobs": True}, "Logging": {"EnableLogging": False}}
    texts = {"TableMappings": json.dumps(mappings), "ReplicationTaskSettings": json.dumps(settings)}
    return {**texts, "MigrationType": kind}


def test_what_dms_adds_or_spells_otherwise_is_no_difference() -> None:
    source = {"EngineName": "Postgres", "ExtraConnectionAttributes": "b=1;a=true;PluginName=x", "Port": 5432}
    target = {"EngineName": "S3", "S3Settings": {"ParquetVersion": "PARQUET_2_0", "EnableStatistics": True}}
    renumbered = {"rules": [{**MAPPINGS["rules"][0], "rule-id": "77"}]}
    assert WANTED.differences(source, target, _task(renumbered)) == []


def test_every_difference_is_told() -> None:
    other = {"rules": [{"rule-action": "explicit", "object-locator": {"schema-name": "app", "table-name": "u"}}]}
    found = WANTED.differences(
        {"EngineName": "postgres", "ExtraConnectionAttributes": "A=true"}, {"EngineName": "s3"}, _task(other, 32, "cdc")
    )
    assert found == [
        "source endpoint ExtraConnectionAttributes: without b=1",
        "target endpoint S3Settings.ParquetVersion: not set, should be parquet-2-0",
        "target endpoint S3Settings.EnableStatistics: not set, should be True",
        "table mappings without explicit app.t",
        "table mappings with explicit app.u",
        "TargetMetadata.LobMaxSize: 32, should be 64",
        "MigrationType: cdc, should be full-load-and-cdc",
    ]
