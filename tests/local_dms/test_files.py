"""Files: names never twice, layout as set, S3 as a target."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from dms_assets.local_dms.attributes import parse_attributes
from dms_assets.local_dms.faults import RecoverableError, TaskError
from dms_assets.local_dms.files.layout import FileLayout
from dms_assets.local_dms.files.naming import ChangeNames
from dms_assets.local_dms.files.parquet_file import ParquetFile
from dms_assets.local_dms.files.s3_target import S3Target
from dms_assets.local_dms.files.target import FolderTarget
from dms_assets.model import failpoints
from tests.network.s3_faults import FaultyS3, S3Fault

SETTINGS = {"DataFormat": "parquet", "BucketName": "landing"}


def test_a_name_is_never_given_twice() -> None:
    at = datetime(2026, 11, 22, 8, 15, 23, 123_900, tzinfo=UTC)
    taken = {"p/20261122-081523125.parquet"}
    names = ChangeNames(lambda key: key in taken, lambda: at)
    assert [names.next("p/") for _ in range(3)] == [
        "p/20261122-081523123.parquet",
        "p/20261122-081523124.parquet",
        "p/20261122-081523126.parquet",
    ]
    assert names.next("q/") == "q/20261122-081523123.parquet"


@pytest.mark.parametrize(
    ("given", "codec", "version", "encoding"),
    [
        ({}, "UNCOMPRESSED", "1.0", "RLE_DICTIONARY"),
        ({"CompressionType": "GZIP", "ParquetVersion": "PARQUET_2_0"}, "GZIP", "2.6", "RLE_DICTIONARY"),
        ({"EncodingType": "plain", "RowGroupLength": 10}, "UNCOMPRESSED", "1.0", "PLAIN"),
    ],
)
def test_a_file_is_laid_out_as_the_endpoint_says(
    tmp_path: Path, given: dict[str, Any], codec: str, version: str, encoding: str
) -> None:
    layout = FileLayout.from_settings({**SETTINGS, **given})
    at = pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 25, pa.timestamp("us", tz="UTC"))
    batch = pa.record_batch({"text": pa.array(["a"] * 25), "at": at})
    file = ParquetFile(tmp_path, batch, layout)
    file.add(batch)
    read = pq.ParquetFile(file.close())
    column = read.metadata.row_group(0).column(0)
    assert (column.compression, read.metadata.format_version) == (codec, version)
    assert (encoding in column.encodings) or (encoding == "RLE_DICTIONARY" and "PLAIN_DICTIONARY" in column.encodings)
    assert read.metadata.num_row_groups == (3 if "RowGroupLength" in given else 1)
    assert read.schema_arrow.metadata is None
    assert read.schema_arrow.field("at").type == pa.timestamp("us", tz="UTC")


@pytest.mark.parametrize("name", ["CdcPath", "PreserveTransactions", "DatePartitionEnabled", "CdcInsertsOnly"])
def test_layouts_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(TaskError, match=name):
        FileLayout.from_settings({**SETTINGS, name: "x"})


def test_extra_attributes() -> None:
    found = parse_attributes("mapUnboundedNumericAsString=true; bucketFolder = a/b ;;")
    assert found == {"MapUnboundedNumericAsString": True, "BucketFolder": "a/b"}


def test_a_missing_bucket_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="Bucket landing does not exist"):
        FolderTarget(tmp_path, "landing", "x").check("folder")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_s3_as_a_target(s3: str, tmp_path: Path) -> None:
    target = S3Target(s3, "landing", tmp_path)
    with pytest.raises(TaskError, match="Bucket landing"):
        target.check("folder")
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="landing")
    target.check("folder")
    path = tmp_path / "part"
    path.write_bytes(b"data")
    target.publish([(path, "folder/s/t/LOAD00000001.parquet")])
    assert target.exists("folder/s/t/LOAD00000001.parquet")
    assert not target.exists("folder/s/t/LOAD00000001")
    assert not path.exists()
    target.delete_below("folder/s/t/")
    assert not target.exists("folder/s/t/LOAD00000001.parquet")


@pytest.mark.parametrize("call", ["check", "publish", "exists", "delete_below"])
def test_a_busy_bucket_is_tried_again_and_a_refusal_is_not(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1").create_bucket(Bucket="landing")
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    host, port = s3.removeprefix("http://").split(":")
    path = tmp_path / "part"
    with FaultyS3((host, int(port))) as faulty:
        target = S3Target(f"http://{faulty.address[0]}:{faulty.address[1]}", "landing", tmp_path)

        def act() -> None:
            path.write_bytes(b"data")
            arguments = {"publish": [[(path, "f/s/t/a.parquet")]], "check": ["f"]}.get(call, ["f/s/t/"])
            getattr(target, call)(*arguments)

        faulty.weather.next = [S3Fault.SLOW_DOWN, S3Fault.LOST, S3Fault.INTERNAL]
        act()
        assert not faulty.weather.next, "the faults took place, and were waited out"
        with faulty.planted({S3Fault.SLOW_DOWN: 1}), pytest.raises(RecoverableError, match="does not take requests"):
            act()
        with faulty.planted({S3Fault.DENIED: 1}), pytest.raises(TaskError, match=r"AccessDenied.*check its name"):
            act()
        for fault in (S3Fault.ABORTED, S3Fault.SLOW_CLIENT):
            faulty.weather.next = [fault] * 5
            with pytest.raises(RecoverableError, match=fault.value[1]):
                act()


def test_failpoints_are_known_by_name() -> None:
    assert failpoints.parse("local_dms.before_confirm=kill@3") == {"local_dms.before_confirm": ("kill", 3)}
    for wrong in ("nowhere=kill", "local_dms.before_confirm=stop", "local_dms.before_confirm=kill@0"):
        with pytest.raises(ValueError, match="DMS_ASSETS_FAILPOINTS"):
            failpoints.parse(wrong)
