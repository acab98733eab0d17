"""The gentle workload works in bursts, rests when nobody captures, and survives a source that is down."""

import threading
from pathlib import Path

import psycopg
import pytest

from dms_assets.sample import workload_ticker
from dms_assets.sample.connection import write_secret
from dms_assets.sample.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres


def test_a_burst_commits_some_work_and_ends_early_when_told(
    sample: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload_ticker, "BURST_S", 1.0)
    assert 0 < workload_ticker.burst(sample.dsn, threading.Event()) < 20
    stop = threading.Event()
    stop.set()
    assert workload_ticker.burst(sample.dsn, stop) <= workload_ticker.SESSIONS


def test_pauses_are_short_only_while_somebody_looks() -> None:
    assert workload_ticker.pause_s(0) == workload_ticker.SHORT_PAUSE_S
    assert workload_ticker.pause_s(workload_ticker.LIVELY_S) == workload_ticker.PAUSE_S


def test_it_rests_while_a_slot_holds_back_too_much_and_while_the_source_is_down(
    sample: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert workload_ticker.retained_log(sample.dsn) == 0
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        connection.execute("select pg_create_physical_replication_slot('forgotten', true)")
        connection.execute("update probation.region set name = name || '.'")
        assert workload_ticker.retained_log(sample.dsn) > 0
        monkeypatch.setattr(workload_ticker, "RETAINED_LOG_LIMIT", 0)
        run_once(sample, tmp_path / "secret.json", monkeypatch)
        connection.execute("select pg_drop_replication_slot('forgotten')")
    assert "holds back" in caplog.text
    caplog.clear()
    with EmbeddedPostgres(tmp_path / "postgres") as down:
        pass
    run_once(down, tmp_path / "down.json", monkeypatch)
    assert "does not answer" in caplog.text


def run_once(server: EmbeddedPostgres, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_secret(secret, server.connection_info)
    stop = threading.Event()

    def rest(_: float) -> float:
        stop.set()
        return 0.0

    monkeypatch.setattr(workload_ticker, "pause_s", rest)
    workload_ticker.tick(secret, stop)
