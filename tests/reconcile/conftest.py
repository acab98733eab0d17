from __future__ import annotations

from collections.abc import Iterator

import pytest

from dms_assets.sample.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("reconcile") / "postgres") as server:
        yield server
