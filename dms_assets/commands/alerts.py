"""`dms-assets alerts`: what is wrong now, and what was wrong lately."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dms_assets.commands.options import home_option, json_option

if TYPE_CHECKING:
    from dms_assets.alerts.episode import Episode
    from dms_assets.alerts.state import AlertState

RECENT = timedelta(hours=24)
"""Recoveries so old are listed without `--all`."""
UNWATCHED = timedelta(minutes=5)
"""The alert sensor looks twice a minute; after so long nobody watches."""


@click.command()
@home_option
@json_option
@click.option("--all", "everything", is_flag=True, help="Also older recoveries, and what is not told yet.")
def alerts(home: Path, as_json: bool, everything: bool) -> None:
    """List what is wrong now, worst first, and what is over since yesterday.

    Reads what the sensor `alerts` remembers, and says so if that looks no more.

    \b
    Exit status: 0 nothing is open; 1 something is, or nobody looks.

    \b
    Examples:
      dms-assets alerts
      dms-assets alerts --all
      dms-assets alerts --json | jq '.open[].cause.remedy'
    """
    from dms_assets.alerts.store import AlertStore  # noqa: PLC0415
    from dms_assets.environment import Environment  # noqa: PLC0415
    from dms_assets.installation import Installation  # noqa: PLC0415

    now = datetime.now(UTC)
    state = AlertStore(Installation(Environment(home=home)).state).load()
    found = [episode for episode in state.open() if everything or episode.shows(now)]
    found.sort(key=lambda episode: (-episode.cause.severity, episode.first_seen))
    over = _recoveries(state, now - RECENT if not everything else None)
    unwatched = state.looked_at is None or now - state.looked_at > UNWATCHED
    if as_json:
        click.echo(json.dumps(_json(state, found, over, unwatched=unwatched), indent=1, ensure_ascii=False))
    else:
        click.echo(_text(state, found, over, unwatched=unwatched))
    sys.exit(1 if unwatched or any(episode.shows(now) for episode in found) else 0)


def _recoveries(state: AlertState, after: datetime | None) -> list[Episode]:
    """What was told and is over, the last first."""
    told = [e for e in state.episodes.values() if not e.open and e.tellings]
    recent = [e for e in told if e.over_at is not None and (after is None or e.over_at > after)]
    return sorted(recent, key=lambda episode: str(episode.over_at), reverse=True)


def _json(state: AlertState, found: list[Episode], over: list[Episode], *, unwatched: bool) -> dict[str, Any]:
    return {
        "looked_at": state.looked_at.isoformat() if state.looked_at else None,
        "unwatched": unwatched,
        "open": [{"id": episode.cause.id, **episode.to_json()} for episode in found],
        "over": [{"id": episode.cause.id, **episode.to_json()} for episode in over],
    }


def _text(state: AlertState, found: list[Episode], over: list[Episode], *, unwatched: bool) -> str:
    from dms_assets.alerts.digest import Item  # noqa: PLC0415
    from dms_assets.alerts.episode import News  # noqa: PLC0415

    lines = []
    if unwatched:
        last = f"looked last at {state.looked_at:%Y-%m-%d %H:%M:%S} UTC" if state.looked_at else "has never looked"
        lines.append(f"NOBODY LOOKS: the sensor `alerts` {last}; start the stack, or switch the sensor on in the UI")
    for episode in found:
        lines += Item(News.STILL if episode.tellings else News.NEW, episode).lines()
    for episode in over:
        lines += Item(News.OVER, episode).lines()
    return "\n".join(lines) or f"nothing is wrong; looked last at {state.looked_at:%Y-%m-%d %H:%M:%S} UTC"
