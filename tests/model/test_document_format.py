"""A number is always written, what has none is of format 1, and what a newer release wrote is refused."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.ledger import Ledger
from dms_assets.local_dms.__main__ import main
from dms_assets.local_dms.store import Store
from dms_assets.model.document_format import DocumentFormatError, dump, load
from dms_assets.model.names import TableName

UNNUMBERED = Path(__file__).parents[1] / "upgrade" / "release_1" / "ledger"
PAYMENT = TableName("probation", "payment")


def test_a_number_is_written_and_one_that_is_missing_is_1() -> None:
    assert json.loads(dump({"a": 1}, 3)) == {"format": 3, "a": 1}
    assert load(dump({"a": 1}, 3), 3, "it") == {"a": 1}
    assert load(b'{"a": 1}', 3, "it") == {"a": 1}
    with pytest.raises(DocumentFormatError, match="it is of format 4, and this release reads formats up to 3; run"):
        load(dump({}, 4), 3, "it")


def test_rows_of_the_ledger_with_and_without_a_number(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    for path in UNNUMBERED.rglob("*.jsonl"):
        store.put(path.relative_to(UNNUMBERED).as_posix(), path.read_bytes())
    ledger = Ledger(store, "probation")
    before = ledger.rows()
    ledger.write_batch(PAYMENT, 1, [row for row in ledger.rows(PAYMENT) if row.batch == 1])
    key = "probation/probation/payment/batch-0000000001.jsonl"
    body, _ = store.get(key)
    assert {json.loads(line)["format"] for line in body.splitlines()} == {1}
    assert set(ledger.rows()) == set(before), "the same rows, in two forms"
    assert ledger.table().num_rows == len(before)
    with duckdb.connect() as connection:
        query = "select count(*), count(distinct key) from read_json(?)"
        assert connection.execute(query, [f"{tmp_path}/**/*.jsonl*"]).fetchone() == (7, len({r.key for r in before}))
    store.put("probation/probation/payment/batches-0000000001.jsonl.gz", gzip.compress(b'{"format": 2}\n'))
    with pytest.raises(DocumentFormatError, match=r"batches-0000000001\.jsonl\.gz is of format 2"):
        ledger.rows()


def _number(path: Path, number: int | None = None) -> int:
    with sqlite3.connect(path) as database:
        if number is not None:
            database.execute(f"pragma user_version = {number}")
        found: int = database.execute("pragma user_version").fetchone()[0]
    database.close()
    return found


def test_a_state_of_local_dms_without_a_number_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.put("task", "arn", "name", {"Status": "stopped"})
    store.close()
    assert _number(path) == 1
    assert _number(path, 0) == 0
    store = Store(path)
    assert store.get("arn") == {"Status": "stopped"}
    store.close()
    assert _number(path) == 1


def test_local_dms_does_not_start_on_the_state_of_a_newer_release(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    _number(path, 2)
    before = path.read_bytes()
    result = CliRunner().invoke(main, ["--state", str(tmp_path), "--buckets", str(tmp_path / "buckets")])
    assert result.exit_code == 1
    told = f"{path} is of format 2, and this release reads formats up to 1; run the release that wrote it, or a newer"
    assert told in result.output
    assert path.read_bytes() == before
