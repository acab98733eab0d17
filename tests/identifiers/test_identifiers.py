"""Names that hurt go through everything as names, or are refused with a reason."""

# ruff: noqa: RUF001 letters that look like others are what this is about

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dms_assets.model.names import folded
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.validation.worker_process import ValidationWorker
from tests.identifiers import names, oracle, running
from tests.identifiers.fuzz import fuzz, fuzzed_source
from tests.identifiers.schemas import Schema, Table, random_schema

pytestmark = pytest.mark.postgres
Source = tuple[EmbeddedPostgres, psycopg.Connection[Any]]
SEED, SCHEMAS = 4_000, 4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with fuzzed_source(tmp_path_factory.mktemp("identifiers")) as found:
        yield found


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running_worker:
        yield running_worker


def _schema(number: int, name: str, *columns: str) -> Schema:
    return Schema(number, name, (Table("person", columns, 1, tuple(f"About {{{{ {at} }}}}" for at in columns)),), ())


def test_hurting_names_all_the_way(source: Source, worker: ValidationWorker, tmp_path: Path) -> None:
    """Random ones; every name that our own code uses inside; and two schemas that differ in case only."""
    schemas = [random_schema(seed) for seed in range(SEED, SEED + SCHEMAS)]
    schemas += [_schema(1, "Twin", "id", *names.INTERNAL), _schema(2, "twin", "id", "other", *names.PATTERNS)]
    found = fuzz(*source, worker, tmp_path / "run", schemas)
    assert found.wrong == []
    assert found.counts["columns that need quotes"] > 40
    assert found.counts["tables that came out as they are"] > SCHEMAS


def test_values_under_another_column_would_be_noticed(
    source: Source, worker: ValidationWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = running._data

    def exchanged(*arguments: Any) -> dict[str, Any]:
        data = right(*arguments)
        return dict(zip(data, [*data.values()][::-1], strict=True))

    monkeypatch.setattr(running, "_data", exchanged)
    found = fuzz(*source, worker, tmp_path / "run", [_schema(3, "exchanged", "a", "b")])
    assert [line for line in found.wrong if "the source has" in line]


@pytest.mark.parametrize(
    ("one", "other"),
    [("name", "NAME"), ("é", "e\u0301"), ("É", "é"), ("ß", "SS"), ("ſ", "s"), ("ﬁ", "FI"), ("K", "k"), ("²", "2")],
)
def test_names_that_fold_to_one(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert oracle.form(one) == oracle.form(other)


@pytest.mark.parametrize(("one", "other"), [("a", "а"), ("a b", "a_b"), ("a", "a "), ("i", "ı"), ("ab", "a\u200bb")])
def test_names_that_only_look_alike_are_two(one: str, other: str) -> None:
    assert folded(one) != folded(other)
    assert oracle.form(one) != oracle.form(other)


def test_folding_is_what_the_oracle_says() -> None:
    """Of all pairs in the pools: the same spelling here exactly if there."""
    every = sorted({name for pool in names.POOLS for name in pool})
    pairs = [(one, other) for one in every for other in every]
    differing = [
        pair for pair in pairs if (folded(pair[0]) == folded(pair[1])) != (oracle.form(pair[0]) == oracle.form(pair[1]))
    ]
    assert differing == []
