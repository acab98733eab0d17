"""What really went through the pipeline, counted in the lake and the warehouse rather than remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from dms_assets.installation import Installation
from dms_assets.lake.pinned_snapshot import PinnedSnapshot, pinned_snapshot, validated_identifier
from dms_assets.model.names import TableName
from dms_assets.model.source_spec import SourceSpec


@dataclass(frozen=True, slots=True)
class TableEvidence:
    """One table's change log. `redelivered` are rows of changes that are there in more than one copy.

    `during_load` counts changes committed between the start and the end of the table's load.
    """

    name: TableName
    load_rows: int
    changes: int
    files: int
    redelivered: int
    during_load: int


def _query(connection: duckdb.DuckDBPyConnection, pinned: PinnedSnapshot, keyed: bool) -> tuple[int, ...]:
    # The paths are our own data files, whose names the platform gave.
    files = ", ".join("'" + file.replace("'", "''") + "'" for file in pinned.files)
    load = pinned.loads[0]
    copies = "count(*) - count(distinct _change_id)" if keyed else "0 * count(*)"
    row = connection.execute(
        f"""
        select count(*) filter (_op = 'L'),
               count(*) filter (_op <> 'L'),
               count(distinct _file),
               (select {copies} from read_parquet([{files}], union_by_name = true) where _op <> 'L'),
               count(*) filter (_op <> 'L' and _commit_at between ? and ?)
        from read_parquet([{files}], union_by_name = true)
        """,
        [load.started_at, load.ended_at],
    ).fetchone()
    if row is None:
        raise LookupError(f"no count of {pinned.identifier}")
    return row


def table_evidence(
    installation: Installation, spec: SourceSpec, keyed: Mapping[TableName, bool]
) -> list[TableEvidence]:
    """The evidence of every table that has a load; `keyed` says which have a key."""
    found = []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in spec.table_names:
            pinned = pinned_snapshot(installation.catalog, validated_identifier(spec.name, name))
            if pinned is None or not pinned.loads:
                continue
            counts = _query(connection, pinned, keyed[name]) if pinned.files else (0, 0, 0, 0, 0)
            found.append(TableEvidence(name, *counts))
    return found


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that must have happened for the proof to mean something."""

    what: str
    count: int

    @property
    def seen(self) -> bool:
        """Whether it happened at all."""
        return self.count > 0


def happenings(workload: Mapping[str, int], tables: Sequence[TableEvidence]) -> list[Happening]:
    """The list that the demo prints, each with its count."""
    return [
        Happening("changes committed during the load", sum(table.during_load for table in tables)),
        Happening("key updates", workload["key_update"]),
        Happening("updates of a key that others refer to", workload["referenced_key_update"]),
        Happening("delete and re-insert of a key", workload["delete_reinsert"]),
        Happening("several changes of a row in a transaction", workload["several_changes_of_a_row"]),
        Happening("rollbacks", workload["rollback"]),
        Happening("rollbacks to a savepoint", workload["savepoint_rollback"]),
        Happening("commits that were under way together", workload["concurrent_commits"]),
        Happening("updates beside a large value", workload["beside_large_value"]),
        Happening("tables with several files", sum(table.files > 1 for table in tables)),
        Happening("changes delivered again after the restart", sum(table.redelivered for table in tables)),
    ]
