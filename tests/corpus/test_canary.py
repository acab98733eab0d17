"""Personal values planted in rows that break each rule appear nowhere but in the rejected file itself."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pyarrow as pa
import pytest

from dms_assets.lake.quarantine_causes import read_causes
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.model.names import Layer
from dms_assets.pipeline.checks.rules import rule_check_result
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.validated_assets import about_batch
from dms_assets.validation.outcome import Group
from dms_assets.validation.worker_process import ValidationWorker
from tests.corpus.making import good, written
from tests.lake.conftest import worker
from tests.lake.world import World, cdc_table, folder_world, load_table, parquet, rows, source_spec

__all__ = ["worker"]
CANARY = "Persephone"
NUMBER = 73_114_277
"""A name (ten letters: it breaks no length) and a number that nothing else is likely to hold."""
_SEQ = "2026010100000000" + "0" * 11


def _with(column: str, values: pa.Array) -> bytes:
    """Three rows that hold the canary in name, key and amount, and break a rule in one column."""
    data = rows(3, name=pa.array([CANARY] * 3))
    data["id"] = pa.array([NUMBER, NUMBER + 1, NUMBER + 2], pa.int32())
    data["amount"] = pa.array([NUMBER] * 3, pa.decimal128(10, 2))
    table = cdc_table(data)
    return parquet(table.set_column(table.schema.get_field_index(column), column, values))


def _text(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def _wide() -> pa.Array:
    wide = pa.array([NUMBER * 10_000] * 3, pa.int64()).cast(pa.decimal128(19, 0)).cast(pa.decimal128(38, 0))
    return pa.Array.from_buffers(pa.decimal128(10, 2), 3, wide.buffers())


def _damaged() -> bytes:
    """Text that is no UTF-8 behind the canary: readers like to quote what they cannot read."""
    names = pa.array([f"{CANARY}\xff".encode("latin-1")] * 3, pa.binary()).view(pa.string())
    table = good(3)
    return written(table.set_column(table.schema.get_field_index("name"), "name", names))


PLANTED: dict[Group, bytes] = {
    Group.READABLE: _damaged(),
    Group.SCHEMA: _with("amount", pa.array([NUMBER] * 3)),
    Group.OP: _with("Op", _text("I", CANARY, "I")),
    Group.SEQUENCE: _with("dms_timestamp", _text(*[f"{CANARY} {NUMBER}"] * 3)),
    Group.ORDER: _with("dms_change_seq", _text(*[f"{_SEQ}{NUMBER}"] * 3)),
    Group.KEY: _with("id", pa.array([NUMBER, None, NUMBER], pa.int32())),
    Group.NULLABILITY: _with("status", _text("OPEN", None, "OPEN")),
    Group.LENGTH: _with("name", _text(f"{CANARY} {NUMBER}", CANARY, CANARY)),
    Group.PRECISION: _with("amount", _wide()),
    Group.DOMAIN: _with("status", _text(CANARY, "OPEN", "OPEN")),
    Group.DECLARED: _with("amount", pa.array([-NUMBER] * 3, pa.decimal128(10, 2))),
}


def told(
    world: World, outcome: TableOutcome, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> str:
    """Everything that is said of what happened: verdicts, reports, causes, checks, logs, output, ledger."""
    key = table_key("shop", Layer.VALIDATED, world.name)
    checks = [rule_check_result("shop", key, group, outcome.checks.get(group)) for group in Group]
    parts = [repr(outcome), caplog.text, *capfd.readouterr()]
    parts += [repr({name: value.value for name, value in check.metadata.items()}) for check in checks]
    parts += [repr(about_batch("shop", outcome)), repr(world.ledger_rows())]
    for entry in world.quarantine.entries():
        report = world.quarantine.report(entry)
        parts += [json.dumps(report.to_json()), report.text()]
    parts += [json.dumps(cause.to_json()) for cause in read_causes(world.quarantine)]
    for path in world.home.rglob("*"):
        if path.is_file() and path.name != "file" and path.suffix in {".json", ".txt", ".jsonl", ".log"}:
            parts.append(path.read_text(errors="replace"))
    return "\n".join(parts)


@pytest.mark.parametrize("group", PLANTED)
def test_a_canary_is_nowhere_but_in_the_file(
    group: Group,
    tmp_path: Path,
    worker: ValidationWorker,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    world = folder_world(tmp_path, worker, spec=source_spec(ordered_files=True))
    world.loaded(0)
    world.land("20260101-000000001.parquet", PLANTED[group])
    outcome = world.ingest()
    # It is there, it is rejected for what it breaks, and something is told of it.
    assert not outcome.checks[group].passed
    (entry,) = world.quarantine.entries()
    assert entry.file is not None
    assert world.stores.quarantine.get(entry.file.key)[0] == PLANTED[group]
    everything = told(world, outcome, caplog, capfd)
    assert "shop/app/person/20260101-000000001.parquet" in everything
    for value in (CANARY, CANARY.lower(), str(NUMBER), f"{NUMBER:,}"):
        assert value not in everything


def test_a_canary_of_a_load_with_a_key_twice_is_nowhere(
    tmp_path: Path,
    worker: ValidationWorker,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    world = folder_world(tmp_path, worker)
    twice = rows(2, name=pa.array([CANARY] * 2), id=pa.array([NUMBER] * 2, pa.int32()))
    world.land_load(load_table(twice))
    world.loaded(2)
    outcome = world.ingest()
    assert not outcome.checks[Group.UNIQUE].passed
    everything = told(world, outcome, caplog, capfd)
    assert CANARY not in everything
    assert str(NUMBER) not in everything


def test_a_canary_in_the_name_of_a_column_is_shown_as_text_only(tmp_path: Path, worker: ValidationWorker) -> None:
    """A column's name is no value, and an operator needs it; it is bounded, and holds nothing that acts."""
    world = folder_world(tmp_path, worker)
    world.loaded(0)
    name = "<script>alert(1)</script>\x1b[31m" + "n" * 500
    world.land("20260101-000000001.parquet", parquet(good().append_column(name, _text(*["x"] * 50))))
    (failed,) = world.ingest().checks[Group.SCHEMA].failed
    (rule,) = failed.outcome.broken
    assert "\x1b" not in rule.column
    assert len(rule.column) < 200
