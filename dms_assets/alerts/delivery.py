"""Give digests to sinks: each sink gets each digest at least once, and one that fails stops no other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from dms_assets.alerts.cause import PLATFORM, PLATFORM_OWNER, Cause, Kind, Over, Seen, Severity, Sight
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.sinks import Sink
from dms_assets.alerts.state import AlertState, Parcel

_LOG = logging.getLogger(__name__)


def _broken(name: str, error: str, waiting: int, given_up: int) -> Cause:
    lost = f"; {given_up} digests were given up so far" if given_up else ""
    return Cause(
        kind=Kind.SINK,
        source=PLATFORM,
        subject=name,
        severity=Severity.ERROR,
        owner=PLATFORM_OWNER,
        summary=f"alerts cannot be told to '{name}': {error}; {waiting} digests wait for it{lost}",
        remedy="read why in the log of the code server and remove the cause; what waits is told then",
        link="/locations/dms_assets/sensors/alerts",
    )


def deliver(state: AlertState, sinks: Sequence[Sink], now: datetime, pace: Pace) -> AlertState:
    """Offer every sink what it is owed, oldest first, up to its first failure; that is a cause like any other.

    The state must have been stored before: what is in it is told again if the process dies before the result is stored.
    """
    failed: dict[str, str] = {}
    took: set[str] = set()
    parcels = []
    for parcel in state.parcels:
        left = set()
        for sink in sinks:
            if sink.name not in parcel.owed:
                continue
            if sink.name not in failed and (error := _failure(sink, parcel)) is not None:
                failed[sink.name] = error
            if sink.name in failed:
                left.add(sink.name)
            else:
                took.add(sink.name)
        if left:
            parcels.append(Parcel(parcel.digest, frozenset(left)))
    sights: list[Sight] = []
    for name, error in failed.items():
        waiting = sum(name in parcel.owed for parcel in parcels)
        sights.append(Seen(_broken(name, error, waiting, state.given_up), now))
    whole = {sink.name for sink in sinks if sink.name in took} - set(failed)
    known = {sink.name for sink in sinks}
    sights += [
        Over(episode.cause.id, now)
        for episode in state.open({Kind.SINK})
        if episode.cause.subject in whole or episode.cause.subject not in known
    ]
    return replace(state, parcels=tuple(parcels)).observe(sights, pace)


def _failure(sink: Sink, parcel: Parcel) -> str | None:
    try:
        sink.send(parcel.digest)
    except Exception as error:  # noqa: BLE001 see below
        # A sink may be anybody's code and raise anything; the others must be told all the same, of this too.
        _LOG.exception("sink '%s' did not take digest %s", sink.name, parcel.digest.id)
        return type(error).__name__
    return None
