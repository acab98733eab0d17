"""`dms-assets doctor` on the sample, as a user runs it: what it prints, what it exits with, what it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from dms_assets.cli import cli
from dms_assets.commands.dms_client import ENDPOINT_VARIABLE
from dms_assets.sample.connection import ConnectionInfo, read_secret, write_secret
from dms_assets.sample.data import create_sample
from dms_assets.sample.postgres import EmbeddedPostgres

pytestmark = pytest.mark.postgres

NOTHING_LISTENS = "http://127.0.0.1:9"
SAMPLE = {
    "log_kept_without_limit max_slot_wal_keep_size",
    "time_cut probation.migrated_value.clock",
    "updates_not_captured probation.audit_event",
    "generated_column probation.offender.display_name",
    "large_values_possible probation.office",
    "large_values_possible probation.practitioner",
    "large_values_possible probation.sentence",
    "number_without_precision probation.conviction.costs",
    "number_without_precision probation.migrated_value.any_digits",
    "number_without_precision probation.payment.balance",
    "table_without_key probation.audit_event",
}
"""What is so in the sample, checked by hand against its schema: nothing of it loses a value today."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with EmbeddedPostgres(folder / "postgres") as server:
        create_sample(server.dsn, scale=0.02)
        yield folder


def _doctor(home: Path, *arguments: str, local: bool = True) -> Result:
    # Nothing listens there: a preflight must not depend on the service.
    environment = {ENDPOINT_VARIABLE: NOTHING_LISTENS if local else None, "AWS_ACCESS_KEY_ID": "x"}
    environment |= {"AWS_SECRET_ACCESS_KEY": "x", "AWS_MAX_ATTEMPTS": "1"}
    return CliRunner().invoke(cli, ["doctor", "--home", str(home), *arguments], env=environment)


def _secret(home: Path) -> Path:
    return home / "secrets" / "probation__dms.json"


def test_the_sample_has_no_error_and_no_false_alarm(home: Path) -> None:
    answer = _doctor(home, "--json")
    (source,) = json.loads(answer.output)["sources"]
    assert {f"{one['code']} {one['thing']}" for one in source["findings"]} == SAMPLE
    assert source["counts"] == {"error": 0, "warning": 3, "note": 8}
    assert source["extractor"] == "local"
    assert answer.exit_code == 0


def test_the_report_is_grouped_and_has_what_to_paste(home: Path) -> None:
    answer = _doctor(home, "probation")
    assert answer.exit_code == 0
    assert "no errors, 3 warnings, 8 notes" in answer.output
    assert answer.output.index("WARNINGS (3)") < answer.output.index("NOTES (8)")
    assert "      ALTER TABLE probation.audit_event REPLICA IDENTITY FULL;\n" in answer.output
    assert "            - {column: display_name, reason: generated in the source}\n" in answer.output


def test_only_the_sql_for_psql(home: Path) -> None:
    answer = _doctor(home, "--fix-sql")
    with psycopg.connect(read_secret(_secret(home)).dsn) as connection:
        for line in answer.output.splitlines():
            if not line.startswith("--") and "ALTER SYSTEM" not in line:
                connection.execute(line.encode())
        connection.rollback()
    assert "-- probation: warning: updates_not_captured probation.audit_event" in answer.output


def test_an_error_is_status_one(home: Path) -> None:
    answer = _doctor(home, "--service", "aws", local=False)
    assert answer.exit_code == 1
    assert "ERRORS (1)" in answer.output
    assert "number_cut  probation.migrated_value.any_digits" in answer.output


def test_a_database_that_cannot_be_reached_is_status_two_with_a_remedy(home: Path, tmp_path: Path) -> None:
    info = read_secret(_secret(home))
    for changed, reason, remedy in (
        (replace(info, password="not it"), "authentication failed", "correct username and password"),
        (replace(info, port=9), "refused", "nothing listens there"),
        (replace(info, dbname="nowhere"), "does not exist", "correct dbname"),
    ):
        write_secret(_secret(tmp_path), changed)
        answer = _doctor(tmp_path)
        assert answer.exit_code == 2
        assert reason in answer.output
        assert remedy in answer.output
        assert info.password not in answer.output
        assert changed.password not in answer.output
    told = json.loads(_doctor(tmp_path, "--json").output)["sources"]
    assert told[0]["remedy"].startswith("correct dbname")


def test_without_a_secret_it_says_what_to_write(tmp_path: Path) -> None:
    answer = _doctor(tmp_path)
    assert answer.exit_code == 2
    assert "secret 'probation/dms' is not there" in answer.output
    assert "--source-url" in answer.output


def test_another_database_by_url(home: Path, tmp_path: Path) -> None:
    info: ConnectionInfo = read_secret(_secret(home))
    assert _doctor(tmp_path, "probation", "--source-url", info.dsn).exit_code == 0
    wrong = _doctor(tmp_path, "probation", "--source-url", "postgresql://:@:bad:secret-word")
    assert wrong.exit_code == 2
    assert "secret-word" not in wrong.output
    assert "no host" in _doctor(tmp_path, "--source-url", "postgresql://u:secret-word@/db").output
