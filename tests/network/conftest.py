from __future__ import annotations

from collections.abc import Iterator

import pytest

from dms_assets.sample.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield server
