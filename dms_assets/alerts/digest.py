"""One message: everything there is to tell at one moment, worst first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dms_assets.alerts.episode import Episode, News

FORMAT = 1
SHOWN = 50
"""So many causes a text spells out; the JSON has them all."""
_GONE = {News.OVER, News.PAST}


@dataclass(frozen=True, slots=True)
class Item:
    """One cause in a digest, as it was when the digest was made."""

    news: News
    episode: Episode

    def lines(self) -> list[str]:
        """The item for people."""
        episode, cause = self.episode, self.episode.cause
        times = "once" if episode.count == 1 else f"{episode.count} times"
        head = f"{self.news.value.upper():5} {cause.severity.name} {cause.kind.value} {cause.subject}"
        lines = [
            f"{head} ({cause.source}, {cause.owner})",
            f"      {cause.summary}",
            f"      {times}, first {_clock(episode.first_seen)}, last {_clock(episode.last_seen)}",
        ]
        if episode.over_at is not None:
            lasted = _span(episode.over_at - episode.first_seen)
            lines.append(f"      over since {_clock(episode.over_at)}, after {lasted}")
        else:
            lines += [f"      do: {cause.remedy}", f"      see: {cause.link}"]
        return lines

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {"news": self.news.value, "id": self.episode.cause.id, "episode": self.episode.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Item:
        """The item that `to_json` wrote."""
        return cls(News(data["news"]), Episode.from_json(data["episode"]))


@dataclass(frozen=True, slots=True)
class Digest:
    """`id` names it for sinks: one that gets the same twice may leave the second out."""

    id: str
    at: datetime
    items: tuple[Item, ...]

    @property
    def title(self) -> str:
        """What is in it, in one line: `2 new, 1 over`."""
        counts = Counter(item.news for item in self.items)
        return ", ".join(f"{counts[news]} {news.value}" for news in News if counts[news])

    def text(self) -> str:
        """The digest for people."""
        lines = [f"{_clock(self.at)}  {self.title}"]
        for item in self.items[:SHOWN]:
            lines += item.lines()
        if len(self.items) > SHOWN:
            lines.append(f"and {len(self.items) - SHOWN} more; `dms-assets alerts` lists all that are open")
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "v": FORMAT,
            "id": self.id,
            "at": self.at.isoformat(),
            "title": self.title,
            "items": [item.to_json() for item in self.items],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Digest:
        """The digest that `to_json` wrote."""
        items = tuple(Item.from_json(item) for item in data["items"])
        return cls(data["id"], datetime.fromisoformat(data["at"]), items)


def worst_first(items: Sequence[Item]) -> tuple[Item, ...]:
    """What is there before what is over, and the worst of each first."""

    def place(item: Item) -> tuple[bool, int, str]:
        return item.news in _GONE, -item.episode.cause.severity, item.episode.cause.id

    return tuple(sorted(items, key=place))


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(length: timedelta) -> str:
    return str(timedelta(seconds=round(length.total_seconds())))
