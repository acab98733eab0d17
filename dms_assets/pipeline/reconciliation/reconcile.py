"""Reconcile a live source with curated: read the source at an instant, wait for curated to hold it, compare.

Keys that changed around the instant are compared again at a later one; so are the buckets of big tables that differ.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psycopg
from psycopg.conninfo import make_conninfo

from dms_assets.installation import Installation
from dms_assets.metadata.source_connection import SourceUnreachableError
from dms_assets.model.engine import Engine, EngineNotSupportedError
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata
from dms_assets.pipeline.reconciliation.rounds import Reconciled, TableWork
from dms_assets.pipeline.reconciliation.store import ReconciliationStore
from dms_assets.pipeline.reconciliation.wait import wait_until_curated
from dms_assets.reconcile.at_instant import big_tables
from dms_assets.reconcile.comparable_text import NoComparisonError, source_text
from dms_assets.reconcile.compare import WarehouseNotReadableError, open_warehouse
from dms_assets.reconcile.digests import Digests, source_digests
from dms_assets.reconcile.postgres_columns import (
    HiddenRowsError,
    SourceChangedError,
    check_all_rows_shown,
    postgres_columns,
)
from dms_assets.reconcile.result import ReconciliationResult
from dms_assets.reconcile.source_state import SourceSnapshot, SourceState, read_source, source_snapshot

TIMEOUT_S = 300.0
"""How long one instant is waited for."""
ROUNDS = 4
"""Instants that are tried; what is in doubt at all of them stays so."""
BIG_ROWS = 1_000_000
"""From so many versions of rows on, a table is compared by digests of buckets first."""
_MEMORY = "1GB"


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout_s`: how long one instant is waited for; `big_rows`: from where on digests are compared first."""

    timeout_s: float = TIMEOUT_S
    big_rows: int = BIG_ROWS


@dataclass(frozen=True, slots=True)
class _Reading:
    state: SourceState
    digests: Mapping[TableName, Digests]


@dataclass
class Reconciler:
    """Reconciles tables of one source. `say` is told of progress; `pause` waits between two looks at the lake."""

    installation: Installation
    spec: SourceSpec
    say: Callable[[str], None]
    limits: Limits = field(default_factory=Limits)
    pause: Callable[[float], None] = time.sleep

    def run(self, names: Sequence[TableName]) -> list[Reconciled]:
        """Compare some tables and store the results, in the order given.

        A table that the source has no more, or not as its metadata says, is not compared, and says so. Raises
        SourceUnreachableError, SecretNotFoundError or EngineNotSupportedError; then nothing is stored.
        """
        if self.spec.engine is not Engine.POSTGRES:
            raise EngineNotSupportedError(self.spec.engine, "reconciliation", [Engine.POSTGRES])
        known = self.installation.known_metadata(self.spec)
        big = self._big([known[name] for name in names if name in known])
        works = {name: TableWork(self.spec.name, known[name], name in big) for name in names if name in known}
        for number in range(1, ROUNDS + 1):
            left = [work for work in works.values() if not work.done]
            if left:
                self._round(left, number)
        found = [works[name].reconciled() if name in works else self._without_metadata(name) for name in names]
        store = ReconciliationStore(self.installation.state, self.spec.name)
        for reconciled in found:
            store.record(reconciled.result)
        return found

    def _round(self, works: Sequence[TableWork], number: int) -> None:
        scratch = self.installation.environment.lake_dir / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        # The folder holds values of the source: only this user can read it, and it goes when the round ends.
        with tempfile.TemporaryDirectory(prefix="reconcile-", dir=scratch) as folder:
            self.say(f"instant {number}: reading {len(works)} tables of source {self.spec.name}")
            reading = self._read(works, Path(folder))
            at = reading.state.at
            works = [work for work in works if not work.done]
            names = [work.table.name for work in works]
            found = wait_until_curated(
                self.installation,
                self.spec,
                at,
                names,
                timeout_s=self.limits.timeout_s,
                say=self.say,
                pause=self.pause,
            )
            if found.ready:
                self.say(f"instant {number}: comparing {len(found.ready)} tables as of {at:%H:%M:%S}")
                with self._warehouse(Path(folder)) as connection:
                    for work in works:
                        covered = found.ready.get(work.table.name)
                        if covered is not None:
                            work.compare(connection, reading.state, reading.digests.get(work.table.name), covered)
        last = found.again if number == ROUNDS else {}
        for name, reason in {**found.hopeless, **found.waiting, **last}.items():
            next(work for work in works if work.table.name == name).give_up(at, reason)

    def _read(self, works: Sequence[TableWork], folder: Path) -> _Reading:
        credentials = self.installation.environment.secret(self.spec.connection.secret)
        dsn = make_conninfo(
            host=credentials["host"],
            port=credentials["port"],
            dbname=credentials["dbname"],
            user=credentials["username"],
            password=credentials["password"],
            application_name="dms-assets reconcile",
        )
        digests = {}
        try:
            with source_snapshot(dsn) as snapshot:
                works = [work for work in works if _is_readable(snapshot, work)]
                rows = [work for work in works if not work.by_digest]
                conditions = {work.table.name: work.condition for work in rows}
                only = {name: condition for name, condition in conditions.items() if condition is not None}
                state = read_source(dsn, snapshot, [work.table for work in rows], folder, only)
                for work in works:
                    if work.by_digest:
                        columns = postgres_columns(snapshot.connection, [work.table])[work.table.name]
                        digests[work.table.name] = source_digests(snapshot, work.table, columns)
        except psycopg.OperationalError as error:
            raise SourceUnreachableError(self.spec, credentials, str(error)) from error
        return _Reading(state, digests)

    def _warehouse(self, folder: Path) -> duckdb.DuckDBPyConnection:
        connection = open_warehouse(self.installation.environment.published_file)
        connection.execute("set temp_directory = $1", [str(folder / "spill")])
        connection.execute(f"set memory_limit = '{_MEMORY}'")
        return connection

    def _big(self, tables: Sequence[TableMetadata]) -> set[TableName]:
        try:
            with open_warehouse(self.installation.environment.published_file) as connection:
                return big_tables(connection, self.spec.name, tables, self.limits.big_rows)
        except WarehouseNotReadableError:
            # Nothing is curated yet; the wait for it says so.
            return set()

    @staticmethod
    def _without_metadata(name: TableName) -> Reconciled:
        reason = "no metadata of the table; materialise its metadata asset first"
        now = datetime.now(UTC)
        return Reconciled(ReconciliationResult(name, now, now, compared=False, reason=reason))


def _is_readable(snapshot: SourceSnapshot, work: TableWork) -> bool:
    """Whether the source has the table as its metadata says, and shows it; if not, it is given up, others go on."""
    try:
        for column in postgres_columns(snapshot.connection, [work.table])[work.table.name]:
            source_text(column)
        check_all_rows_shown(snapshot.connection, work.table.name)
    except (SourceChangedError, NoComparisonError, HiddenRowsError) as error:
        work.give_up(snapshot.at, str(error))
        return False
    return True
