"""The embedded PostgreSQL: made, started, found, stopped and killed, wherever its folder is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from dms_assets.sample import unprivileged
from dms_assets.sample.postgres import EmbeddedPostgres, PostgresInUseError
from dms_assets.sample.postgres_cluster import PostgresError, binary, find_postmaster

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("private") / "a stack, with spaces"
    home.mkdir(mode=0o700)
    home.parent.chmod(0o700)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(home / "postgres") as server:
        yield server


def value(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.dsn) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def test_serves_below_a_private_folder_with_spaces_and_opens_nothing(server: EmbeddedPostgres, home: Path) -> None:
    assert server.running
    assert value(server, "select current_database()") == "probation"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700


def test_settings_are_those_a_replicated_source_needs(server: EmbeddedPostgres) -> None:
    expected = {
        "wal_level": "logical",
        "fsync": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "TimeZone": "Europe/London",
        "server_encoding": "UTF8",
        "data_checksums": "on",
    }
    assert {name: value(server, f"show {name}") for name in expected} == expected
    assert int(str(value(server, "show max_prepared_transactions"))) > 0


def test_secret_is_private_and_its_password_is_asked_for(server: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(server.secret_path.stat().st_mode) == 0o600
    assert server.secret_path.name == "probation__dms.json"
    secret = json.loads(server.secret_path.read_text())
    assert set(secret) == {"host", "port", "dbname", "username", "password"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.dsn.replace(secret["password"], "wrong"))
    assert secret["password"] not in repr(server.connection_info)


def test_second_start_on_a_running_server_is_refused_and_names_the_holder(server: EmbeddedPostgres) -> None:
    with pytest.raises(PostgresInUseError, match=f"process {os.getpid()}"):
        EmbeddedPostgres(server.data_dir).start()
    assert server.start() is server
    assert value(server, "select 1") == 1


def test_data_survives_stop_and_kill_on_the_same_port(server: EmbeddedPostgres) -> None:
    port = server.connection_info.port
    with psycopg.connect(server.dsn) as connection:
        connection.execute("create table kept (id int)")
        connection.execute("insert into kept values (1)")
    server.stop()
    assert not server.running
    assert find_postmaster(server.data_dir) is None
    server.start()
    with psycopg.connect(server.dsn) as connection:
        connection.execute("insert into kept values (2)")
    children = psutil.Process(server.pid).children()
    server.kill()
    assert not server.running
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert (server.data_dir / "postmaster.pid").exists(), "the kill was not a crash"
    server.start()
    assert server.connection_info.port == port
    assert value(server, "select count(*) from kept") == 2


def test_orphan_of_a_killed_process_is_ended_by_the_next_start(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from dms_assets.sample.postgres import EmbeddedPostgres\n"
        "EmbeddedPostgres(Path(sys.argv[1])).start(); print('up', flush=True); time.sleep(600)"
    )
    data_dir = tmp_path / "postgres"
    parent = subprocess.Popen([sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"up\n"
        with pytest.raises(PostgresInUseError, match=f"process {parent.pid}"):
            EmbeddedPostgres(data_dir).start()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    orphan = find_postmaster(data_dir)
    assert orphan is not None, "no orphan was left"
    with EmbeddedPostgres(data_dir) as server:
        assert server.pid != orphan.pid
        assert not psutil.pid_exists(orphan.pid) or psutil.Process(orphan.pid).status() == psutil.STATUS_ZOMBIE
        assert value(server, "select 1") == 1


def test_stale_pid_file_of_another_program_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n{int(time.time())}\n5432\n")
    assert find_postmaster(tmp_path) is None


def test_taken_port_foreign_folder_and_lost_password_are_named(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match=f"port {server.connection_info.port} .* taken"):
        EmbeddedPostgres(tmp_path / "a", server.connection_info.port).start()
    foreign = tmp_path / "b"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("mine")
    with pytest.raises(PostgresError, match="not a PostgreSQL data folder"):
        EmbeddedPostgres(foreign).start()
    assert (foreign / "letter.txt").read_text() == "mine"
    (foreign / "PG_VERSION").write_text("18")
    (tmp_path / "secrets" / "probation__dms.json").unlink()
    with pytest.raises(PostgresError, match="password"):
        EmbeddedPostgres(foreign).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an identity to drop")
def test_without_user_namespaces_setpriv_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "unshare" else which(name))
    tmp_path.chmod(0o700)
    with EmbeddedPostgres(tmp_path / "with setpriv" / "postgres") as server:
        assert server.data_dir.stat().st_uid == unprivileged.NOBODY
        assert psutil.Process(server.pid).uids().effective == unprivileged.NOBODY
        assert value(server, "select 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an identity to drop")
def test_with_neither_way_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(unprivileged.CannotDropRootError, match="run this command as an ordinary user"):
        unprivileged.identity(binary("postgres"), tmp_path)


def test_interrupted_creation_is_begun_anew_and_stop_does_not_wait_for_clients(tmp_path: Path) -> None:
    left = tmp_path / ".postgres.initdb"
    left.mkdir()
    (left / "PG_VERSION").write_text("18")
    server = EmbeddedPostgres(tmp_path / "postgres").start()
    assert not left.exists()
    with psycopg.connect(server.dsn) as idle:
        idle.execute("select 1")
        started = time.monotonic()
        server.stop(timeout_s=20)
        assert time.monotonic() - started < 10
        with pytest.raises(psycopg.OperationalError):
            idle.execute("select 1")
    with pytest.raises(PostgresError, match="nothing to kill"):
        server.kill()
