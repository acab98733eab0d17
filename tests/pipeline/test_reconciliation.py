"""Planted faults are found, what cannot be compared is told and not guessed, and nothing else is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psycopg
import pyarrow as pa
import pytest
from click.testing import CliRunner

from dms_assets import sources
from dms_assets.cli import cli
from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.lake.folder_store import FolderStore
from dms_assets.lake.object_store import ObjectMeta, PreconditionFailedError
from dms_assets.lake.task_memory import PollStore, StreamStore
from dms_assets.metadata.reflect_postgres import reflect
from dms_assets.metadata.source_connection import SourceUnreachableError
from dms_assets.model.landed_file import cdc_file_name
from dms_assets.model.names import Layer, TableName, quote
from dms_assets.model.source_spec import Schedule, SourceSpec, TableSpec
from dms_assets.model.task_state import TABLE_COMPLETED, TABLE_ERROR, TaskState
from dms_assets.model.watermark import COMMIT_TO_VISIBLE, LogReading, Note
from dms_assets.pipeline.keys import table_key
from dms_assets.pipeline.reconciliation import rounds as reconciliation_rounds
from dms_assets.pipeline.reconciliation.checks import RECONCILED_CHECK, build_reconciliation, check_result
from dms_assets.pipeline.reconciliation.reconcile import Limits, Reconciler
from dms_assets.pipeline.reconciliation.rounds import Reconciled
from dms_assets.pipeline.reconciliation.store import KEPT, ReconciliationStore, read_last_reconciliation
from dms_assets.pipeline.reconciliation.watermark import WatermarkStore
from dms_assets.reconcile.comparison import Fault
from dms_assets.reconcile.keys import key_hash
from dms_assets.sample.connection import write_secret
from dms_assets.sample.postgres import EmbeddedPostgres
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import NO_KEY, PERSON, World, cdc_table, load_table, rows, source_spec

pytestmark = pytest.mark.postgres

ROWS = 40


@dataclass
class Bench:
    """A source, validated tables that real files were taken into, and a warehouse built of them in a few lines."""

    server: EmbeddedPostgres
    world: World
    installation: Installation
    said: list[str] = field(default_factory=list)
    between: Callable[[], None] = lambda: None

    @property
    def spec(self) -> SourceSpec:
        return self.world.spec

    @property
    def published(self) -> Path:
        return self.installation.environment.published_file

    def source(self, statement: str) -> None:
        with psycopg.connect(self.server.dsn) as connection:
            connection.execute(statement.encode())

    def change(self, *, key: int, name: str, at: datetime, lose: bool = False) -> None:
        """An insert that DMS writes a file of, which may be lost before it is taken in."""
        table = cdc_table(rows(1, key, name=pa.array([name], pa.string())), seq=int(at.timestamp()))
        stamp = pa.array([f"{at:%Y-%m-%d %H:%M:%S.%f}"], pa.string())
        landed = self.world.land(cdc_file_name(datetime.now(UTC)), table.set_column(1, "dms_timestamp", stamp))
        if lose:
            (self.installation.environment.landing_dir / landed).unlink()
        self.world.ingest()
        self.publish()

    def publish(self) -> None:
        pinned = self.world.pinned()
        self.published.parent.mkdir(parents=True, exist_ok=True)
        copy = self.published.with_name("new") / self.published.name
        copy.parent.mkdir(exist_ok=True)
        copy.unlink(missing_ok=True)
        names = ", ".join(quote(column.name) for column in PERSON.columns)
        with duckdb.connect(str(copy)) as connection:
            connection.execute("create schema shop_app_curated")
            connection.execute("create schema platform")
            connection.execute(
                f"create table shop_app_curated.person_versions as select {names}, _op, _commit_at"
                " from read_parquet(?, union_by_name => true)",
                [list(pinned.files)],
            )
            connection.execute(
                f"create table shop_app_curated.person_history as select {names}, _commit_at as valid_from,"
                " lead(_commit_at, 1, timestamptz '2999-01-01') over (partition by id order by _commit_at) as valid_to"
                " from shop_app_curated.person_versions"
            )
            connection.execute(
                "create table platform.pinned_snapshots as select 'shop' as source, 'app' as table_schema,"
                f" 'person' as table_name, {pinned.batch} as batch"
            )
        copy.replace(self.published)

    def tamper(self, *statements: str) -> None:
        with duckdb.connect(str(self.published)) as connection:
            connection.execute("use warehouse.shop_app_curated")
            for statement in statements:
                assert connection.execute(statement).fetchall() != [(0,)], statement

    def cover(self) -> None:
        """The log is confirmed, up to now and the time a commit may take."""
        reading = LogReading(Note(datetime.now(UTC) + COMMIT_TO_VISIBLE, 1), "slot", 1)
        WatermarkStore(self.installation.state, "shop").advance(1, reading, landed_by=datetime.now(UTC))

    def reconcile(self, *, timeout_s: float = 60, big_rows: int = 1_000_000) -> Reconciled:
        def pause(_: float) -> None:
            self.between()
            self.cover()

        limits = Limits(timeout_s=timeout_s, big_rows=big_rows)
        reconciler = Reconciler(self.installation, self.spec, self.said.append, limits, pause)
        (found,) = reconciler.run([PERSON.name])
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("reconciliation") / "postgres") as server:
        yield server


@pytest.fixture(scope="module")
def worker() -> Iterator[ValidationWorker]:
    with ValidationWorker() as running:
        yield running


@pytest.fixture
def bench(server: EmbeddedPostgres, worker: ValidationWorker, tmp_path: Path) -> Bench:
    installation = Installation(Environment(home=tmp_path))
    write_secret(installation.environment.secret_path("shop/dms"), server.connection_info)
    world = World(tmp_path, installation.landing, installation.lake, worker, spec=source_spec(), streams=[])
    task = TaskState("arn:task:X", "t", "running", world.start - timedelta(hours=1))
    world.streams = list(StreamStore(installation.state, "shop").register(task))
    installation.versions("shop").record(PERSON, datetime.now(UTC))
    world.land_load(load_table(rows(ROWS)))
    world.loaded(ROWS)
    assert world.state is not None
    PollStore(installation.state, "shop").record(replace(task, tables={PERSON.name: world.state}), datetime.now(UTC))
    assert world.ingest().loads
    bench = Bench(server, world, installation)
    bench.publish()
    bench.source("drop schema if exists app cascade")
    bench.source("create schema app")
    bench.source(
        "create table app.person (id int primary key, name varchar(10), status text, amount numeric(10,2),"
        " seen_at timestamp)"
    )
    bench.source(
        "insert into app.person"
        " select n + 1, 'n' || n, 'OPEN', n, timestamp '1970-01-01' + n * interval '1 microsecond'"
        f" from generate_series(0, {ROWS - 1}) n"
    )
    return bench


@pytest.mark.parametrize("big_rows", [1_000_000, 1], ids=["every row", "digests"])
def test_equal_tables_are_equal_and_told_so(bench: Bench, big_rows: int) -> None:
    found = bench.reconcile(big_rows=big_rows)
    result = found.result
    assert (result.equal, result.compared, result.differing, result.in_doubt) == (True, True, 0, 0)
    assert (result.source_rows, result.curated_rows) == (ROWS, ROWS)
    assert result.method.startswith("digests" if big_rows == 1 else "every row")
    assert result.watermark is not None
    assert result.watermark >= result.at
    assert check_result("shop", result).passed
    assert any("comparing 1 tables" in line for line in bench.said)
    assert read_last_reconciliation(bench.installation.state, "shop") == {PERSON.name: result}
    scratch = bench.installation.environment.lake_dir / "scratch"
    assert not list(scratch.glob("reconcile-*")), "no values stay behind"


@pytest.mark.parametrize("big_rows", [1_000_000, 1], ids=["every row", "digests"])
def test_a_dropped_row_and_a_changed_value_are_named_and_no_value_is_kept(bench: Bench, big_rows: int) -> None:
    bench.tamper("delete from person_history where id = 7", "update person_history set name = 'canary' where id = 9")
    found = bench.reconcile(big_rows=big_rows)
    result = found.result
    assert (result.missing, result.different, result.extra, result.healed_buckets) == (1, 1, 0, 0)
    assert {(key.fault, key.key_hash, key.columns) for key in result.keys} == {
        (Fault.MISSING, key_hash(["7"]), ()),
        (Fault.DIFFERENT, key_hash(["9"]), ("name",)),
    }
    assert {difference.key["id"] for difference in found.differences} == {"7", "9"}
    check = check_result("shop", result)
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    shown = {name: str(value.value) for name, value in check.metadata.items()}
    assert "dms-assets reload person --source shop" in shown["remedy"]
    assert shown["reload"].startswith("/locations/dms_assets/jobs/shop_reload/playground/setup?config=")
    stored = b"".join(
        bench.installation.state.get(meta.key)[0] for meta in bench.installation.state.list("reconciliations/")
    )
    assert b"canary" not in stored + json.dumps(shown).encode() + "".join(bench.said).encode()


def test_a_file_that_was_lost_before_it_was_taken_in_is_found(bench: Bench) -> None:
    at = datetime.now(UTC) - timedelta(seconds=60)
    bench.source(
        "insert into app.person values (101, 'here', 'OPEN', 0, '1970-01-01'), (102, 'lost', 'OPEN', 0, '1970-01-01')"
    )
    bench.change(key=101, name="here", at=at)
    bench.change(key=102, name="lost", at=at, lose=True)
    found = bench.reconcile()
    assert found.result.missing == 1
    assert found.result.keys[0].key_hash == key_hash(["102"])
    assert found.result.differing == 1


def test_a_truncated_source_leaves_rows_too_many(bench: Bench) -> None:
    bench.source("truncate app.person")
    found = bench.reconcile()
    assert (found.result.extra, found.result.source_rows) == (ROWS, 0)
    assert len(found.differences) == 20, "the first of them are named"


def test_a_difference_that_heals_by_itself_is_still_a_difference(bench: Bench) -> None:
    """Of a big table only digests are kept of the instant; nothing that changed since explains the bucket."""
    bench.tamper("update person_history set name = 'wrong' where id = 3")
    looks: list[int] = []

    def repair_after_the_first_instant() -> None:
        looks.append(1)
        if len(looks) == 2:
            bench.publish()

    bench.between = repair_after_the_first_instant
    result = bench.reconcile(big_rows=1).result
    assert (result.differing, result.healed_buckets) == (0, 1)
    assert result.diverged


def test_a_key_that_changes_around_an_instant_is_settled_at_a_later_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation_rounds, "COMMIT_TO_VISIBLE", timedelta(minutes=5))
    bench.change(key=200, name="early", at=datetime.now(UTC))
    looks: list[int] = []

    def becomes_visible() -> None:
        """The source shows it only after the first instant; at the second, its commit is long ago."""
        if not looks:
            bench.source("insert into app.person values (200, 'early', 'OPEN', 0, '1970-01-01')")
        else:
            monkeypatch.setattr(reconciliation_rounds, "COMMIT_TO_VISIBLE", timedelta(0))
        looks.append(1)

    bench.between = becomes_visible
    result = bench.reconcile().result
    assert (result.equal, result.in_doubt, result.differing) == (True, 0, 0), result
    assert [line for line in bench.said if "instant 2: comparing" in line]
    assert len(looks) == 2


def test_a_key_that_never_rests_stays_in_doubt_and_is_no_alarm(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation_rounds, "COMMIT_TO_VISIBLE", timedelta(minutes=5))
    bench.change(key=200, name="hot", at=datetime.now(UTC))
    found = bench.reconcile()
    result = found.result
    assert (result.equal, result.in_doubt, result.differing, result.compared) == (True, 1, 0, True)
    assert found.doubtful == (("200",),)
    assert result.doubtful_keys == (key_hash(["200"]),)
    assert check_result("shop", result).metadata["in doubt"].value == 1


def not_compared(bench: Bench, reason: str) -> None:
    result = bench.reconcile(timeout_s=0.5).result
    assert not result.compared
    assert reason in str(result.reason)
    check = check_result("shop", result)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert read_last_reconciliation(bench.installation.state, "shop") == {}


def test_what_is_pending_held_or_loading_is_not_compared(bench: Bench) -> None:
    state, polls = bench.world.state, PollStore(bench.installation.state, "shop")
    assert state is not None
    task = TaskState("arn:task:X", "t", "running", bench.world.start - timedelta(hours=1))

    def dms_says(**facts: Any) -> None:
        polls.record(replace(task, tables={PERSON.name: replace(state, **facts)}), datetime.now(UTC))

    dms_says(state="Table is being reloaded")
    not_compared(bench, "DMS says 'Table is being reloaded'")
    dms_says(state=TABLE_COMPLETED, load_started=datetime.now(UTC))
    not_compared(bench, "its last load is not in the validated table yet")
    dms_says(state=TABLE_ERROR)
    not_compared(bench, "DMS suspended the table")
    dms_says(state=TABLE_COMPLETED)
    landed = bench.world.land(cdc_file_name(bench.world.start), b"noise")
    not_compared(bench, "it holds what was committed up to")
    assert (bench.installation.environment.landing_dir / landed).exists()
    bench.world.ingest()
    not_compared(bench, "files are in quarantine")


def test_a_source_that_is_down_stores_nothing(bench: Bench) -> None:
    info = replace(bench.server.connection_info, port=1)
    write_secret(bench.installation.environment.secret_path("shop/dms"), info)
    with pytest.raises(SourceUnreachableError, match="cannot be reached as user"):
        bench.reconcile()
    assert ReconciliationStore(bench.installation.state, "shop").tables() == []


@pytest.mark.parametrize("big_rows", [1_000_000, 1], ids=["every row", "digests"])
def test_a_table_that_the_source_has_otherwise_stops_no_other(bench: Bench, big_rows: int) -> None:
    gone = replace(PERSON, name=TableName("app", "gone"))
    bench.installation.versions("shop").record(gone, datetime.now(UTC))
    spec = bench.spec.model_copy(update={"tables": (*bench.spec.tables, TableSpec(name="gone"))})

    def pause(_: float) -> None:
        bench.cover()

    reconciler = Reconciler(bench.installation, spec, bench.said.append, Limits(big_rows=big_rows), pause)
    absent, person = (found.result for found in reconciler.run([gone.name, PERSON.name]))
    assert person.equal
    assert not absent.compared
    assert absent.reason is not None
    assert "the source has no column id" in absent.reason
    bench.source("alter table app.person rename name to called")
    person = bench.reconcile(big_rows=big_rows).result
    assert not person.compared
    assert person.reason is not None
    assert "no column name" in person.reason


def test_a_table_whose_rows_are_hidden_from_the_platform_is_not_called_equal(bench: Bench) -> None:
    """Load and comparison are made by one user: both would be short of the same rows."""
    for statement in (
        "drop role if exists reader",
        "create role reader login password 'of the reader'",
        "grant usage on schema app to reader",
        "grant select on app.person to reader",
    ):
        bench.source(statement)
    reader = replace(bench.server.connection_info, username="reader", password="of the reader")
    write_secret(bench.installation.environment.secret_path("shop/dms"), reader)
    with bench.installation.source_connection(bench.spec) as connection:
        assert reflect(connection, "app", ["person"]).hidden == frozenset()
    assert bench.reconcile().result.equal
    bench.source("create policy part on app.person using (id < 10)")
    bench.source("alter table app.person enable row level security")
    with bench.installation.source_connection(bench.spec) as connection:
        assert connection.execute("select count(*) from app.person").fetchone() == (9,)
        assert reflect(connection, "app", ["person"]).hidden == {PERSON.name}
    result = bench.reconcile().result
    assert not result.compared
    assert result.reason is not None
    assert "row security may hide rows" in result.reason
    bench.source("drop schema app cascade")
    bench.source("drop role reader")


def test_history_keeps_the_newest_results(bench: Bench) -> None:
    result = bench.reconcile().result
    store = ReconciliationStore(bench.installation.state, "shop")
    for number in range(KEPT + 5):
        store.record(replace(result, source_rows=number))
    kept = store.history(PERSON.name)
    assert (len(kept), kept[-1].source_rows) == (KEPT, KEPT + 4)


def test_a_result_is_kept_once_where_the_answer_to_its_first_writing_was_lost(bench: Bench) -> None:
    state, lost = bench.installation.state, list[str]()

    class ForgetsAnswers(FolderStore):
        def put(self, key: str, data: bytes | Path, **condition: Any) -> ObjectMeta:
            meta = super().put(key, data, **condition)
            if not lost:
                lost.append(key)
                # Another one changes the document before the request is sent again.
                super().put(
                    key, json.dumps({**json.loads(self.get(key)[0]), "seen": True}).encode(), if_match=meta.etag
                )
                raise PreconditionFailedError(key)
            return meta

    result = bench.reconcile().result
    before = ReconciliationStore(state, "shop").history(PERSON.name)
    assert isinstance(state, FolderStore)
    later = replace(result, source_rows=result.source_rows + 1)
    ReconciliationStore(ForgetsAnswers(state.root), "shop").record(later)
    assert lost, "the answer was lost"
    assert ReconciliationStore(state, "shop").history(PERSON.name) == (*before, later)


def test_there_is_a_check_for_each_table_that_blocks_nothing_and_runs_by_schedule_or_demand_only() -> None:
    spec = source_spec().model_copy(update={"schedule": Schedule(reconcile="0 7 * * *")})
    found = build_reconciliation(spec)
    assets = [dg.AssetSpec(table_key("shop", Layer.CURATED, name)) for name in spec.table_names]
    definitions = dg.Definitions.merge(found, dg.Definitions(assets=assets, resources={"installation": None}))
    graph = definitions.resolve_asset_graph()
    keys = {dg.AssetCheckKey(asset.key, RECONCILED_CHECK) for asset in assets}
    assert graph.asset_check_keys == keys
    for key in keys:
        assert not graph.get(key).blocking
        # A check with a condition of its own does not come along with every build.
        assert graph.get(key).automation_condition is not None
    schedule = definitions.resolve_schedule_def("shop_reconcile_schedule")
    assert (schedule.cron_schedule, schedule.job_name) == ("0 7 * * *", "shop_reconcile")
    result = dg.evaluate_automation_conditions(
        definitions, dg.DagsterInstance.ephemeral(), asset_selection=dg.AssetSelection.all()
    )
    assert result.total_requested == 0
    assert not list(build_reconciliation(source_spec()).schedules or [])


def test_the_command_tells_by_its_status(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "read_sources", lambda: ({Path("x"): bench.spec}, {}))
    home = str(bench.installation.environment.home)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["reconcile", "--home", home, "--timeout", "0.1", *arguments])

    late = run("--table", "person")
    assert late.exit_code == 2, late.output
    assert "not compared: no watermark covers it yet" in late.output
    bench.installation.versions("shop").record(NO_KEY, datetime.now(UTC))
    reading = LogReading(Note(datetime.now(UTC) + timedelta(hours=1), 1), "slot", 1)
    WatermarkStore(bench.installation.state, "shop").advance(1, reading, landed_by=datetime.now(UTC))
    equal = run("--table", "app.person")
    assert equal.exit_code == 0, equal.output
    assert "shop app.person: equal as of" in equal.output
    bench.tamper("update person_history set name = 'canary' where id = 9")
    differs = run("--table", "person")
    assert differs.exit_code == 1
    assert "different (id=9): name" in differs.output
    assert "canary" not in differs.output
    assert "dms-assets reload person --source shop" in differs.output
    (row,) = json.loads(run("--table", "person", "--json").stdout)
    assert (row["source"], row["equal"], row["different"]) == ("shop", False, 1)
    assert row["differences"] == [{"fault": "different", "key": {"id": "9"}, "columns": ["name"]}]
    assert run("--table", "nothing").exit_code == 2
