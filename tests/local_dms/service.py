"""Local DMS as tests use it: a process, a boto3 client, a task from a schema to a bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3
import pyarrow.parquet as pq
from botocore.config import Config

from dms_assets.local_dms.postgres.source import SourceAddress

WAIT = {"Delay": 0.1, "MaxAttempts": 600}
ADDED = {"dms_change_seq": "$AR_H_CHANGE_SEQ", "dms_stream_position": "$AR_H_STREAM_POSITION"}


def mappings(schema: str = "app", *rules: dict[str, Any]) -> str:
    everything = {"schema-name": schema, "table-name": "%"}
    selection = {"rule-type": "selection", "rule-action": "include", "object-locator": everything}
    added = [
        {
            "rule-type": "transformation",
            "rule-target": "column",
            "rule-action": "add-column",
            "object-locator": everything,
            "value": name,
            "expression": expression,
        }
        for name, expression in ADDED.items()
    ]
    return json.dumps({"rules": [{**r, "rule-id": str(n)} for n, r in enumerate([selection, *added, *rules])]})


def until(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "the expected state did not come"
        time.sleep(0.02)
    return found


class Service:
    def __init__(self, home: Path, source: SourceAddress, failpoints: str = "") -> None:
        self.home = home
        self.source = source
        self.bucket = home / "buckets" / "landing"
        self.bucket.mkdir(parents=True, exist_ok=True)
        self._environment = {**os.environ, "DMS_ASSETS_FAILPOINTS": failpoints}
        self.process: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        folders = [
            "--state",
            f"{self.home}/state",
            "--buckets",
            f"{self.home}/buckets",
            "--secrets",
            f"{self.home}/secrets",
        ]
        return [sys.executable, "-m", "dms_assets.local_dms", *folders]

    def start(self) -> Self:
        log = (self.home / "log").open("a")
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
        )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.address = ready["address"]
        # The stubs ask for literals and typed dictionaries; botocore itself checks what is sent.
        self.client: Any = boto3.client(
            "dms",
            endpoint_url=self.address,
            region_name="eu-west-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"max_attempts": 1}),
        )
        return self

    def end(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)

    def killed(self) -> int:
        """Wait until a failpoint ended the process."""
        assert self.process is not None
        return self.process.wait(30)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.end()

    def instance(self, name: str) -> str:
        answer = self.client.create_replication_instance(
            ReplicationInstanceIdentifier=name, ReplicationInstanceClass="dms.t3.micro"
        )
        return answer["ReplicationInstance"]["ReplicationInstanceArn"]

    def endpoints(self, name: str, **s3: Any) -> tuple[str, str]:
        source = self.client.create_endpoint(
            EndpointIdentifier=f"{name}-source",
            EndpointType="source",
            EngineName="postgres",
            ServerName=self.source.host,
            Port=self.source.port,
            DatabaseName=self.source.database,
            Username=self.source.user,
            Password=self.source.password,
            PostgreSQLSettings={"MapBooleanAsBoolean": True},
            ExtraConnectionAttributes="MapUnboundedNumericAsString=true",
        )
        settings = {
            "BucketName": "landing",
            "BucketFolder": name,
            "DataFormat": "parquet",
            "TimestampColumnName": "dms_timestamp",
            "UseTaskStartTimeForFullLoadTimestamp": True,
            "CdcMaxBatchInterval": 1,
        }
        target = self.client.create_endpoint(
            EndpointIdentifier=f"{name}-target", EndpointType="target", EngineName="s3", S3Settings={**settings, **s3}
        )
        return source["Endpoint"]["EndpointArn"], target["Endpoint"]["EndpointArn"]

    def test_connection(self, instance: str, endpoint: str) -> None:
        self.client.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
        filters = [{"Name": "endpoint-arn", "Values": [endpoint]}]
        self.client.get_waiter("test_connection_succeeds").wait(Filters=filters, WaiterConfig=WAIT)

    def task(
        self,
        name: str,
        kind: str = "full-load-and-cdc",
        table_mappings: str | None = None,
        settings: dict[str, Any] | None = None,
        **s3: Any,
    ) -> str:
        instance = self.instance(name)
        source, target = self.endpoints(name, **s3)
        self.test_connection(instance, source)
        self.test_connection(instance, target)
        chosen = {"FullLoadSettings": {"TargetTablePrepMode": "DO_NOTHING"}} | (settings or {})
        task = self.client.create_replication_task(
            ReplicationTaskIdentifier=name,
            SourceEndpointArn=source,
            TargetEndpointArn=target,
            ReplicationInstanceArn=instance,
            MigrationType=kind,
            TableMappings=table_mappings or mappings(),
            ReplicationTaskSettings=json.dumps(chosen),
        )
        arn = task["ReplicationTask"]["ReplicationTaskArn"]
        self.wait(arn, "replication_task_ready")
        return arn

    def wait(self, arn: str, waiter: str) -> None:
        filters = [{"Name": "replication-task-arn", "Values": [arn]}]
        self.client.get_waiter(waiter).wait(Filters=filters, WaiterConfig=WAIT)

    def run(self, arn: str, start: str = "start-replication") -> None:
        """Start a task and wait until every table is loaded."""
        self.client.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType=start)
        self.wait(arn, "replication_task_running")
        self.loaded(arn)

    def loaded(self, arn: str) -> None:
        until(lambda: (t := self.statistics(arn)) and all(x["TableState"] == "Table completed" for x in t.values()))

    def reload(self, arn: str, *tables: str) -> None:
        """Ask for tables to be loaded again."""
        wanted: Any = [{"SchemaName": "app", "TableName": table} for table in tables]
        self.client.reload_tables(ReplicationTaskArn=arn, TablesToReload=wanted)

    def state(self, arn: str, table: str) -> str:
        """The state of a table, empty if the task does not have it yet."""
        return str(self.statistics(arn).get(table, {}).get("TableState", ""))

    def stop(self, arn: str) -> None:
        self.client.stop_replication_task(ReplicationTaskArn=arn)
        self.wait(arn, "replication_task_stopped")

    def describe(self, arn: str) -> dict[str, Any]:
        filters = [{"Name": "replication-task-arn", "Values": [arn]}]
        return self.client.describe_replication_tasks(Filters=filters)["ReplicationTasks"][0]

    def statistics(self, arn: str) -> dict[str, dict[str, Any]]:
        rows = self.client.describe_table_statistics(ReplicationTaskArn=arn)["TableStatistics"]
        return {row["TableName"]: row for row in rows}

    def files(self, name: str, table: str, kind: str = "") -> list[Path]:
        return sorted((self.bucket / name / "app" / table).glob(f"{kind}*.parquet"))

    def loads(self, name: str, table: str) -> list[dict[str, Any]]:
        return [row for path in self.files(name, table, "LOAD") for row in pq.read_table(path).to_pylist()]

    def changes(self, name: str, table: str) -> list[dict[str, Any]]:
        return [row for path in self.files(name, table, "2") for row in pq.read_table(path).to_pylist()]

    def events(self) -> list[str]:
        pages = self.client.get_paginator("describe_events").paginate()
        return [event["Message"] for page in pages for event in page["Events"]]


def folded(loads: list[dict[str, Any]], changes: list[dict[str, Any]], key: str = "id") -> dict[Any, dict[str, Any]]:
    """The state that load and changes describe: by sequence, each sequence once."""
    added = {*ADDED, "Op", "dms_timestamp"}
    state = {row[key]: {name: value for name, value in row.items() if name not in added} for row in loads}
    for row in sorted({row["dms_change_seq"]: row for row in changes}.values(), key=lambda r: r["dms_change_seq"]):
        if row["Op"] == "D":
            state.pop(row[key], None)
        else:
            state[row[key]] = {name: value for name, value in row.items() if name not in added}
    return state
