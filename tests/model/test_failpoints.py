"""Failpoints: one list, complete both ways; what a value of the variable means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dms_assets
from dms_assets.model import failpoints

_CALL = re.compile(r"""\breach\(\s*["']([^"']+)["']\s*\)""")
_ANY_CALL = re.compile(r"(?<!def )\breach\(")


def test_every_name_in_the_code_is_listed_and_every_listed_one_is_in_the_code() -> None:
    used: set[str] = set()
    for path in Path(dms_assets.__path__[0]).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        names = _CALL.findall(text)
        assert len(names) == len(_ANY_CALL.findall(text)), f"{path}: a name that is not written out cannot be listed"
        used |= set(names)
    assert used == failpoints.NAMES
    assert len(used) >= 30


def test_a_plan_is_read_as_it_is_written() -> None:
    assert failpoints.parse("") == {}
    found = failpoints.parse("lake.before_commit=kill, local_dms.before_confirm=error@3")
    assert found == {"lake.before_commit": ("kill", 1), "local_dms.before_confirm": ("error", 3)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lake.nowhere=kill", "there is no failpoint"),
        ("lake.before_commit=stop", "is not name=kill"),
        ("lake.before_commit=kill@0", "is not name=kill"),
        ("lake.before_commit=kill@x", "is not name=kill"),
    ],
)
def test_a_mistake_in_a_plan_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        failpoints.parse(text)


def test_a_place_acts_at_the_wanted_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_PLAN", failpoints.parse("lake.before_commit=error@2"))
    monkeypatch.setattr(failpoints, "_REACHED", type(failpoints._REACHED)())
    failpoints.reach("lake.before_commit")
    failpoints.reach("lake.after_commit")
    with pytest.raises(failpoints.FailpointError, match=r"for the 2\. time"):
        failpoints.reach("lake.before_commit")
    failpoints.reach("lake.before_commit")


def test_a_name_that_is_not_listed_is_refused() -> None:
    with pytest.raises(KeyError):
        failpoints.reach("lake.nowhere")
