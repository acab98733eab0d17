"""`dms-assets alerts`: what it lists, its exit status, and that it notices when nobody looks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dms_assets.alerts.cause import Over, Seen, Severity
from dms_assets.alerts.pace import Pace
from dms_assets.alerts.state import AlertState
from dms_assets.alerts.store import AlertStore
from dms_assets.cli import cli
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from tests.alerts.causes import cause

PACE = Pace()
HOUR = timedelta(hours=1)


def remember(home: Path, state: AlertState, looked: timedelta = timedelta(0)) -> None:
    store = AlertStore(Installation(Environment(home=home)).state)
    store.load()
    store.save(replace(state, looked_at=datetime.now(UTC) - looked))


def run(home: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["alerts", "--home", str(home), *options])


@pytest.fixture
def state() -> AlertState:
    """One open, one not told yet, one over lately, one over long ago."""
    now = datetime.now(UTC)
    state = AlertState()
    for subject, over in (("lately", now - HOUR), ("long ago", now - 48 * HOUR)):
        state = state.observe([Seen(cause(subject), over - HOUR)], PACE)
        state, _ = state.tell(set(), over - HOUR, PACE)
        state = state.observe([Over(cause(subject).id, over)], PACE)
        state, _ = state.tell(set(), over + HOUR, PACE)
    patient = cause("patient", patience=HOUR)
    state = state.observe([Seen(cause("bad", Severity.CRITICAL), now - HOUR), Seen(patient, now)], PACE)
    return state.tell(set(), now, PACE)[0]


def test_what_is_open_and_what_is_over_lately(tmp_path: Path, state: AlertState) -> None:
    remember(tmp_path, state)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("STILL CRITICAL check bad (src, team:x)")
    assert "OVER  ERROR check lately" in result.output
    assert "long ago" not in result.output
    assert "patient" not in result.output
    everything = run(tmp_path, "--all").output
    assert "long ago" in everything
    assert "NEW   ERROR check patient" in everything


def test_json_has_the_same(tmp_path: Path, state: AlertState) -> None:
    remember(tmp_path, state)
    listed = json.loads(run(tmp_path, "--json").output)
    assert [row["id"] for row in listed["open"]] == ["check:src:bad"]
    assert [row["cause"]["subject"] for row in listed["over"]] == ["lately"]
    assert listed["unwatched"] is False
    assert [row["id"] for row in json.loads(run(tmp_path, "--json", "--all").output)["open"]] == [
        "check:src:bad",
        "check:src:patient",
    ]


def test_nothing_open_is_status_zero(tmp_path: Path) -> None:
    remember(tmp_path, AlertState())
    result = run(tmp_path)
    assert (result.exit_code, result.output[:16]) == (0, "nothing is wrong")


def test_that_nobody_looks_is_said(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "NOBODY LOOKS: the sensor `alerts` has never looked" in result.output
    remember(tmp_path, AlertState(), looked=HOUR)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "looked last at" in result.output
    assert json.loads(run(tmp_path, "--json").output)["unwatched"] is True


def test_help_has_examples_and_exit_status() -> None:
    told = CliRunner().invoke(cli, ["alerts", "--help"]).output
    assert "Exit status" in told
    assert "dms-assets alerts --json" in told
