"""Every type of the server keeps its values, in loads and in changes, as far as validated Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.local_dms.service import Service
from tests.local_dms.type_matrix import missing_base_types, run_matrix

pytestmark = pytest.mark.postgres


def test_every_type_keeps_its_values(shared: Service, source: psycopg.Connection[Any], tmp_path: Path) -> None:
    assert not missing_base_types(source)
    matrix = run_matrix(shared, source, tmp_path, "every-type")
    assert not matrix.wrong, "\n".join(matrix.wrong)
    assert matrix.control == ["smallint by insert: '-32768', not '0'"]
