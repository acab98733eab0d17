"""Every type of the server keeps its values, in loads and in changes, as far as curated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local_dms.type_matrix import run_matrix

pytestmark = [pytest.mark.postgres, pytest.mark.system]


def test_every_type_keeps_its_values(tmp_path: Path) -> None:
    matrix = run_matrix(tmp_path)
    assert not matrix.missing
    assert not matrix.wrong, "\n".join(matrix.wrong)
    assert matrix.control == ["smallint by insert: '-32768', not '0'"]
    assert matrix.reconciled_control == ["different (id=1000): c1"]
    assert matrix.written > 0
