"""The alert sensor: looks at everything that may be wrong, and tells the sinks what is new, in one digest."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg

from dms_assets.alerts.cause import PLATFORM, PLATFORM_OWNER, Cause, Kind, Severity
from dms_assets.alerts.delivery import deliver
from dms_assets.alerts.digest import Digest
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.sinks import Sink
from dms_assets.alerts.state import AlertState
from dms_assets.alerts.store import AlertStore
from dms_assets.installation import Installation
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.alerting import checks as alert_checks
from dms_assets.pipeline.alerting import runs as alert_runs
from dms_assets.pipeline.alerting import silence as alert_silence
from dms_assets.pipeline.alerting.checks import read_checks
from dms_assets.pipeline.alerting.facts import read_lag, read_quarantine
from dms_assets.pipeline.alerting.reading import LOCATION, Look, Reader
from dms_assets.pipeline.alerting.runs import read_runs
from dms_assets.pipeline.alerting.silence import SENSOR_NAME, read_silence

_LOG = logging.getLogger(__name__)
READERS: Mapping[str, Reader] = {
    alert_checks.MARK: read_checks,
    alert_runs.MARK: read_runs,
    alert_silence.MARK: read_silence,
    "quarantine": read_quarantine,
    # After checks: it leaves out what they say of a task.
    "lag": read_lag,
}


def look_and_tell(look: Look, sinks: Sequence[Sink], pace: Pace) -> tuple[AlertState, Digest | None]:
    """One look: what is open after it, and what was told, if anything.

    What is to be told is stored before it is told, and again after: a crash in between repeats it once. Raises
    AlertStateError.
    """
    store = AlertStore(look.installation.state)
    state, later = observe(look, store.load(), pace)
    state, digest = state.tell({sink.name for sink in sinks}, look.now, pace, later=later)
    store.save(state)
    if state.parcels:
        state = deliver(state, sinks, look.now, pace)
        store.save(state)
    return state, digest


def observe(look: Look, state: AlertState, pace: Pace) -> tuple[AlertState, frozenset[Kind]]:
    """The state after all readers read, and the kinds that must not be told yet. One that fails is itself a cause."""
    broken: list[Cause] = []
    later: frozenset[Kind] = frozenset()
    for name, read in READERS.items():
        try:
            reading = read(look, state)
        except Exception as error:  # noqa: BLE001 whatever a reader stumbles over, the others must be heard
            _LOG.exception("alerts cannot read '%s'", name)
            broken.append(_unread(name, type(error).__name__))
            continue
        state = state.observe(reading.sights, pace)
        for kind, causes in reading.causes.items():
            state = state.settle(kind, causes, look.now, pace)
        state = replace(state, marks={**state.marks, name: reading.mark})
        later |= reading.behind
    state = state.settle(Kind.ALERTS, broken, look.now, pace)
    return replace(state, looked_at=look.now), later


def _unread(name: str, error: str) -> Cause:
    return Cause(
        kind=Kind.ALERTS,
        source=PLATFORM,
        subject=name,
        severity=Severity.ERROR,
        owner=PLATFORM_OWNER,
        summary=f"the alert sensor cannot read '{name}' ({error}): nothing of it is told",
        remedy="read the error in the log of the code server, and remove its cause",
        link=f"/locations/{LOCATION}/sensors/{SENSOR_NAME}",
    )


def build_alert_sensor(specs: Sequence[SourceSpec], pace: Pace | None = None) -> dg.SensorDefinition:
    """One sensor for the code location. It keeps its memory in the installation's state, not in a cursor."""
    sources = {spec.name: spec for spec in specs}

    @dg.sensor(
        name=SENSOR_NAME,
        description="Tells failed runs and checks, tasks that stopped, lag, silence and quarantine, once per cause.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def alerts(context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]) -> dg.SkipReason:
        if context.repository_def is None:
            raise RuntimeError("the alert sensor needs the repository it is in; evaluate it through a code location")
        look = Look(context.instance, installation, context.repository_def, sources, datetime.now(UTC))
        state, digest = look_and_tell(look, installation.alert_sinks, pace or Pace())
        if digest is not None:
            context.log.info("told %s", digest.title)
        told = f"told {digest.title}" if digest else "nothing new to tell"
        return dg.SkipReason(f"{told}; {sum(e.shows(look.now) for e in state.open())} open")

    return alerts
