"""No value under a wrong column, whatever is done to a table's definition, and whenever."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.local_dms.ddl_matrix import run_matrix
from tests.local_dms.service import Service

pytestmark = pytest.mark.postgres


def test_no_change_of_definition_puts_a_value_under_a_wrong_column(
    shared: Service, source: psycopg.Connection[Any]
) -> None:
    found = run_matrix(shared, source, "definitions")
    assert not found.wrong, "\n".join(found.wrong)
    assert found.control == 1
    assert found.observed["repaired by a reload"] == found.diverged > 0
