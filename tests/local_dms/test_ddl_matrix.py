"""No value under a wrong column, whatever is done to a table's definition, and whenever."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local_dms.ddl_matrix import run_matrix

pytestmark = [pytest.mark.postgres, pytest.mark.system]


def test_no_change_of_definition_puts_a_value_under_a_wrong_column(tmp_path: Path) -> None:
    found = run_matrix(tmp_path, quick=True, seed=1)
    assert not found.wrong, "\n".join(found.wrong)
    assert found.control == 1
    assert found.repaired == found.flagged > found.held > 0
    assert found.observed["tables held until metadata was read"] > 0
