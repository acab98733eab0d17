"""The decisions of the commit protocol, as pure functions of what was read: what is done, what is new, what to commit.

The protocol (any step may die and be repeated, and two workers may run it at once):

1. Load the table once: its snapshot is the `Base`, and the only fence there is. Then list landing and quarantine:
   `plan_landing`. Finish what is decided: void quarantine entries of committed files, complete the ledger, delete
   what is decided and still listed, with If-Match.
2. GET with If-Match, validate, archive under the identity with the same condition; or put into quarantine with the
   same condition, ledger, delete. 412 or 404: back to 1.
3. Decide on loads (`load_closing`).
4. `plan_commit`: one append on the base of 1, never on a table loaded again, never retried, under a name that no
   other attempt has. Response lost, or a refusal, which may be the second answer to a commit that a client sent
   twice: `commit_outcome`.
5. Ledger, then delete with If-Match; 412 or 404 is success.

A limit: S3 deletes on a matching ETag only, so a file that DMS rewrites with the very same bytes between commit and
delete is deleted unread. Only LOAD keys are rewritten; the bytes are in the archive, and the newer load, short of
rows, is reported as stuck. A store whose ETag tells deliveries apart (the folder store) has no such limit.

`tests/model/test_commit_protocol_search.py` searches every interleaving of these steps with these functions.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dms_assets.model.landed_file import FileIdentity
from dms_assets.model.load import Load

BATCH = "dms-assets.batch"
BATCH_ID = "dms-assets.batch-id"
FILES = "dms-assets.files"


@dataclass(frozen=True, slots=True)
class Base:
    """What one load of the validated table says. `snapshot_id` is None and `batch` 0 before the first commit."""

    snapshot_id: int | None
    batch: int
    committed: frozenset[FileIdentity]
    loads: tuple[Load, ...]


@dataclass(frozen=True, slots=True)
class LandingPlan:
    """What is to be done with each file. All are sorted."""

    done: tuple[FileIdentity, ...]
    """Committed and still listed: complete the ledger row, then delete with If-Match (unless landing is kept)."""
    gone: tuple[FileIdentity, ...]
    """Committed and no longer listed (deleted, or rewritten under the same key): complete the ledger row."""
    void: tuple[FileIdentity, ...]
    """Committed, and in quarantine by a worker that judged otherwise: remove the entry before all else."""
    rejected: tuple[FileIdentity, ...]
    """In quarantine: complete the ledger row, then delete with If-Match if listed. Not judged again, or a file could
    be accepted by newer metadata and stay in quarantine."""
    new: tuple[FileIdentity, ...]
    """Pending work."""


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """One commit: append the rows of `files`, and set the properties below, only if the table is still at the base.

    `batch_id` names this attempt at the batch, not what is in it: two workers may hold the same files on the same
    base, and neither may take the other's commit for its own.
    """

    base_snapshot_id: int | None
    batch: int
    batch_id: str
    files: tuple[FileIdentity, ...]
    committed: frozenset[FileIdentity]
    loads: tuple[Load, ...]

    @property
    def summary(self) -> dict[str, str]:
        """What the snapshot's summary says of the batch."""
        return {BATCH: str(self.batch), BATCH_ID: self.batch_id, FILES: str(len(self.files))}


class Outcome(StrEnum):
    """What became of a commit whose response was lost, or was a refusal."""

    COMMITTED = "committed"
    """A snapshot after the base names the batch: go on with step 5."""
    REFUSED = "refused"
    """The table moved on without it, so the fence refuses it for ever: back to 1."""
    UNDECIDED = "undecided"
    """It may still arrive: back to 1, and delete none of its data files."""


def plan_landing(base: Base, listing: Iterable[FileIdentity], quarantined: Iterable[FileIdentity] = ()) -> LandingPlan:
    """Sort the files of one table's landing listing, taken after the table was loaded as `base`.

    `quarantined` are the identities in the table's quarantine, listed after landing. Files whose key was rewritten
    count by their newest identity, which is all that a listing shows; the ledger row of the older one is completed
    by way of `gone` or `rejected`, or a crash before the ledger would leave it open for ever.
    """
    listed, rejected = frozenset(listing), frozenset(quarantined)
    return LandingPlan(
        done=tuple(sorted(listed & base.committed)),
        gone=tuple(sorted(base.committed - listed)),
        void=tuple(sorted(rejected & base.committed)),
        rejected=tuple(sorted(rejected - base.committed)),
        new=tuple(sorted(listed - base.committed - rejected)),
    )


def new_batch_id() -> str:
    """A name that no other attempt at a batch has: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def plan_commit(
    base: Base, plan: LandingPlan, files: Collection[FileIdentity], loads: Sequence[Load], *, batch_id: str
) -> CommitPlan:
    """The commit of accepted `files` (all from `plan.new`) and of `loads` that became complete with it.

    `batch_id` comes from `new_batch_id`, anew for every attempt.

    A load without rows and files is a commit of its own right: an append of no rows. Files of a load that is not
    complete yet stay out, however far they are written. Committed files that are no longer listed leave the set:
    an identity never comes back. Those listed stay, for the next worker must see that they are done.

    Raises ValueError if there is nothing to commit, if a file is not pending work of `plan`, or if a load is
    committed already.
    """
    if not files and not loads:
        raise ValueError("a batch without files and loads is not committed; skip the commit")
    strangers = sorted(set(files) - set(plan.new))
    if strangers:
        raise ValueError(f"{strangers[0].key} is not pending work on this base; load the table and list landing again")
    again = sorted({load.load_id for load in base.loads} & {load.load_id for load in loads})
    if again:
        raise ValueError(f"load {again[0]} is committed already; decide on loads with the base's loads as known")
    return CommitPlan(
        base_snapshot_id=base.snapshot_id,
        batch=base.batch + 1,
        batch_id=batch_id,
        files=tuple(sorted(files)),
        committed=frozenset(plan.done) | frozenset(files),
        loads=(*base.loads, *sorted(loads, key=lambda load: load.load_id)),
    )


def commit_outcome(
    plan: CommitPlan, snapshots: Sequence[tuple[int, Mapping[str, str]]], *, refused: bool = False
) -> Outcome:
    """What became of `plan`, judged by the table as it is now.

    `snapshots` are (snapshot id, summary) of the current snapshot and its ancestors, newest first, as far as they
    are kept. A base that has expired proves nothing: undecided. `refused` says that the catalog answered with a
    refusal: it stands where the table still is at the base (another writer changed its properties, and what was sent
    fits no more), unless the table shows the batch, which was then committed by an earlier request of the same client.
    """
    moved = False
    for snapshot_id, summary in snapshots:
        if snapshot_id == plan.base_snapshot_id:
            return Outcome.REFUSED if moved or refused else Outcome.UNDECIDED
        if summary.get(BATCH_ID) == plan.batch_id:
            return Outcome.COMMITTED
        moved = True
    if plan.base_snapshot_id is None and (moved or refused):
        return Outcome.REFUSED
    return Outcome.UNDECIDED
