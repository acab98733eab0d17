"""A validated table: read once as the base of a batch, and one atomic commit on exactly that base."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Snapshot

from dms_assets.lake.refusals import CommitRefusedError, refusals_prove_nothing
from dms_assets.model.commit_plan import BATCH, BATCH_ID, FILES, Base, CommitPlan, Outcome, commit_outcome
from dms_assets.model.commit_properties import (
    COMMITTED_FILES,
    INLINE_BYTES,
    LOADS,
    ManifestPointer,
    committed_files_json,
    loads_json,
    manifest_pointer_json,
    parse_committed_files,
    parse_loads,
    parse_manifest,
)
from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.stored_schema import (
    COLUMNS_PROPERTY,
    columns_from_json,
    columns_to_json,
    evolved,
    schema_of,
    stored_schema,
)
from dms_assets.model.table_metadata import TableMetadata

_LOG = logging.getLogger(__name__)

KEPT_SNAPSHOTS = 20
_EXPIRE_ABOVE = 40
_PROPERTIES = {
    "format-version": "2",
    # The base is the only fence: a commit that another one overtook must fail, not be repeated by the library.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


class CommitConflictError(Exception):
    """Nothing of this batch is in the table, mostly because another was committed on the same base. Begin again."""


class UnknownCommitError(Exception):
    """The commit failed in a way that does not say whether it took place, and the table does not show it (yet)."""


def open_table(catalog: Catalog, identifier: tuple[str, str], metadata: TableMetadata) -> Table:
    """The table as it is now; made from the metadata if it is not there. Two workers may do it at once."""
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        pass
    try:
        catalog.create_namespace(identifier[0])
    except NamespaceAlreadyExistsError:
        _LOG.debug("namespace %s is there already", identifier[0])
    columns = {column.name: column.type for column in metadata.columns}
    properties = {**_PROPERTIES, COLUMNS_PROPERTY: columns_to_json(columns)}
    try:
        return catalog.create_table(identifier, stored_schema(metadata), properties=properties)
    except TableAlreadyExistsError:
        return catalog.load_table(identifier)


def read_base(table: Table) -> Base:
    """The base of a batch, from a table that was loaded just now."""
    snapshot = table.current_snapshot()
    properties = table.properties
    return Base(
        snapshot_id=snapshot.snapshot_id if snapshot else None,
        batch=int(properties.get(BATCH, "0")),
        committed=_committed(table, properties.get(COMMITTED_FILES)),
        loads=parse_loads(properties[LOADS]) if LOADS in properties else (),
    )


def batch_id_of(table: Table) -> str | None:
    """The id of the batch that the table's current snapshot was committed for, None before the first."""
    return _summary(snapshot).get(BATCH_ID) if (snapshot := table.current_snapshot()) else None


def total_rows(table: Table) -> int:
    """Rows of the whole table, as its current snapshot counts them."""
    snapshot = table.current_snapshot()
    return int(_summary(snapshot).get("total-records", "0")) if snapshot else 0


def batch_summary(table: Table) -> dict[str, str]:
    """What the current snapshot's summary says of its batch: for a snapshot of the same rows in other files."""
    snapshot = table.current_snapshot()
    found = _summary(snapshot) if snapshot else {}
    return {key: found[key] for key in (BATCH, BATCH_ID, FILES) if key in found}


def check_evolution(table: Table, metadata: TableMetadata) -> None:
    """Raises BreakingSchemaError if the stored table cannot follow the metadata: before any work is done."""
    evolved(columns_from_json(table.properties[COLUMNS_PROPERTY]), metadata)


def commit_batch(
    catalog: Catalog, table: Table, plan: CommitPlan, data_files: Sequence[str], metadata: TableMetadata
) -> int:
    """Append a batch on the base of its plan, in one commit; returns the snapshot's id.

    `table` is as it was loaded for the base, `data_files` are URIs. Raises CommitConflictError if the table is not at
    the base any more, UnknownCommitError if the outcome cannot be known (never delete the data files then),
    BreakingSchemaError if the stored table cannot follow the metadata.
    """
    properties = {
        COMMITTED_FILES: _committed_text(table, plan.committed),
        LOADS: loads_json(plan.loads),
        BATCH: str(plan.batch),
    }
    transaction = table.transaction()
    _evolve(transaction, table, metadata)
    if data_files:
        transaction.add_files(list(data_files), snapshot_properties=plan.summary, check_duplicate_files=False)
    else:
        transaction.append(stored_schema(metadata).empty_table(), snapshot_properties=plan.summary)
    transaction.set_properties(properties)
    try:
        with refusals_prove_nothing(table):
            transaction.commit_transaction()
    except Exception as error:  # noqa: BLE001
        # Whatever a catalog raises here, only the table itself can tell whether the commit took place: a refusal too
        # may be the answer to a request that the client repeated after the first one was carried out.
        return _look_again(catalog, table, plan, error)
    snapshot = table.current_snapshot()
    if snapshot is None:
        raise UnknownCommitError(f"{_name(table)} has no snapshot after a commit")
    return snapshot.snapshot_id


def _look_again(catalog: Catalog, table: Table, plan: CommitPlan, error: Exception) -> int:
    """The snapshot of a batch whose commit ended in an error, if the table shows it."""
    try:
        snapshots = list(_newest_first(catalog.load_table(table.name())))
    except Exception as second:  # noqa: BLE001 whatever it is, nobody could look
        raise _unknown(table, plan, f"{error}; then: {second}") from error
    refused = isinstance(error, CommitRefusedError)
    outcome = commit_outcome(
        plan, [(snapshot.snapshot_id, _summary(snapshot)) for snapshot in snapshots], refused=refused
    )
    if outcome is Outcome.COMMITTED:
        return next(snapshot.snapshot_id for snapshot in snapshots if _summary(snapshot).get(BATCH_ID) == plan.batch_id)
    if outcome is Outcome.REFUSED:
        raise CommitConflictError(f"{_name(table)} moved on from snapshot {plan.base_snapshot_id}") from error
    raise _unknown(table, plan, str(error)) from error


def _unknown(table: Table, plan: CommitPlan, told: str) -> UnknownCommitError:
    return UnknownCommitError(
        f"the outcome of batch {plan.batch} of {_name(table)} is unknown ({told}); nothing is deleted, the next run "
        "looks at the table again and goes on from there"
    )


def expire_snapshots(table: Table, *, before: datetime | None = None, dry_run: bool = False) -> int:
    """Forget old snapshots: the time of a commit grows with their number. Deletes no file; how many are forgotten.

    Those beyond the newest KEPT_SNAPSHOTS once there are twice as many; given an instant, all beyond those, and those
    from before it. Never the current one. Rows go with none of them: a snapshot holds all rows of those before it.
    """
    older = list(_newest_first(table))[1:]
    if before is None and len(older) < _EXPIRE_ABOVE:
        return 0
    old = older[KEPT_SNAPSHOTS - 1 :]
    if before is not None:
        old += [s for s in older[: KEPT_SNAPSHOTS - 1] if s.timestamp_ms < before.timestamp() * 1000]
    if not old or dry_run:
        return len(old)
    expiry = table.maintenance.expire_snapshots()
    expiry.by_ids([snapshot.snapshot_id for snapshot in old])
    try:
        expiry.commit()
    except CommitFailedException:
        _LOG.info("snapshots of %s are expired another time: it was written to just now", _name(table))
        return 0
    return len(old)


def _newest_first(table: Table) -> Iterable[Snapshot]:
    snapshot = table.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None


def _evolve(transaction: Transaction, table: Table, metadata: TableMetadata) -> None:
    stored = columns_from_json(table.properties[COLUMNS_PROPERTY])
    columns = evolved(stored, metadata)
    if columns == stored:
        return
    with transaction.update_schema() as update:
        update.union_by_name(schema_of(columns))
    transaction.set_properties({COLUMNS_PROPERTY: columns_to_json(columns)})


def _committed(table: Table, text: str | None) -> frozenset[FileIdentity]:
    found = parse_committed_files(text) if text is not None else frozenset()
    if not isinstance(found, ManifestPointer):
        return found
    with table.io.new_input(found.uri).open() as stream:
        return parse_manifest(found, stream.read())


def _committed_text(table: Table, files: frozenset[FileIdentity]) -> str:
    """The value of the property; a long list is written to a manifest of this attempt's own first.

    Never over another's: a worker killed while it writes would take the manifest that the table points to with it.
    """
    text = committed_files_json(files)
    body = text.encode()
    if len(body) <= INLINE_BYTES:
        return text
    uri = f"{table.location()}/metadata/committed-files-{uuid.uuid4().hex}.json"
    with table.io.new_output(uri).create() as stream:
        stream.write(body)
    return manifest_pointer_json(uri, body)


def _summary(snapshot: Snapshot) -> dict[str, str]:
    return snapshot.summary.additional_properties if snapshot.summary is not None else {}


def _name(table: Table) -> str:
    return ".".join(table.name())
