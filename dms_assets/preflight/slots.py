"""Findings about what holds the log: slots that nobody reads, lost ones, open transactions, old publications."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dms_assets.model.names import quote
from dms_assets.preflight import finding as f
from dms_assets.preflight.facts import Extractor, OpenTransaction, Slot
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.subject import Subject

LOCAL_PREFIX = "local_dms_"
_LONG = timedelta(minutes=30)


def slot_findings(subject: Subject) -> Iterator[Finding]:
    """All findings about slots, transactions and publications."""
    own = subject.own_slots or frozenset()
    for slot in subject.facts.slots:
        if slot.wal_status == "lost" or slot.reason:
            yield _lost(subject, slot, ours=slot.name in own)
        elif slot.wal_status == "unreserved":
            yield _nearly_lost(slot)
        # Local DMS holds its slot only while it reads, so a task's own slot is mostly inactive.
        elif not slot.active and slot.name not in own:
            yield _unread(subject, slot)
    for transaction in subject.facts.transactions:
        if transaction.gid is not None or transaction.age > _LONG:
            yield _blocking(transaction)
    yield from _publications(subject)


def _megabytes(size: int | None) -> str:
    return f"{(size or 0) / 1e6:,.0f} MB"


def _drop(slot: Slot) -> f.Fix:
    name = slot.name.replace("'", "''")
    return f.sql(f"SELECT pg_drop_replication_slot('{name}');")


def _lost(subject: Subject, slot: Slot, *, ours: bool) -> Finding:
    why = slot.reason or "max_slot_wal_keep_size was exceeded"
    reload = f.command(f"start the task of {subject.spec.name} with reload-target: all tables are loaded again")
    return Finding(
        "slot_lost",
        Severity.ERROR if ours else Severity.WARNING,
        slot.name,
        f"the slot is lost ({why}): "
        + ("changes since are gone for this source's task" if ours else "whatever read from it cannot go on"),
        (reload, _drop(slot)) if ours else (_drop(slot),),
        f.SLOTS_VIEW,
    )


def _nearly_lost(slot: Slot) -> Finding:
    return Finding(
        "slot_nearly_lost",
        Severity.WARNING,
        slot.name,
        f"the slot holds {_megabytes(slot.retained)} of log, more than max_slot_wal_keep_size: it is lost at the next "
        "checkpoint unless its task reads now",
        (f.sql("ALTER SYSTEM SET max_slot_wal_keep_size = -1; SELECT pg_reload_conf(); -- until its task caught up"),),
        f.SLOTS_VIEW,
    )


def _unread(subject: Subject, slot: Slot) -> Finding:
    earlier = slot.name.startswith(LOCAL_PREFIX)
    origin = "made by Local DMS for a task that is not this source's" if earlier else "of another consumer"
    if subject.own_slots is None:
        origin = "DMS could not be asked whose it is"
    return Finding(
        "slot_unread",
        Severity.WARNING,
        slot.name,
        f"nobody reads the slot ({origin}); it holds back {_megabytes(slot.retained)} of log, growing until the disk "
        "is full. If a stopped task owns it, start that task; else drop it",
        (_drop(slot),),
        f.DMS_POSTGRES,
    )


def _blocking(transaction: OpenTransaction) -> Finding:
    age = f"{transaction.age.total_seconds() / 60:,.0f} minutes"
    if transaction.gid is not None:
        thing = f"prepared transaction {transaction.gid}"
        gid = transaction.gid.replace("'", "''")
        fixes: tuple[f.Fix, ...] = (f.sql(f"ROLLBACK PREPARED '{gid}';"), f.sql(f"COMMIT PREPARED '{gid}';"))
    else:
        thing = f"process {transaction.pid}"
        fixes = (f.sql(f"SELECT pg_terminate_backend({transaction.pid});"),)
    return Finding(
        "transaction_open",
        Severity.WARNING,
        thing,
        f"a transaction of {transaction.owner} has been open for {age}: a task cannot make its slot, nor reload a "
        "table, until it ends",
        fixes,
        f.DMS_ASSESSMENT,
    )


def _publications(subject: Subject) -> Iterator[Finding]:
    if subject.extractor is Extractor.AWS or subject.own_slots is None:
        return
    slots = {slot.name for slot in subject.facts.slots}
    for name in subject.facts.publications:
        if name.startswith(LOCAL_PREFIX) and name.removesuffix("_inserts") not in slots | subject.own_slots:
            yield Finding(
                "publication_unused",
                Severity.NOTE,
                name,
                "a publication of an earlier task of Local DMS, whose slot is gone",
                (f.sql(f"DROP PUBLICATION {quote(name)};"),),
                f.CREATE_PUBLICATION,
            )
