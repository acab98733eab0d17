"""Sensors that fail, hang or are off, and daemon threads without heartbeat, as a real instance's storage tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from dms_assets.alerts.cause import Kind
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.store import AlertStore
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.pipeline.alerting.reading import Look
from dms_assets.pipeline.alerting.sensor import look_and_tell
from tests.alerts.causes import ListSink
from tests.pipeline.alert_world import SECRET, SPEC, Faults, definitions

MINUTE = timedelta(minutes=1)
NAME = "src_landing_sensor"
LANDING = f"sensor {NAME}"


@dataclass
class Watch:
    """A look a minute, with a daemon whose threads all live unless told otherwise."""

    instance: dg.DagsterInstance
    home: Path
    now: datetime = datetime(2026, 1, 2, tzinfo=UTC)
    silent: set[str] = field(default_factory=set)
    sink: ListSink = field(default_factory=ListSink)

    def __post_init__(self) -> None:
        self.repository = definitions(Faults()).get_repository_def()
        location = GrpcServerCodeLocationOrigin("localhost", 1, location_name="dms_assets")
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), NAME)
        self.sensor = InstigatorState(
            origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData()
        )

    def start(self) -> None:
        self.instance.add_instigator_state(self.sensor)

    def tick(self, error: Exception | None = None) -> None:
        info = None
        if error is not None:
            own = SerializableErrorInfo(str(error), [], type(error).__name__)
            info = SerializableErrorInfo("wrapped by Dagster", [], "SensorExecutionError", cause=own)
        self.instance.create_tick(
            TickData(
                self.sensor.instigator_origin_id,
                NAME,
                InstigatorType.SENSOR,
                TickStatus.FAILURE if error else TickStatus.SKIPPED,
                self.now.timestamp(),
                error=info,
                selector_id=self.sensor.selector_id,
            )
        )

    def look(self, wait: timedelta = MINUTE) -> list[tuple[str, str]]:
        self.now += wait
        for thread in set(self.instance.get_required_daemon_types()) - self.silent:
            self.instance.add_daemon_heartbeat(DaemonHeartbeat(self.now.timestamp(), thread, None))
        installation = Installation(Environment(home=self.home))
        before = len(self.sink.told)
        look_and_tell(Look(self.instance, installation, self.repository, {"src": SPEC}, self.now), [self.sink], Pace())
        return self.sink.told[before:]

    def told(self, minutes: int, error: Exception | None = None, *, ticking: bool = True) -> list[tuple[str, str]]:
        """Everything told in so many minutes, each with a tick of the sensor."""
        found = []
        for _ in range(minutes):
            if ticking:
                self.tick(error)
            found += self.look()
        return found

    def summary(self) -> str:
        (episode,) = AlertStore(Installation(Environment(home=self.home)).state).load().open({Kind.SILENCE})
        return episode.cause.summary


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with dg.DagsterInstance.local_temp() as instance:
        yield Watch(instance, tmp_path / "home")


def test_what_ticks_and_beats_is_not_told(watch: Watch) -> None:
    watch.start()
    assert watch.told(12) == []


def test_a_sensor_that_never_ticks_is_told_after_a_while(watch: Watch) -> None:
    assert watch.told(6, ticking=False) == []
    assert watch.told(2, ticking=False) == [("new", LANDING)]
    assert "has never ticked" in watch.summary()


def test_a_sensor_that_falls_silent_is_told_and_its_return_too(watch: Watch) -> None:
    watch.start()
    watch.told(3)
    assert watch.told(8, ticking=False) == [("new", LANDING)]
    assert "has not ticked since 2026-01-02 00:02:00 UTC" in watch.summary()
    assert watch.told(5) == [("over", LANDING)]


def test_after_a_stop_of_the_whole_daemon_nothing_counts_as_silent(watch: Watch) -> None:
    watch.start()
    watch.told(3)
    watch.silent = {"ASSET"}
    assert watch.look(timedelta(hours=10)) == []
    assert watch.look() == []
    watch.silent = set()
    assert watch.told(10) == []


def test_ticks_that_fail_for_long_are_told_without_their_message(watch: Watch) -> None:
    watch.start()
    watch.told(2)
    assert watch.told(3, ConnectionError(SECRET)) == [], "a restart of what it reads is no news"
    assert watch.told(2, ConnectionError(SECRET)) == [("new", LANDING)]
    assert "fails at every tick, 5 times by now (ConnectionError)" in watch.summary()
    assert SECRET not in watch.sink.digests[-1].text()
    assert watch.told(5) == [("over", LANDING)]


def test_one_failed_tick_now_and_then_is_not_told(watch: Watch) -> None:
    watch.start()
    for _ in range(4):
        assert watch.told(2, ConnectionError(SECRET)) == []
        assert watch.told(1) == []


def test_a_sensor_that_is_off_is_told(watch: Watch) -> None:
    watch.start()
    watch.told(2)
    watch.instance.update_instigator_state(watch.sensor.with_status(InstigatorStatus.STOPPED))
    assert watch.told(1, ticking=False) == [("new", LANDING)]
    assert "switched off" in watch.summary()


def test_a_thread_of_the_daemon_without_heartbeat_is_told(watch: Watch) -> None:
    watch.start()
    watch.told(2)
    watch.silent = {"QUEUED_RUN_COORDINATOR"}
    assert watch.told(12) == [("new", "daemon QUEUED_RUN_COORDINATOR")]
    watch.silent = set()
    assert watch.told(4) == [("over", "daemon QUEUED_RUN_COORDINATOR")]


def test_a_source_whose_declaration_is_invalid_is_told(watch: Watch) -> None:
    invalid = dg.Definitions(assets=[dg.AssetSpec(dg.AssetKey(["src", "invalid_declaration"]))])
    watch.repository = invalid.get_repository_def()
    assert watch.look() == [("new", "declaration")]
