"""Where a source is: given once, kept in a file for its user only, never changed behind their back."""

import json
import stat
from pathlib import Path

import pytest

from dms_assets.environment import Environment
from dms_assets.sample.connection import ConnectionInfo
from dms_assets.sources import UnknownSourceError, find_source
from dms_assets.stack.source_choice import (
    SAMPLE_SOURCE,
    SourceChosenError,
    SourceUrlError,
    is_embedded,
    parse_source_url,
    use_database,
)

SPEC = find_source(SAMPLE_SOURCE)
OTHER = SPEC.model_copy(update={"name": "crm"})
URL = "postgresql://dms:p%40ss@db.example:6543/delius"
INFO = ConnectionInfo("db.example", 6543, "delius", "dms", "p@ss")


def test_a_url_says_everything_and_may_name_its_source() -> None:
    assert parse_source_url(URL, [SPEC]) == (SPEC, INFO)
    assert parse_source_url(f"crm={URL}", [SPEC, OTHER]) == (OTHER, INFO)
    assert parse_source_url("postgres://u@h/d", [SPEC])[1] == ConnectionInfo("h", 5432, "d", "u", "")


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        ("postgresql://u:secret@h", SourceUrlError, "no dbname"),
        ("postgresql://u:secret@h/d?sslmode=require", SourceUrlError, "sets sslmode"),
        ("mysql://u:secret@h/d", SourceUrlError, "not postgresql://"),
        ("postgresql://u:secret@h:no/d", SourceUrlError, "port is not a number"),
        ("postgresql://u:sec ret@h/d", SourceUrlError, "percent-encode"),
        ("payroll=postgresql://u:secret@h/d", UnknownSourceError, "no source 'payroll'"),
    ],
)
def test_what_cannot_be_used_is_told_without_the_password(url: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as caught:
        parse_source_url(url, [SPEC])
    assert "secret@" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_with_several_sources_the_name_is_asked_for() -> None:
    with pytest.raises(SourceUrlError, match="NAME=postgresql"):
        parse_source_url(URL, [SPEC, OTHER])


def test_the_secret_is_private_and_another_database_is_refused(tmp_path: Path) -> None:
    environment = Environment(home=tmp_path / "home")
    assert is_embedded(environment, SPEC)
    assert not is_embedded(environment, OTHER)
    use_database(environment, SPEC, INFO)
    path = environment.secret_path(SPEC.connection.secret)
    assert json.loads(path.read_text())["password"] == "p@ss"
    for kept in (path, path.parent, environment.root):
        assert stat.S_IMODE(kept.stat().st_mode) & 0o077 == 0
    assert not is_embedded(environment, SPEC)
    use_database(environment, SPEC, ConnectionInfo("db.example", 6543, "delius", "dms", "new"))
    assert json.loads(path.read_text())["password"] == "new"
    with pytest.raises(SourceChosenError, match=r"delius.*name another folder") as caught:
        use_database(environment, SPEC, ConnectionInfo("elsewhere", 6543, "delius", "dms", "new"))
    assert "new" not in str(caught.value).replace("new folder", "")


def test_a_folder_with_the_embedded_sample_keeps_it(tmp_path: Path) -> None:
    environment = Environment(home=tmp_path)
    environment.postgres_dir.mkdir()
    (environment.postgres_dir / "PG_VERSION").write_text("18")
    assert is_embedded(environment, SPEC)
    with pytest.raises(SourceChosenError, match="embedded PostgreSQL"):
        use_database(environment, SPEC, INFO)
