"""What the alert sensor reads from a real Dagster instance and the stores: each cause once, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from dms_assets.dms.task_reader import task_identifier
from dms_assets.environment import Environment
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.quarantine import EntryState, Quarantine, Report
from dms_assets.lake.task_memory import StreamStore
from dms_assets.model.landed_file import FileIdentity, FileKind
from dms_assets.model.task_state import TaskState
from dms_assets.model.watermark import LogReading, Note
from dms_assets.pipeline.alerting import checks as alert_checks
from dms_assets.pipeline.alerting import runs as alert_runs
from dms_assets.pipeline.checks.freshness import FRESH_CHECK
from dms_assets.pipeline.checks.hold import LOAD_CHECK, QUARANTINE_CHECK
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore
from dms_assets.pipeline.sensors.dms import CAPTURE_CHECK, Trouble
from dms_assets.validation.outcome import Reason
from tests.pipeline.alert_world import LANDING, MART, VALIDATED, T, U, World

CALM = timedelta(minutes=3)
MART_NAME = "team_x/derived/mart"
RUNNING: dict[str, Any] = {"task status": "running"}
MISSING: dict[str, Any] = {"task status": "missing"}
FAILED: dict[str, Any] = {"task status": "failed"}


@pytest.fixture(params=["memory", "sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """On both storages: they read check evaluations in different ways."""
    memory = request.param == "memory"
    with dg.DagsterInstance.ephemeral() if memory else dg.DagsterInstance.local_temp() as instance:
        yield World(instance, Environment(home=tmp_path / "home"))


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(instance, Environment(home=tmp_path / "home"))


def test_a_failed_run_is_told_once_until_its_assets_are_made(world: World) -> None:
    world.faults.mart = True
    for _ in range(3):
        assert not world.run([MART]).success
    assert world.look() == [("new", "team_x_derived")]
    assert world.open() == {"team_x_derived": 3}
    (episode,) = world.state.open()
    assert "(BrokenError): team_x/derived/mart" in episode.cause.summary
    assert episode.cause.link.startswith("/runs/")
    assert world.look() == []
    world.run([VALIDATED[T]])
    assert world.look() == []
    assert world.open(), "a run of something else ends nothing"
    world.faults.mart = False
    world.run([MART])
    assert world.look() == []
    assert world.look(CALM) == [("over", "team_x_derived")]


def test_only_the_tables_that_failed_are_awaited(quick: World) -> None:
    quick.faults.tables = {T}
    assert not quick.run([VALIDATED[T], VALIDATED[U]]).success
    assert quick.look() == [("new", "src_validated")]
    (episode,) = quick.state.open()
    assert episode.awaits == {"src/validated/s/t"}
    assert episode.cause.owner == "team:src"
    quick.faults.tables = {U}
    assert not quick.run([VALIDATED[T], VALIDATED[U]]).success
    quick.look()
    (episode,) = quick.state.open()
    assert episode.awaits == {"src/validated/s/u"}, "the failed run made the other"
    quick.faults.tables = set()
    quick.run([VALIDATED[U]])
    assert quick.look(CALM) == []
    assert quick.look(CALM) == [("over", "src_validated")]


def test_a_failed_job_is_over_when_it_succeeds(quick: World) -> None:
    quick.faults.job = True
    quick.run_job()
    assert quick.look() == [("new", "reload")]
    quick.faults.job = False
    quick.run_job()
    quick.look()
    assert quick.look(CALM) == [("over", "reload")]


def test_a_run_that_is_or_was_tried_again_says_nothing(quick: World) -> None:
    quick.faults.mart = True
    quick.run([MART], {"dagster/will_retry": "true"})
    first = quick.run([MART])
    quick.faults.mart = False
    repeated = {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    job = quick.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={MART})
    run = quick.instance.create_run_for_job(
        job, tags=repeated, parent_run_id=first.run_id, root_run_id=first.run_id, asset_selection=frozenset({MART})
    )
    assert execute_run(InMemoryJob(job), run, quick.instance).success
    assert quick.look() == []
    assert quick.look(CALM) == []
    assert not quick.state.episodes


def test_failed_checks_are_told_also_when_they_block_nothing_or_had_no_run(world: World) -> None:
    world.look()
    world.faults.check = True
    assert world.run([MART]).success, "a check that blocks nothing leaves the run green"
    world.evaluate(VALIDATED[T], LOAD_CHECK, passed=False)
    assert sorted(world.look()) == [("new", f"src/validated/s/t:{LOAD_CHECK}"), ("new", f"{MART_NAME}:sane")]
    summaries = {e.cause.subject: e.cause.summary for e in world.state.open()}
    assert "failing rows 3" in summaries[f"{MART_NAME}:sane"]
    owners = {e.cause.subject: e.cause.owner for e in world.state.open()}
    assert owners == {f"{MART_NAME}:sane": "team:analysts", f"src/validated/s/t:{LOAD_CHECK}": "team:src"}
    world.faults.check = False
    world.run([MART])
    world.evaluate(VALIDATED[T], LOAD_CHECK, passed=True)
    world.evaluate(VALIDATED[U], LOAD_CHECK, passed=True)
    assert world.look() == []
    assert sorted(news for news, _ in world.look(CALM)) == ["over", "over"]


def test_a_check_that_fails_again_is_counted(world: World) -> None:
    for _ in range(3):
        world.evaluate(MART, "sane", passed=False)
        world.look()
    assert world.look() == []
    assert world.open() == {f"{MART_NAME}:sane": 3}


def test_rejected_files_are_told_as_quarantine_and_not_by_every_rule(quick: World) -> None:
    quick.evaluate(VALIDATED[T], QUARANTINE_CHECK, passed=False)
    quick.evaluate(VALIDATED[T], "schema", passed=False, severity=dg.AssetCheckSeverity.WARN)
    assert quick.look() == []
    quarantine = Quarantine(quick.installation.quarantine, "src")
    landing = quick.installation.landing
    entries = []
    for n in range(2):
        meta = landing.put(f"src/s/t/2026010{n + 1}-000000000.parquet", b"x")
        report = Report(
            meta.identity, 1, "src", T, FileKind.CDC, Reason.UNREADABLE, (), datetime.now(UTC), None, rows=0
        )
        entries.append(quarantine.put(report, landing, meta.key, meta.etag))
    assert quick.look() == [("new", "s.t")]
    (episode,) = quick.state.open()
    assert "2 files of s.t wait in quarantine" in episode.cause.summary
    assert episode.cause.link == "/platform/quarantine/src"
    assert quick.look(timedelta(hours=25)) == [("worse", "s.t")]
    decided = [quarantine.decide(entry, EntryState.REPLAY, "mended", "me", quick.now) for entry in entries]
    quarantine.finish(decided[0], quick.now)
    quick.look()
    (episode,) = quick.state.open()
    assert "1 replays of s.t are decided and not done" in episode.cause.summary
    quarantine.finish(decided[1], quick.now)
    quick.look()
    assert ("over", "s.t") in quick.look(CALM)


def test_a_stopped_task_is_one_cause_and_a_suspended_table_another(quick: World) -> None:
    quick.look()

    def captured(trouble: Trouble | None, status: str, *names: object) -> None:
        for name in names:
            told: dict[str, Any] = {"trouble": trouble.value, "remedy": "x"} if trouble else {}
            told["task status"] = status
            quick.evaluate(LANDING[name], CAPTURE_CHECK, passed=trouble is None, **told)  # type: ignore[index]

    task = task_identifier("src")
    captured(Trouble.TASK_NOT_RUNNING, "stopped", T, U)
    assert quick.look() == [("new", task)]
    assert quick.open() == {task: 1}
    captured(Trouble.TASK_FAILED, "failed", T, U)
    assert quick.look() == [("worse", task)]
    captured(None, "running", T)
    captured(Trouble.TABLE_SUSPENDED, "running", U)
    assert quick.look() == [("new", "s.u")]
    assert quick.look(CALM) == [("over", task)]
    captured(None, "running", U)
    assert quick.look() + quick.look(CALM) == [("over", "s.u")]


def test_stale_tables_are_one_cause_a_layer(world: World) -> None:
    world.look()
    warn = dg.AssetCheckSeverity.WARN
    for key in (*LANDING.values(), *VALIDATED.values()):
        world.evaluate(key, FRESH_CHECK, passed=False, severity=warn)
    assert world.look() == [("new", "validated")], "landing is told as lag"
    world.evaluate(VALIDATED[T], FRESH_CHECK, passed=True, severity=warn)
    world.look(timedelta(minutes=31))
    assert world.open() == {"validated": 1}
    world.evaluate(VALIDATED[U], FRESH_CHECK, passed=True, severity=warn)
    assert world.look() + world.look(CALM) == [("over", "validated")]


def test_an_evaluation_of_an_earlier_release_is_a_check_like_any(quick: World) -> None:
    quick.evaluate(LANDING[T], CAPTURE_CHECK, passed=False, remedy="start it")
    assert quick.look() == [("new", f"src/landing/s/t:{CAPTURE_CHECK}")]
    quick.evaluate(LANDING[T], CAPTURE_CHECK, passed=True, **RUNNING)
    assert quick.look() + quick.look(CALM) == [("over", f"src/landing/s/t:{CAPTURE_CHECK}")]


def test_a_task_that_is_being_set_up_is_given_time_and_one_that_vanished_is_not(quick: World) -> None:
    def missing() -> None:
        quick.evaluate(LANDING[T], CAPTURE_CHECK, passed=False, trouble=Trouble.TASK_MISSING.value, **MISSING)

    missing()
    assert quick.look() == []
    assert quick.look(timedelta(minutes=11)) == [("new", task_identifier("src"))]
    StreamStore(quick.installation.state, "src").register(TaskState("arn", "x", "running", quick.now))
    missing()
    assert quick.look() == [("worse", task_identifier("src"))]


def test_lag_is_told_beyond_the_declared_freshness_and_not_twice_for_a_stopped_task(quick: World) -> None:
    state = quick.installation.state
    StreamStore(state, "src").register(TaskState("arn", "x", "running", quick.now))
    assert quick.look() == []
    reading = LogReading(Note(quick.now, 10), "slot", 10)
    WatermarkStore(state, "src").advance(1, reading, landed_by=quick.now)
    assert quick.look(timedelta(minutes=50)) == []
    assert quick.look(timedelta(minutes=15)) == [("new", "watermark")]
    quick.evaluate(LANDING[T], CAPTURE_CHECK, passed=False, trouble=Trouble.TASK_FAILED.value, **FAILED)
    assert quick.look() == [("new", task_identifier("src"))]
    assert quick.look(CALM) == [("over", "watermark")]


def test_after_a_long_outage_the_present_state_is_read_and_not_all_that_led_to_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.look()
    monkeypatch.setattr(alert_checks, "PAGE", 5)
    monkeypatch.setattr(alert_checks, "MAX_PAGES", 2)
    for n in range(12):
        world.evaluate(MART, "sane", passed=n % 2 == 0)
        world.evaluate(VALIDATED[T], LOAD_CHECK, passed=n % 2 == 1)
    assert world.look() == [("new", f"{MART_NAME}:sane")]
    assert world.open() == {f"{MART_NAME}:sane": 1}
    world.evaluate(MART, "sane", passed=True)
    world.look()
    assert world.look(CALM) == [("over", f"{MART_NAME}:sane")]


def test_evaluations_are_read_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.look()
    monkeypatch.setattr(alert_checks, "PAGE", 4)
    for _ in range(11):
        world.evaluate(MART, "sane", passed=False)
    world.look()
    assert world.open() == {f"{MART_NAME}:sane": 11}


def test_runs_are_read_page_by_page_and_told_when_all_are_read(quick: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # The runs of a test are too close to each other for it.
    monkeypatch.setattr(alert_runs, "OVERLAP", timedelta(0))
    monkeypatch.setattr(alert_runs, "PAGE", 3)
    monkeypatch.setattr(alert_runs, "MAX_PAGES", 2)
    quick.faults.mart = True
    for _ in range(9):
        quick.run([MART])
    looks = [quick.look() for _ in range(4)]
    assert [told for told in looks if told] == [[("new", "team_x_derived")]]
    assert looks[0] == []
    assert quick.open() == {"team_x_derived": 9}


def test_a_run_that_is_tagged_later_is_not_told_again(quick: World) -> None:
    quick.faults.mart = True
    failed = quick.run([MART])
    quick.look()
    quick.faults.mart = False
    quick.run([MART])
    quick.look()
    quick.instance.add_run_tags(failed.run_id, {"seen": "yes"})
    quick.look()
    assert not quick.open()


def test_what_is_not_declared_any_more_is_over(quick: World) -> None:
    quick.evaluate(MART, "sane", passed=False)
    assert quick.look() == [("new", f"{MART_NAME}:sane")]
    quick.define(with_mart_check=False)
    quick.look()
    assert quick.look(CALM) == [("over", f"{MART_NAME}:sane")]


def test_a_new_instance_begins_anew(quick: World) -> None:
    for _ in range(3):
        quick.evaluate(MART, "sane", passed=False)
    quick.look()
    with dg.DagsterInstance.ephemeral() as other:
        quick.instance = other
        quick.evaluate(VALIDATED[T], LOAD_CHECK, passed=False)
        assert quick.look() == [("new", f"src/validated/s/t:{LOAD_CHECK}")]
        assert quick.look(CALM) == [("over", f"{MART_NAME}:sane")]


def test_a_planned_evaluation_hides_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts begin while a run is under way: what its checks said before counts."""
    world.evaluate(MART, "sane", passed=False)
    job = world.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={MART})
    world.instance.create_run_for_job(job, asset_selection=frozenset({MART}))
    assert world.look() == [("new", f"{MART_NAME}:sane")]


def test_one_reader_that_fails_silences_no_other(quick: World) -> None:
    store = FolderStore(quick.environment.state_dir)
    store.put("watermarks/src.json", b"not json")
    quick.evaluate(MART, "sane", passed=False)
    assert sorted(quick.look()) == [("new", "lag"), ("new", f"{MART_NAME}:sane")]
    meta = store.head("watermarks/src.json")
    store.delete("watermarks/src.json", if_match=meta.etag)
    quick.look()
    assert quick.look(CALM) == [("over", "lag")]


def test_a_landed_file_identity_is_not_told(quick: World) -> None:
    """Names of landed objects are anybody's: a report counts them."""
    landing, name = quick.installation.landing, "s/t/20260101-000000000.parquet"
    meta = landing.put(f"src/{name}", b"x")
    report = Report(
        FileIdentity(meta.key, meta.etag, "2026-01-01T00:00:00.000000+00:00"),
        1, "src", T, FileKind.CDC, Reason.UNREADABLE, (), datetime.now(UTC), None, rows=0,
    )  # fmt: skip
    Quarantine(quick.installation.quarantine, "src").put(report, landing, meta.key, meta.etag)
    quick.look()
    assert quick.sink.digests
    assert "parquet" not in "".join(digest.text() for digest in quick.sink.digests)
