"""Sinks: what fails is told and stops no other; a crash repeats a digest once; files stay small and whole."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dms_assets.alerts.cause import Over, Seen, Severity
from dms_assets.alerts.delivery import deliver
from dms_assets.alerts.digest import Digest, Item
from dms_assets.alerts.episode import News, begin
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.sinks import FileSink, LogSink, Sink
from dms_assets.alerts.state import MAX_PARCELS, AlertState
from dms_assets.alerts.store import KEY, AlertStateError, AlertStore
from dms_assets.lake.folder_store import FolderStore
from tests.alerts.causes import NOW, ListSink, cause

PACE = Pace()


def look(state: AlertState, sinks: list[Sink], minutes: int) -> AlertState:
    """What a look does after it observed."""
    now = NOW + timedelta(minutes=minutes)
    state, _ = state.tell({sink.name for sink in sinks}, now, PACE)
    return deliver(AlertState.from_json(state.to_json()), sinks, now, PACE)


def digest(name: str = "1", subject: str = "a") -> Digest:
    return Digest(name, NOW, (Item(News.NEW, begin(Seen(cause(subject), NOW))),))


def test_a_sink_that_fails_stops_no_other_is_told_and_gets_it_all_later() -> None:
    good, bad = ListSink("good"), ListSink("bad", broken=True)
    state = look(AlertState().observe([Seen(cause("a"), NOW)], PACE), [good, bad], 0)
    assert good.told == [("new", "a")]
    state = look(state, [good, bad], 1)
    assert good.told == [("new", "a"), ("new", "bad")]
    told = good.digests[-1].text()
    assert "alerts cannot be told to 'bad': ConnectionError" in told
    assert "no route" not in told, "an error's message may hold anything"
    state = look(state.observe([Seen(cause("b"), NOW)], PACE), [good, bad], 2)
    assert good.told[2:] == [("new", "b")]
    bad.broken = False
    state = look(state, [good, bad], 3)
    assert bad.told == [("new", "a"), ("new", "bad"), ("new", "b")]
    state = look(state, [good, bad], 6)
    assert good.told[3:] == bad.told[3:] == [("over", "bad")]
    assert not state.parcels


def test_what_waits_for_a_sink_is_bounded_and_what_is_given_up_is_said() -> None:
    good, bad = ListSink("good"), ListSink("bad", broken=True)
    state = AlertState()
    for n in range(MAX_PARCELS + 20):
        state = look(state.observe([Seen(cause(f"s{n}"), NOW)], PACE), [good, bad], n)
    assert len(state.parcels) == MAX_PARCELS
    (broken,) = [episode for episode in state.open() if episode.cause.subject == "bad"]
    assert "20 digests were given up" in broken.cause.summary
    assert len([subject for news, subject in good.told if news == "new" and subject != "bad"]) == MAX_PARCELS + 20


def test_a_sink_that_is_gone_is_owed_nothing() -> None:
    bad = ListSink("bad", broken=True)
    state = look(AlertState().observe([Seen(cause("a"), NOW)], PACE), [bad], 0)
    assert state.parcels
    good = ListSink("good")
    state = look(look(state, [good], 1), [good], 10)
    assert not state.parcels
    assert not [episode for episode in state.open() if episode.cause.subject == "bad"]


def test_a_crash_between_telling_and_remembering_repeats_a_digest_once(tmp_path: Path) -> None:
    folder, memory, sink = FolderStore(tmp_path / "state"), ListSink("list"), FileSink(tmp_path / "alerts")
    sinks: list[Sink] = [memory, sink]
    store = AlertStore(folder)
    state, _ = store.load().observe([Seen(cause(), NOW)], PACE).tell({"list", "file"}, NOW, PACE)
    store.save(state)
    deliver(state, sinks, NOW, PACE)  # and here the process dies
    for minute in (1, 2):
        store = AlertStore(folder)
        state, _ = store.load().tell({"list", "file"}, NOW + timedelta(minutes=minute), PACE)
        store.save(state)
        store.save(deliver(state, sinks, NOW, PACE))
    assert [digest.id for digest in memory.digests] == [memory.digests[0].id] * 2, "at least once, and once more"
    assert len(sink.lines_file.read_text().splitlines()) == 1, "the file knows what it has"


def test_the_memory_of_alerts_is_one_versioned_document(tmp_path: Path) -> None:
    folder = FolderStore(tmp_path)
    state = AlertState(marks={"checks": {"cursor": 7}}, looked_at=NOW, told=3, given_up=1)
    state = state.observe([Seen(cause(), NOW, awaits=frozenset({"x"})), Seen(cause("b"), NOW)], PACE)
    state, _ = replace(state).tell({"x"}, NOW, PACE)
    store = AlertStore(folder)
    assert store.load() == AlertState()
    store.save(state)
    assert AlertStore(folder).load() == state
    assert json.loads(folder.get(KEY)[0])["format"] == 1
    other = AlertStore(folder)
    other.load()
    store.save(state.observe([Over(cause().id, NOW)], PACE))
    with pytest.raises(AlertStateError, match="one daemon only"):
        other.save(state)


@pytest.mark.parametrize("body", [b"{", b'{"format": 2}', b'{"format": 1}', b"[]"])
def test_a_memory_that_cannot_be_read_is_said_with_the_remedy(tmp_path: Path, body: bytes) -> None:
    folder = FolderStore(tmp_path)
    folder.put(KEY, body)
    with pytest.raises(AlertStateError, match="move it away"):
        AlertStore(folder).load()


def test_the_file_sink_writes_lines_and_a_text(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a" / "b")
    for name in ("1", "1", "2"):
        sink.send(digest(name))
    lines = [json.loads(line) for line in sink.lines_file.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["1", "2"]
    assert Digest.from_json(lines[0]) == digest("1")
    text = sink.text_file.read_text()
    assert text.count("NEW   ERROR check a (src, team:x)") == 2
    assert "do: put it right" in text


def test_files_are_rotated_and_bounded(tmp_path: Path) -> None:
    sink = FileSink(tmp_path, max_bytes=4_000, kept=2)
    for n in range(100):
        sink.send(digest(str(n), subject="x" * 100))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"alerts.{kind}{number}" for kind in ("jsonl", "txt") for number in ("", ".1", ".2")
    }
    assert all(path.stat().st_size <= 4_000 for path in tmp_path.iterdir())
    assert json.loads(sink.lines_file.read_text().splitlines()[-1])["id"] == "99"


def test_half_a_line_after_a_crash_spoils_no_other(tmp_path: Path) -> None:
    sink = FileSink(tmp_path)
    sink.send(digest("1"))
    sink.lines_file.write_bytes(sink.lines_file.read_bytes()[:-20])
    sink.send(digest("2"))
    assert json.loads(sink.lines_file.read_text().splitlines()[-1])["id"] == "2"


def test_a_full_disk_is_a_failure_and_not_silence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    state = look(AlertState().observe([Seen(cause(), NOW)], PACE), [FileSink(blocked)], 0)
    assert state.parcels
    (tmp_path / "alerts.txt").mkdir()
    with pytest.raises(OSError, match="directory"):
        FileSink(tmp_path).send(digest())


def test_the_log_has_the_text_and_recoveries_too(caplog: pytest.LogCaptureFixture) -> None:
    LogSink().send(digest())
    over = replace(begin(Seen(cause(severity=Severity.CRITICAL), NOW)), over_at=NOW)
    LogSink().send(Digest("2", NOW, (Item(News.OVER, over),)))
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "a is wrong" in caplog.text
