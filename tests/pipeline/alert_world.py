"""A small code location with one source of two tables, on a real Dagster instance, and looks at it in time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from dms_assets.alerts.cause import Kind
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.state import AlertState
from dms_assets.alerts.store import AlertStore
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.model.names import Layer, TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.alerting.reading import Look
from dms_assets.pipeline.alerting.sensor import look_and_tell
from dms_assets.pipeline.checks.freshness import FRESH_CHECK
from dms_assets.pipeline.checks.hold import LOAD_CHECK, QUARANTINE_CHECK
from dms_assets.pipeline.failed_assets import SomeAssetsFailedError
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.sensors.dms import CAPTURE_CHECK
from tests.alerts.causes import ListSink

T, U = TableName("s", "t"), TableName("s", "u")
SPEC = SourceSpec.model_validate(
    {
        "name": "src",
        "engine": "postgres",
        "connection": {"secret": "x"},
        "schema": "s",
        "tables": ["t", "u"],
        "owner": "team:src",
    }
)
VALIDATED = {name: table_key("src", Layer.VALIDATED, name) for name in (T, U)}
LANDING = {name: table_key("src", Layer.LANDING, name) for name in (T, U)}
MART = dg.AssetKey(["team_x", "derived", "mart"])
SECRET = "a value of a row"


class BrokenError(RuntimeError):
    """What runs die of."""


@dataclass
class Faults:
    """What goes wrong in the next runs."""

    tables: set[TableName] = field(default_factory=set)
    mart: bool = False
    check: bool = False
    job: bool = False


def validated_assets(faults: Faults) -> dg.AssetsDefinition:
    @dg.multi_asset(
        specs=[dg.AssetSpec(key, skippable=True, owners=["team:src"]) for key in VALIDATED.values()],
        can_subset=True,
        check_specs=[dg.AssetCheckSpec("schema", asset=key) for key in VALIDATED.values()],
    )
    def validated(context: dg.AssetExecutionContext) -> Any:
        for name, key in VALIDATED.items():
            if key in context.selected_asset_keys and name not in faults.tables:
                yield dg.MaterializeResult(asset_key=key, check_results=[checked(key, "schema", passed=True)])
        if faults.tables:
            raise SomeAssetsFailedError(SECRET, [VALIDATED[name] for name in faults.tables])

    return validated


def job(faults: Faults) -> dg.JobDefinition:
    @dg.op
    def work() -> None:
        if faults.job:
            raise BrokenError(SECRET)

    @dg.job
    def reload() -> None:
        work()

    return reload


def runless_checks() -> dg.AssetChecksDefinition:
    holds = [(key, check) for key in VALIDATED.values() for check in (LOAD_CHECK, QUARANTINE_CHECK)]
    fresh = [(key, FRESH_CHECK) for key in (*LANDING.values(), *VALIDATED.values())]
    found = [*((key, CAPTURE_CHECK) for key in LANDING.values()), *holds, *fresh]

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec(check, asset=key) for key, check in found], can_subset=True)
    def others() -> Any:
        yield from ()

    return others


def definitions(faults: Faults, *, with_mart_check: bool = True) -> dg.Definitions:
    @dg.asset(key=MART, owners=["team:analysts"])
    def mart() -> None:
        if faults.mart:
            raise BrokenError(SECRET)

    @dg.asset_check(asset=MART, name="sane", blocking=False)
    def sane() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=not faults.check, metadata={"failing rows": 3, "worst": SECRET})

    @dg.sensor(name="src_landing_sensor", minimum_interval_seconds=5)
    def landing() -> dg.SkipReason:
        return dg.SkipReason("")

    return dg.Definitions(
        assets=[validated_assets(faults), mart, *(dg.AssetSpec(key) for key in LANDING.values())],
        asset_checks=[runless_checks(), *([sane] if with_mart_check else [])],
        jobs=[job(faults)],
        sensors=[landing],
        executor=dg.in_process_executor,
    )


def checked(key: dg.AssetKey, name: str, *, passed: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(asset_key=key, check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN)


@dataclass
class World:
    instance: dg.DagsterInstance
    environment: Environment
    faults: Faults = field(default_factory=Faults)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    sink: ListSink = field(default_factory=ListSink)
    repository: dg.RepositoryDefinition | None = None

    def __post_init__(self) -> None:
        self.define()

    def define(self, **changes: bool) -> None:
        self.definitions = definitions(self.faults, **changes)
        self.repository = self.definitions.get_repository_def()

    @property
    def installation(self) -> Installation:
        return Installation(self.environment)

    def run(self, keys: list[dg.AssetKey], tags: Mapping[str, str] | None = None) -> dg.ExecuteInProcessResult:
        subset = self.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
        return subset.execute_in_process(instance=self.instance, raise_on_error=False, tags=dict(tags or {}))

    def run_job(self) -> dg.ExecuteInProcessResult:
        reload = self.definitions.resolve_job_def("reload")
        return reload.execute_in_process(instance=self.instance, raise_on_error=False)

    def evaluate(
        self,
        key: dg.AssetKey,
        check: str,
        *,
        passed: bool,
        severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
        **metadata: Any,
    ) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=key, check_name=check, passed=passed, severity=severity, metadata=metadata
            )
        )

    def look(self, later: timedelta = timedelta(0)) -> list[tuple[str, str]]:
        """One look, and what it told: (news, subject), but silence: no daemon runs here."""
        self.now = max(self.now, datetime.now(UTC)) + later
        assert self.repository is not None
        sight = Look(self.instance, self.installation, self.repository, {"src": SPEC}, self.now)
        before = len(self.sink.digests)
        look_and_tell(sight, [self.sink], Pace())
        told = self.sink.digests[before:]
        assert SECRET not in "".join(digest.text() for digest in told)
        items = [item for digest in told for item in digest.items if item.episode.cause.kind is not Kind.SILENCE]
        return [(item.news.value, item.episode.cause.subject) for item in items]

    @property
    def state(self) -> AlertState:
        return AlertStore(self.installation.state).load()

    def open(self) -> dict[str, int]:
        """Subject -> count of what is open."""
        return {
            episode.cause.subject: episode.count
            for episode in self.state.open()
            if episode.cause.kind is not Kind.SILENCE
        }
