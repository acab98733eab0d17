"""What does not speak any more: sensors that fail or do not tick, threads of the daemon without heartbeat.

An alert sensor that does not tick itself can tell nobody; `dms-assets alerts` notices from outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus

from dms_assets.alerts.cause import PLATFORM, PLATFORM_OWNER, Cause, Kind, Severity
from dms_assets.alerts.state import AlertState
from dms_assets.pipeline.alerting.reading import LOCATION, Look, Reading
from dms_assets.pipeline.failed_assets import error_kind

MARK = "silence"
SILENT = timedelta(minutes=5)
"""How long a sensor or a thread may be silent, beyond its own interval."""
FAILING = timedelta(minutes=3)
"""How long all ticks of a sensor may fail: what is restarted meanwhile is no news."""
TICKS = 40
"""So many last ticks are looked at."""
SENSOR_NAME = "alerts"
INVALID_DECLARATION = "invalid_declaration"
"""The asset that stands for a source whose `defs.yaml` cannot be used."""


def read_silence(look: Look, state: AlertState) -> Reading:
    """All sensors of this code location, and all threads of the daemon, as they are now."""
    causes = list(_broken_declarations(look))
    if look.instance.schedule_storage is None:
        # An instance in memory keeps no ticks.
        return Reading(causes={Kind.SILENCE: causes})
    since = _watched_since(look, state)
    states = _states(look)
    ticks = look.instance.get_batch_ticks([known.selector_id for known in states.values()], limit=TICKS)
    for sensor in look.repository.sensor_defs:
        if sensor.name != SENSOR_NAME:
            known = states.get(sensor.name)
            own = ticks.get(known.selector_id, ()) if known else ()
            causes += _sensor(look, sensor, known, own, since)
    causes += _daemon(look, since)
    return Reading(causes={Kind.SILENCE: causes}, mark={"since": since.isoformat(), "looked": look.now.isoformat()})


def _watched_since(look: Look, state: AlertState) -> datetime:
    """Since when looks follow each other: after a stop of the whole daemon everything seems silent, and is not."""
    mark = state.marks.get(MARK)
    if mark is None or look.now - datetime.fromisoformat(mark["looked"]) > SILENT:
        return look.now
    return datetime.fromisoformat(mark["since"])


def _states(look: Look) -> dict[str, InstigatorState]:
    """The state of each sensor by name; of several code locations that ever had one of a name, the last that ran."""
    states = look.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return {known.instigator_name: known for known in sorted(states, key=_last_tick)}


def _last_tick(known: InstigatorState) -> float:
    data = known.instigator_data
    return (getattr(data, "last_tick_timestamp", None) or 0.0) if data else 0.0


def _sensor(
    look: Look,
    sensor: dg.SensorDefinition,
    known: InstigatorState | None,
    ticks: Sequence[InstigatorTick],
    since: datetime,
) -> Iterator[Cause]:
    """At most one cause: off, silent or failing."""
    if known is not None and known.status is InstigatorStatus.STOPPED:
        told, severity = "is switched off", Severity.WARNING
        yield _silence(look, sensor.name, told, "switch it on, unless it is off on purpose", severity)
        return
    ended = [tick for tick in ticks if tick.status is not TickStatus.STARTED]
    last = max((_end(tick) for tick in ended), default=None)
    interval = timedelta(seconds=sensor.minimum_interval_seconds or 30)
    if look.now - max(last or since, since) > SILENT + interval:
        told = f"has not ticked since {last:%Y-%m-%d %H:%M:%S} UTC" if last else "has never ticked"
        remedy = "see whether the daemon runs and the code location loads; a tick that hangs is ended by its time limit"
        yield _silence(look, sensor.name, told, remedy, Severity.ERROR)
        return
    failed = list(takewhile(lambda tick: tick.status is TickStatus.FAILURE, ended))
    if failed and look.now - _end(failed[-1]) > FAILING:
        count = max(failed[0].tick_data.consecutive_failure_count, len(failed))
        told = f"fails at every tick, {count} times by now ({error_kind(failed[0].tick_data.error)})"
        yield _silence(look, sensor.name, told, "open its last tick: the error names the remedy", Severity.ERROR)


def _end(tick: InstigatorTick) -> datetime:
    return datetime.fromtimestamp(tick.tick_data.end_timestamp or tick.timestamp, UTC)


def _silence(look: Look, sensor: str, told: str, remedy: str, severity: Severity) -> Cause:
    source = next((name for name in look.sources if sensor.startswith(f"{name}_")), PLATFORM)
    return Cause(
        kind=Kind.SILENCE,
        source=source,
        subject=f"sensor {sensor}",
        severity=severity,
        owner=look.owner(source),
        summary=f"sensor '{sensor}' {told}",
        remedy=remedy,
        link=f"/locations/{LOCATION}/sensors/{sensor}",
    )


def _daemon(look: Look, since: datetime) -> Iterator[Cause]:
    beats = look.instance.get_daemon_heartbeats()
    for thread in look.instance.get_required_daemon_types():
        beat = beats.get(thread)
        last = datetime.fromtimestamp(beat.timestamp, UTC) if beat else None
        if look.now - max(last or since, since) > SILENT:
            told = f"has no heartbeat since {last:%Y-%m-%d %H:%M:%S} UTC" if last else "has no heartbeat"
        elif beat is not None and beat.errors:
            told = f"reports errors ({', '.join(sorted({error.cls_name or 'Error' for error in beat.errors}))})"
        else:
            continue
        yield Cause(
            kind=Kind.SILENCE,
            source=PLATFORM,
            subject=f"daemon {thread}",
            severity=Severity.ERROR,
            owner=PLATFORM_OWNER,
            summary=f"the daemon's thread {thread} {told}",
            remedy="read the daemon's log, remove the cause, restart the daemon",
            link="/deployment/daemons",
            patience=FAILING,
        )


def _broken_declarations(look: Look) -> Iterator[Cause]:
    """Sources whose `defs.yaml` cannot be used: nothing of theirs runs, so nothing else would speak of them."""
    for key in look.repository.asset_graph.get_all_asset_keys():
        if len(key.path) == 2 and key.path[1] == INVALID_DECLARATION:
            yield Cause(
                kind=Kind.SILENCE,
                source=key.path[0],
                subject="declaration",
                severity=Severity.CRITICAL,
                owner=PLATFORM_OWNER,
                summary=f"the declaration of source '{key.path[0]}' has mistakes: nothing of it runs",
                remedy="open the asset: it names each mistake; correct defs.yaml and reload the code location",
                link=f"/assets/{'/'.join(key.path)}",
            )
