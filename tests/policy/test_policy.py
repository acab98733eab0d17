"""What must hold of the repository itself, and that each look at it, or at a running stack, can find something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.policy.locks import LOCKS, ROOT, actions, entries, loose_actions, not_locked, not_pinned, workflows
from tests.policy.processes import outside, readable_by_others, secret_files, talkative

HASHED = f"a==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
PROJECT = '[project]\ndependencies = ["a>=1,<2"]\n[dependency-groups]\ndev = ["b"]\n'


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_pinned_with_a_hash_and_allowed(lock: str) -> None:
    text, project = ((ROOT / name).read_text(encoding="utf-8") for name in (lock, "pyproject.toml"))
    assert len(entries(text)) > 50
    assert not_pinned(text) == []
    assert not_locked(project, text, "dev" if "dev" in lock else None) == []


@pytest.mark.parametrize(
    "line", ["b==1.0\n", "b>=1.0 --hash=sha256:" + "0" * 64, "b @ https://host/b.whl", "-e .", "b==1 --hash=md5:00"]
)
def test_a_loose_requirement_is_found(line: str) -> None:
    assert not_pinned(HASHED) == []
    assert len(not_pinned(HASHED + line)) == 1


def test_a_lock_that_is_behind_is_found() -> None:
    assert not_locked(PROJECT, HASHED, None) == []
    with_extras = HASHED.replace("a==", "a[one, two]==")
    assert not_pinned(with_extras) == not_locked(PROJECT, with_extras, None) == []
    assert not_locked(PROJECT, HASHED, "dev") == ["b"]
    assert not_locked(PROJECT, HASHED.replace("1.0", "2.0"), None) == ["a>=1,<2"]


def test_actions_are_named_by_their_commit() -> None:
    texts = list(workflows())
    assert sum(len(actions(text)) for text in texts) >= 2
    assert [loose for text in texts for loose in loose_actions(text)] == []


@pytest.mark.parametrize("action", ["actions/checkout@v5", "a/b@main", "a/b@08c6903", "docker://x:1"])
def test_a_loose_action_is_found(action: str) -> None:
    assert loose_actions(f"    steps:\n      - uses: {action} # comment\n") == [action]


def test_sockets_that_others_reach_are_found() -> None:
    here, elsewhere = ("127.0.0.1", 1), ("192.0.2.7", 443)
    assert outside([(here, ()), (here, here), (("::1", 2), ()), (("::ffff:127.0.0.1", 3), ())]) == []
    assert outside([(("0.0.0.0", 1), ()), (("::", 2), ()), (here, elsewhere), ((), elsewhere)]) == [
        "listens on 0.0.0.0:1",
        "listens on :::2",
        "is connected to 192.0.2.7",
        "is connected to 192.0.2.7",
    ]


def test_a_secret_that_others_can_read_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "kept").write_text("the secret", encoding="utf-8")
    (tmp_path / "open").write_text("a secret too", encoding="utf-8")
    tmp_path.chmod(0o755)
    (tmp_path / "open").chmod(0o644)
    found = {path.name: readable_by_others(path, tmp_path) for path in secret_files(tmp_path, ["secret"])}
    assert found == {"kept": False, "open": True}


def test_variables_that_keep_nothing_quiet_are_found() -> None:
    assert talkative({"DO_NOT_TRACK": "1"}) == ["DAGSTER_DISABLE_TELEMETRY", "DBT_SEND_ANONYMOUS_USAGE_STATS"]
