"""What is told when: some scenarios by hand, and the promises for any sequence of sights."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import example, given, settings

from dms_assets.alerts.cause import Done, Kind, Over, Seen, Severity, Sight
from dms_assets.alerts.digest import Item
from dms_assets.alerts.episode import News
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.state import AlertState
from tests.alerts.causes import NOW, cause

PACE = Pace()
MINUTE = timedelta(minutes=1)
TOLD_OPEN = {News.NEW, News.WORSE, News.STILL}


@dataclass
class Teller:
    """A state that goes through time, with everything told."""

    state: AlertState
    now: datetime = NOW

    def see(self, *sights: Sight) -> None:
        self.state = self.state.observe(sights, PACE)

    def after(self, wait: timedelta) -> list[Item]:
        self.now += wait
        self.state, digest = self.state.tell({"list"}, self.now, PACE)
        return list(digest.items) if digest else []

    def news(self, wait: timedelta) -> list[tuple[str, str, int]]:
        return [(item.news.value, item.episode.cause.subject, item.episode.count) for item in self.after(wait)]


def test_told_at_first_sight_then_seldom_then_when_it_is_over() -> None:
    teller = Teller(AlertState())
    teller.see(Seen(cause(), NOW))
    assert teller.news(timedelta(0)) == [("new", "a", 1)]
    teller.see(Seen(cause(), NOW + MINUTE), Seen(cause(), NOW + 2 * MINUTE))
    assert teller.news(3 * MINUTE) == []
    assert teller.news(57 * MINUTE) == [("still", "a", 3)]
    assert teller.news(119 * MINUTE) == []
    assert teller.news(MINUTE) == [("still", "a", 3)]
    teller.see(Over(cause().id, teller.now))
    assert teller.news(MINUTE) == [], "it may come back"
    (item,) = teller.after(MINUTE)
    assert item.news is News.OVER
    assert "over since 2026-01-02 06:00:00 UTC, after 3:00:00" in "\n".join(item.lines())
    assert teller.news(timedelta(days=1)) == []


def test_what_gets_worse_is_told_at_once_and_what_gets_better_is_not() -> None:
    teller = Teller(AlertState())
    teller.see(Seen(cause(severity=Severity.WARNING), NOW))
    teller.after(timedelta(0))
    teller.see(Seen(cause(severity=Severity.CRITICAL), NOW))
    assert teller.news(MINUTE) == [("worse", "a", 2)]
    for severity in (Severity.ERROR, Severity.CRITICAL):
        teller.see(Seen(cause(severity=severity), NOW, times=0))
        assert teller.news(MINUTE) == []


def test_flapping_is_one_episode_that_takes_ever_longer_to_be_over() -> None:
    teller = Teller(AlertState())
    teller.see(Seen(cause(), NOW))
    assert [news for news, *_ in teller.news(timedelta(0))] == ["new"]
    for _ in range(20):
        teller.see(Over(cause().id, teller.now))
        assert teller.news(MINUTE) == []
        teller.see(Seen(cause(), teller.now))
        assert teller.news(MINUTE) == []
    teller.see(Over(cause().id, teller.now))
    assert teller.news(59 * MINUTE) == []
    assert teller.news(MINUTE) == [("over", "a", 21)]


def test_a_relapse_takes_longer_to_be_over_than_the_first_time() -> None:
    teller = Teller(AlertState())
    for calm in (2 * MINUTE, 4 * MINUTE, 8 * MINUTE):
        teller.see(Seen(cause(), teller.now))
        assert teller.news(timedelta(0)) == [("new", "a", 1)]
        teller.see(Over(cause().id, teller.now))
        assert teller.news(calm - MINUTE) == []
        assert teller.news(MINUTE) == [("over", "a", 1)]


def test_what_came_and_went_unseen_is_told_once() -> None:
    teller = Teller(AlertState())
    teller.see(Seen(cause(), NOW), Seen(cause(), NOW), Over(cause().id, NOW))
    assert teller.news(timedelta(hours=8)) == [("past", "a", 2)]
    assert teller.news(timedelta(hours=8)) == []


def test_what_is_over_before_its_patience_is_never_told() -> None:
    teller = Teller(AlertState())
    slow = cause(patience=10 * MINUTE)
    teller.see(Seen(slow, NOW))
    assert teller.news(9 * MINUTE) == []
    teller.see(Over(slow.id, teller.now))
    assert teller.news(timedelta(hours=1)) == []
    teller.see(Seen(slow, teller.now))
    assert teller.news(10 * MINUTE) == [("new", "a", 1)]


def test_a_cause_is_over_when_all_that_it_awaits_is_done() -> None:
    teller = Teller(AlertState())
    teller.see(Seen(cause(), NOW, awaits=frozenset({"x", "y"})))
    teller.after(timedelta(0))
    teller.see(Done(frozenset({"x", "z"}), NOW))
    assert teller.state.open()
    teller.see(Seen(cause(), NOW, awaits=frozenset({"x"})), Done(frozenset({"y"}), NOW))
    assert teller.state.open()
    teller.see(Done(frozenset({"x"}), NOW))
    assert not teller.state.open()


def test_many_causes_at_once_are_one_digest_worst_first() -> None:
    state = AlertState().observe(
        [Seen(cause(f"s{n}", Severity.CRITICAL if n == 70 else Severity.WARNING), NOW) for n in range(80)], PACE
    )
    state, digest = state.tell({"list"}, NOW, PACE)
    assert digest is not None
    assert digest.title == "80 new"
    assert digest.items[0].episode.cause.subject == "s70"
    assert "and 30 more" in digest.text()
    assert len(state.parcels) == 1


def test_a_look_at_all_of_a_kind_ends_what_it_does_not_find() -> None:
    state = AlertState().settle(Kind.LAG, [cause("a", kind=Kind.LAG), cause("b", kind=Kind.LAG)], NOW, PACE)
    state = state.observe([Seen(cause("c"), NOW)], PACE)
    for minute in range(3):
        state = state.settle(Kind.LAG, [cause("b", kind=Kind.LAG)], NOW + minute * MINUTE, PACE)
    assert {episode.cause.subject: episode.count for episode in state.open()} == {"b": 1, "c": 1}


def test_kinds_of_which_not_all_is_read_wait() -> None:
    state = AlertState().observe([Seen(cause("a", kind=Kind.RUN), NOW), Seen(cause("b"), NOW)], PACE)
    state, digest = state.tell({"list"}, NOW, PACE, later={Kind.RUN})
    assert digest is not None
    assert [item.episode.cause.subject for item in digest.items] == ["b"]
    _, digest = state.tell({"list"}, NOW, PACE)
    assert digest is not None
    assert [item.episode.cause.subject for item in digest.items] == ["a"]


def test_memory_is_bounded() -> None:
    pace = Pace(remembered=10)
    sights: list[Sight] = []
    for n in range(100):
        sights += [Seen(cause(f"s{n}"), NOW), Over(cause(f"s{n}").id, NOW)]
    state, digest = AlertState().observe(sights, pace).tell(set(), NOW + timedelta(hours=1), pace)
    assert digest is not None
    assert len(digest.items) == 100
    state, _ = state.tell(set(), NOW + timedelta(hours=2), pace)
    assert len(state.episodes) == 10
    assert not state.tell(set(), NOW + timedelta(days=8), pace)[0].episodes


steps = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from(["seen", "again", "over"]),
        st.sampled_from(list(Severity)),
        st.sampled_from([timedelta(0), MINUTE, 3 * MINUTE, 30 * MINUTE, timedelta(hours=3)]),
        st.booleans(),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=300)
@given(steps)
@example([("a", "again", Severity.ERROR, 30 * MINUTE, True)] * 40)
@example([("a", "seen", Severity.ERROR, MINUTE, False), ("a", "over", Severity.ERROR, MINUTE, True)] * 4)
def test_every_episode_is_told_never_too_often_and_its_end_once(history: list[tuple]) -> None:  # type: ignore[type-arg]
    teller = Teller(AlertState())
    log: defaultdict[str, list[tuple[datetime, Item]]] = defaultdict(list)
    sights: defaultdict[str, int] = defaultdict(int)
    present: set[str] = set()

    def tell(wait: timedelta) -> None:
        for item in teller.after(wait):
            log[item.episode.cause.subject].append((teller.now, item))
        for subject in present:
            assert log[subject][-1][1].news in TOLD_OPEN, "what is there is told at the first occasion"

    for subject, action, severity, wait, telling in history:
        if action == "over":
            teller.see(Over(cause(subject).id, teller.now))
            present.discard(subject)
        else:
            occurred = 1 if action == "seen" or subject not in present else 0
            sights[subject] += occurred
            present.add(subject)
            teller.see(Seen(cause(subject, severity), teller.now, times=1 if action == "seen" else 0))
        if telling:
            tell(wait)
        else:
            teller.now += wait
        teller.state = AlertState.from_json(teller.state.to_json())
    for subject in sorted(present):
        teller.see(Over(cause(subject).id, teller.now))
    present.clear()
    tell(PACE.long_calm)

    assert set(log) == {subject for subject, count in sights.items() if count}
    for subject, told in log.items():
        episodes = split(told)
        assert sum(episode[-1][1].episode.count for episode in episodes) == sights[subject]
        for episode in episodes:
            check_episode(episode)


def split(told: list[tuple[datetime, Item]]) -> list[list[tuple[datetime, Item]]]:
    """The tellings of one cause by episode; every episode ends with its recovery, and has but one."""
    episodes: list[list[tuple[datetime, Item]]] = [[]]
    for entry in told:
        episodes[-1].append(entry)
        if entry[1].news in {News.OVER, News.PAST}:
            episodes.append([])
    assert not episodes.pop(), "every told episode has its recovery told"
    return episodes


def check_episode(told: list[tuple[datetime, Item]]) -> None:
    news = [item.news for _, item in told]
    if news == [News.PAST]:
        return
    assert news[0] is News.NEW
    assert news[-1] is News.OVER
    assert set(news[1:-1]) <= {News.WORSE, News.STILL}
    assert news.count(News.WORSE) <= len(Severity) - 1
    for ordinal, ((before, _), (at, item)) in enumerate(pairwise(told[:-1]), start=1):
        if item.news is News.STILL:
            assert at - before >= min(timedelta(hours=2 ** (ordinal - 1)), timedelta(hours=24))
