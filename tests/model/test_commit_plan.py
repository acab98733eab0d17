"""The decisions of the commit protocol one by one; their interplay is searched in `test_commit_protocol_search`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dms_assets.model.commit_plan import (
    BATCH_ID,
    Base,
    CommitPlan,
    Outcome,
    commit_outcome,
    new_batch_id,
    plan_commit,
    plan_landing,
)
from dms_assets.model.commit_properties import (
    INLINE_BYTES,
    ManifestPointer,
    committed_files_json,
    loads_json,
    manifest_pointer_json,
    parse_committed_files,
    parse_loads,
    parse_manifest,
)
from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.load import Load
from dms_assets.model.names import TableName

A, A_AGAIN = FileIdentity("a", "1", "t1"), FileIdentity("a", "1", "t2")
B, C, D = (FileIdentity(name, "1", "t1") for name in "bcd")
EMPTY = Base(None, 0, frozenset(), ())
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def load(name: str) -> Load:
    return Load(name, TableName("app", "t"), 1, NOW, "", NOW, NOW, one_snapshot=True, rows=0, files=0)


def commit(base: Base, listing: list[FileIdentity], files: list[FileIdentity]) -> CommitPlan:
    return plan_commit(base, plan_landing(base, listing), files, [], batch_id=new_batch_id())


def test_a_rewritten_key_is_new_work_even_with_the_same_bytes() -> None:
    plan = plan_landing(Base(1, 1, frozenset({A, B}), ()), [A_AGAIN, B, C])
    assert (plan.done, plan.gone, plan.new) == ((B,), (A,), (A_AGAIN, C))


def test_what_is_in_quarantine_is_decided_unless_it_is_committed() -> None:
    plan = plan_landing(Base(1, 1, frozenset({A}), ()), [A, B, C], quarantined=[A, B, D])
    assert (plan.done, plan.void, plan.rejected, plan.new) == ((A,), (A,), (B, D), (C,))


def test_a_commit_remembers_the_done_files_that_are_listed_and_its_own() -> None:
    plan = commit(Base(7, 3, frozenset({A, B}), ()), [B, C, D], [D])
    assert plan.base_snapshot_id == 7
    assert plan.batch == 4
    assert plan.files == (D,)
    assert plan.committed == {B, D}
    assert plan.summary["dms-assets.batch"] == "4"


def test_loads_are_added_and_an_empty_one_is_a_batch_of_its_own() -> None:
    base = Base(7, 3, frozenset(), (load("1"),))
    plan = plan_commit(base, plan_landing(base, []), [], [load("2")], batch_id="x")
    assert [each.load_id for each in plan.loads] == ["1", "2"]
    assert plan.files == ()


def test_impossible_commits_are_refused() -> None:
    base = Base(7, 3, frozenset({A}), (load("1"),))
    with pytest.raises(ValueError, match="without files and loads"):
        commit(base, [A, B], [])
    with pytest.raises(ValueError, match="a is not pending work"):
        commit(base, [A, B], [A])
    with pytest.raises(ValueError, match="c is not pending work"):
        commit(base, [A, B], [C])
    with pytest.raises(ValueError, match="load 1 is committed already"):
        plan_commit(base, plan_landing(base, []), [], [load("1")], batch_id="x")


def test_two_attempts_at_the_same_batch_have_different_names() -> None:
    base = Base(7, 3, frozenset(), ())
    assert commit(base, [A], [A]).batch_id != commit(base, [A], [A]).batch_id


@pytest.mark.parametrize(
    ("snapshots", "outcome"),
    [
        ([(7, "")], Outcome.UNDECIDED),
        ([(8, "mine"), (7, "")], Outcome.COMMITTED),
        ([(9, "x"), (8, "mine"), (7, "")], Outcome.COMMITTED),
        ([(9, "x"), (7, "")], Outcome.REFUSED),
        ([(9, "x"), (7, ""), (6, "mine")], Outcome.REFUSED),
        ([(12, "x"), (11, "y")], Outcome.UNDECIDED),
        ([(12, "x"), (11, "mine")], Outcome.COMMITTED),
    ],
)
def test_the_outcome_of_an_unknown_commit(snapshots: list[tuple[int, str]], outcome: Outcome) -> None:
    plan = commit(Base(7, 3, frozenset(), ()), [A], [A])
    seen = [(number, {BATCH_ID: plan.batch_id if name == "mine" else name}) for number, name in snapshots]
    assert commit_outcome(plan, seen) is outcome


def test_a_refusal_stands_unless_the_table_shows_the_batch_or_cannot_tell() -> None:
    plan = commit(Base(7, 3, frozenset(), ()), [A], [A])
    mine = {BATCH_ID: plan.batch_id}
    assert commit_outcome(plan, [(8, mine), (7, {})], refused=True) is Outcome.COMMITTED
    assert commit_outcome(plan, [(9, {}), (7, {})], refused=True) is Outcome.REFUSED
    assert commit_outcome(plan, [(7, {})], refused=True) is Outcome.REFUSED, "only properties changed"
    assert commit_outcome(plan, [(12, {}), (11, {})], refused=True) is Outcome.UNDECIDED, "the base has expired"
    assert commit_outcome(commit(EMPTY, [A], [A]), [], refused=True) is Outcome.REFUSED


def test_the_outcome_of_a_first_commit() -> None:
    plan = commit(EMPTY, [A], [A])
    assert commit_outcome(plan, []) is Outcome.UNDECIDED
    assert commit_outcome(plan, [(1, {})]) is Outcome.REFUSED
    assert commit_outcome(plan, [(2, {}), (1, {BATCH_ID: plan.batch_id})]) is Outcome.COMMITTED


def test_properties_are_read_as_they_were_written() -> None:
    assert parse_committed_files(committed_files_json([B, A])) == {A, B}
    assert parse_loads(loads_json([load("1"), load("2")])) == (load("1"), load("2"))


def test_a_long_list_is_a_manifest_that_must_be_the_one_named() -> None:
    files = [FileIdentity(f"app/t/{number}.parquet", "e" * 32, "2026-01-01") for number in range(1000)]
    body = committed_files_json(files).encode()
    assert len(body) > INLINE_BYTES
    pointer = parse_committed_files(manifest_pointer_json("s3://bucket/m.json", body))
    assert isinstance(pointer, ManifestPointer)
    assert parse_manifest(pointer, body) == set(files)
    with pytest.raises(ValueError, match="is not the one the table names"):
        parse_manifest(pointer, body + b" ")


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="is not of format 1"):
        parse_committed_files('{"v":2,"files":[]}')
    with pytest.raises(ValueError, match="is not of format 1"):
        parse_loads('{"v":2,"loads":[]}')
