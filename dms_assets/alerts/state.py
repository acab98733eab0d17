"""Everything alerts remember: episodes, digests on their way to sinks, how far events were read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dms_assets.alerts.cause import Cause, Done, Kind, Over, Seen, Sight
from dms_assets.alerts.digest import Digest, Item, worst_first
from dms_assets.alerts.episode import Episode, News, begin
from dms_assets.alerts.pace import Pace

MAX_PARCELS = 50
"""So many digests wait for a sink that fails; then the oldest is given up."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A digest and the names of the sinks that have not taken it yet."""

    digest: Digest
    owed: frozenset[str]


@dataclass(frozen=True, slots=True)
class AlertState:
    """`marks` is each reader's own: how far it read. `told` counts digests, `given_up` those no sink was left for."""

    episodes: Mapping[str, Episode] = field(default_factory=dict)
    parcels: tuple[Parcel, ...] = ()
    marks: Mapping[str, Any] = field(default_factory=dict)
    looked_at: datetime | None = None
    told: int = 0
    given_up: int = 0

    def open(self, kinds: Collection[Kind] = tuple(Kind)) -> list[Episode]:
        """The episodes whose cause is there."""
        return [episode for episode in self.episodes.values() if episode.open and episode.cause.kind in kinds]

    def observe(self, sights: Iterable[Sight], pace: Pace) -> AlertState:
        """Take in what was seen, in the order in which it happened."""
        episodes = dict(self.episodes)
        for sight in sights:
            if isinstance(sight, Seen):
                known = episodes.get(sight.cause.id)
                episodes[sight.cause.id] = known.seen(sight, pace) if known else begin(sight)
            elif isinstance(sight, Over):
                if sight.cause_id in episodes:
                    episodes[sight.cause_id] = episodes[sight.cause_id].over(sight.at)
            elif isinstance(sight, Done):
                episodes = {name: episode.done(sight.things, sight.at) for name, episode in episodes.items()}
        return replace(self, episodes=episodes)

    def settle(self, kind: Kind, causes: Iterable[Cause], now: datetime, pace: Pace) -> AlertState:
        """Take in a whole look: these are all causes of a kind, and what is not among them is over."""
        sights: list[Sight] = [Seen(cause, now, times=0) for cause in causes]
        present = {sight.cause.id for sight in sights if isinstance(sight, Seen)}
        gone = [episode.cause.id for episode in self.open({kind}) if episode.cause.id not in present]
        return self.observe([*sights, *(Over(cause_id, now) for cause_id in gone)], pace)

    def tell(
        self, sinks: Collection[str], now: datetime, pace: Pace, *, later: Collection[Kind] = ()
    ) -> tuple[AlertState, Digest | None]:
        """Put what is due into one digest for all sinks, None if nothing is; kinds in `later` wait for another time."""
        episodes, items = {}, []
        for name, episode in self.episodes.items():
            if episode.ended_at is not None and now - episode.ended_at > pace.memory:
                continue
            news = None if episode.cause.kind in later else episode.due(now, pace)
            if news is News.PAST and episode.hushed():
                episodes[name] = replace(episode, ended_at=now)
                continue
            if news is not None:
                items.append(Item(news, episode))
            episodes[name] = episode.told(news, now) if news else episode
        state = replace(self, episodes=_remembered(episodes, pace))
        if not items:
            return state, None
        digest = Digest(f"{now:%Y%m%dT%H%M%S}-{self.told + 1}", now, worst_first(items))
        parcels = (*self.parcels, Parcel(digest, frozenset(sinks)))
        kept = parcels[-MAX_PARCELS:]
        return replace(
            state, parcels=kept, told=self.told + 1, given_up=self.given_up + len(parcels) - len(kept)
        ), digest

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "looked_at": self.looked_at.isoformat() if self.looked_at else None,
            "told": self.told,
            "given_up": self.given_up,
            "marks": dict(self.marks),
            "episodes": [episode.to_json() for episode in self.episodes.values()],
            "parcels": [{"digest": item.digest.to_json(), "owed": sorted(item.owed)} for item in self.parcels],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AlertState:
        """The state that `to_json` wrote."""
        episodes = [Episode.from_json(row) for row in data["episodes"]]
        return cls(
            episodes={episode.cause.id: episode for episode in episodes},
            parcels=tuple(Parcel(Digest.from_json(row["digest"]), frozenset(row["owed"])) for row in data["parcels"]),
            marks=data["marks"],
            looked_at=datetime.fromisoformat(data["looked_at"]) if data["looked_at"] else None,
            told=data["told"],
            given_up=data["given_up"],
        )


def _remembered(episodes: Mapping[str, Episode], pace: Pace) -> dict[str, Episode]:
    """All that have not ended, and the newest of those that have."""
    ended = sorted((e.ended_at, name) for name, e in episodes.items() if e.ended_at is not None)
    forgotten = {name for _, name in ended[: max(len(ended) - pace.remembered, 0)]}
    return {name: episode for name, episode in episodes.items() if name not in forgotten}
