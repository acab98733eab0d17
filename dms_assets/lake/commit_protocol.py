"""The commit protocol: pending files of one table -> one atomic commit, exactly once, whoever runs it and dies.

The steps and their reasons are those of `model.commit_plan`; here is the I/O. Two workers may run this for one table
at once, and either may be killed anywhere: the Iceberg commit on the base read first is the only thing that decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from dms_assets.lake.batch_attempt import BatchAttempt, TableIntake
from dms_assets.lake.intake import Judged, scratch_folder
from dms_assets.lake.object_store import ObjectNotFoundError, PreconditionFailedError
from dms_assets.lake.stores import LakeStores
from dms_assets.lake.table_outcome import TableOutcome
from dms_assets.lake.validated_table import CommitConflictError
from dms_assets.model.landed_file import FileIdentity
from dms_assets.validation.batch_check import merge_checks
from dms_assets.validation.messages import TableTask
from dms_assets.validation.worker_process import ValidationWorker

_LOG = logging.getLogger(__name__)

MAX_ATTEMPTS = 6


class TableBusyError(Exception):
    """Other workers were faster at every attempt; nothing is lost, and what they committed is in the table."""


def ingest_table(
    stores: LakeStores, table: TableIntake, worker: ValidationWorker, now: Callable[[], datetime]
) -> TableOutcome:
    """Take what is pending for one table, in one commit at most.

    Files that are rejected go to quarantine and stop no other. Raises TableBusyError after MAX_ATTEMPTS,
    UnknownCommitError, BreakingSchemaError, WorkerFailedError, ObjectStoreError: in each case landing keeps what was
    not committed, and the next run goes on from there.
    """
    spec, metadata = table.spec, table.metadata
    checks = spec.table(metadata.name).checks
    dms = spec.dms
    worker.set_table(TableTask(metadata, checks, dms.columns, dms.unique_positions, dms.ordered_files, table.added))
    outcome = TableOutcome(metadata.name)
    judged: dict[FileIdentity, Judged] = {}
    for number in range(1, MAX_ATTEMPTS + 1):
        outcome.attempts = number
        try:
            with scratch_folder(stores.scratch / "intake") as folder:
                BatchAttempt(stores, table, worker, folder=folder, now=now(), outcome=outcome).run(judged)
        except (CommitConflictError, ObjectNotFoundError, PreconditionFailedError) as error:
            _LOG.info("%s: begin again: %s", metadata.name, error)
            continue
        outcome.checks = merge_checks((item.file.identity, item.verdict) for item in judged.values())
        return outcome
    raise TableBusyError(
        f"{metadata.name} of source {spec.name}: {MAX_ATTEMPTS} attempts met other workers' commits; run it again, and "
        "see that only one run per table is launched"
    )
