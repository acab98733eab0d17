from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.iceberg import local_catalog
from dms_assets.lake.object_store import ObjectStore
from dms_assets.lake.s3_store import S3Store
from dms_assets.lake.stores import LakeStores
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.copy_condition import honour_copy_condition
from tests.lake.world import World, folder_world


@pytest.fixture(scope="session")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, worker: ValidationWorker) -> World:
    return folder_world(tmp_path, worker)


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="eu-west-2",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    honour_copy_condition(client)
    yield client
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store_maker(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Makes empty stores of one kind by name."""
    if request.param == "folder":
        return lambda name: FolderStore(tmp_path / name)
    client = request.getfixturevalue("s3")
    prefix = tmp_path.name.replace("_", "-").lower()

    def make(name: str) -> S3Store:
        bucket = f"{name}-{prefix}"[:60].strip("-")
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        return S3Store(client, bucket, "some/prefix")

    return make


@pytest.fixture
def store(store_maker: Any) -> ObjectStore:
    made: ObjectStore = store_maker("store")
    return made


@pytest.fixture
def any_world(store_maker: Any, tmp_path: Path, worker: ValidationWorker) -> World:
    """A world whose landing, archive, quarantine and ledger are folders, or buckets."""
    names = ("landing", "archive", "quarantine", "ledger")
    landing, archive, quarantine, ledger = (store_maker(name) for name in names)
    lake = tmp_path / "lake"
    stores = LakeStores(landing, archive, quarantine, ledger, local_catalog(lake), lake / "scratch")
    return World(tmp_path, landing, stores, worker)
