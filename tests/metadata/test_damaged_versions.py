"""A stored metadata version that is damaged holds up its own table, and says so."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.metadata.version_store import DamagedVersionError
from dms_assets.model.names import TableName
from dms_assets.pipeline.ingestion import Ingestion
from tests.lake.world import NO_KEY, PERSON, source_spec

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _edited(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps({**json.loads(body), **changes}).encode()


def _other_format(body: bytes) -> bytes:
    document = json.loads(body)
    return json.dumps({**document, "metadata": {**document["metadata"], "format": 99}}).encode()


def _other_column(body: bytes) -> bytes:
    return body.replace(b'"decimal(10,2)"', b'"decimal(18,2)"')


def _other_table(body: bytes) -> bytes:
    other = replace(PERSON, name=TableName("app", "other"))
    return json.dumps({**json.loads(body), "version": other.version, "metadata": other.to_json()}).encode()


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing in it": (lambda _: b"", "Expecting value"),
    "cut off": (lambda body: body[: len(body) // 2], "line [0-9]+ column"),
    "no text": (lambda _: b"\xff\xfe\x00\x80", "."),
    "a list": (lambda _: b"[]", "list indices"),
    "no time": (lambda body: body.replace(b"recorded_at", b"recorded"), "'recorded_at'"),
    "no metadata": (_edited(metadata=None), "NoneType"),
    "another format": (_other_format, "format 99; this release reads format 1"),
    "a value changed": (_other_column, "not that of version"),
    "of another table": (_other_table, "describes app.other"),
}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    made = Installation(Environment(home=tmp_path))
    for table in (PERSON, NO_KEY):
        made.versions("shop").record(table, NOW)
    return made


def _damage(installation: Installation, how: Callable[[bytes], bytes]) -> Path:
    path = installation.environment.state_dir / "metadata" / "shop" / "app.person" / "000001.json"
    before = path.read_bytes()
    path.write_bytes(how(before))
    assert path.read_bytes() != before
    return path


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_with_place_reason_and_remedy(
    installation: Installation, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    how, reason = DAMAGE[name]
    path = _damage(installation, how)
    store = installation.versions("shop")
    for look in (
        lambda: store.current(PERSON.name),
        lambda: store.history(PERSON.name),
        lambda: store.record(PERSON, NOW),
    ):
        with pytest.raises(DamagedVersionError) as caught:
            look()
        told = str(caught.value)
        assert "app.person" in told
        assert str(path) in told
        assert re.search(reason, told)
        assert "put the document back from a copy, or remove it" in told
    with caplog.at_level(logging.ERROR):
        assert installation.known_metadata(source_spec()) == {NO_KEY.name: NO_KEY}, "the other table goes on"
    assert str(path) in caplog.text


def test_the_table_is_not_taken_and_the_other_is_asked_for(installation: Installation) -> None:
    _damage(installation, DAMAGE["cut off"][0])
    with Ingestion(installation, source_spec(), SimpleNamespace()) as ingestion:  # type: ignore[arg-type]
        with pytest.raises(DamagedVersionError, match=r"app\.person"):
            ingestion.take(PERSON.name)
        # The other table comes as far as asking DMS, which is not there.
        with pytest.raises(AttributeError, match="client"):
            ingestion.take(NO_KEY.name)


def test_the_remedy_helps(installation: Installation) -> None:
    path = _damage(installation, DAMAGE["cut off"][0])
    path.unlink()
    installation.versions("shop").record(PERSON, NOW)
    assert installation.known_metadata(source_spec()) == {PERSON.name: PERSON, NO_KEY.name: NO_KEY}
