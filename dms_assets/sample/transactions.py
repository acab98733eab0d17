"""The transactions of the workload: what staff, courts and clerks do all day, and what makes replication hard.

Each works on an open transaction, commits nothing itself, and returns what it did, to be counted when the caller
has committed. It raises NothingToDoError if the rows it looked for are not there (the caller rolls back).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

from psycopg import sql

from dms_assets.sample import values
from dms_assets.sample.migrated_values import AWKWARD_ROWS
from dms_assets.sample.session_work import NothingToDoError, Work

Counts = Mapping[str, int]


def record_contact(work: Work) -> Counts:
    """A contact with its trace in three tables."""
    offender, rng = work.offender(), work.rng
    at = datetime.now(UTC) - timedelta(minutes=rng.randrange(60))
    work.run(
        "insert into probation.contact (offender_id, practitioner_id, contact_type, happened_at, diary_time, minutes,"
        " outcome, mood, notes) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        offender,
        work.practitioner(),
        rng.choice(("OFFICE", "HOME", "PHONE", "VIDEO")),
        at,
        at.replace(tzinfo=None, microsecond=0),
        rng.randrange(5, 120),
        rng.choice(("ATTENDED", "FAILED TO ATTEND", None)),
        round(rng.uniform(-1, 1), 4),
        values.prose(rng, rng.randrange(0, 300)),
    )
    work.run(
        "update probation.offender set last_contact_at = %s, updated_at = localtimestamp where offender_id = %s",
        at,
        offender,
    )
    work.audit("CONTACT", f"offender/{offender}")
    return {"multi_table": 1, "keyless_insert": 1, "beside_large_value": 1}


def correct_contact(work: Work) -> Counts:
    """The same row several times in a transaction; one of the states in between is never seen by anybody."""
    contact, rng = work.contact(), work.rng
    work.run("update probation.contact set minutes = 1 where contact_id = %s", contact)
    work.run(
        "update probation.contact set minutes = %s, outcome = %s where contact_id = %s",
        rng.randrange(5, 120),
        rng.choice(("ATTENDED", "ACCEPTABLE ABSENCE", "RE-ARRANGED")),
        contact,
    )
    work.run("update probation.contact set sensitive = not sensitive where contact_id = %s", contact)
    return {"correction": 1, "several_changes_of_a_row": 1}


def transfer_case(work: Work) -> Counts:
    """One practitioner hands a case to another."""
    offender, to = work.offender(), work.practitioner()
    work.run(
        "update probation.case_allocation set ended_at = clock_timestamp()"
        " where offender_id = %s and ended_at = 'infinity'",
        offender,
    )
    work.run(
        "insert into probation.case_allocation (offender_id, allocated_at, practitioner_id, reason)"
        " values (%s, clock_timestamp(), %s, 'Transfer')",
        offender,
        to,
    )
    work.run("update probation.offender set practitioner_id = %s where offender_id = %s", to, offender)
    work.run("update probation.practitioner set workload = workload + 0.1 where practitioner_id = %s", to)
    return {"transfer": 1, "multi_table": 1}


_MERGED: tuple[LiteralString, ...] = ("contact", "address", "conviction", "assessment", "document", "appointment_slot")


def merge_offenders(work: Work) -> Counts:
    """Two records of one person become one: everything moves, one record goes."""
    kept, gone = sorted((work.offender(), work.offender()))
    if kept == gone:
        raise NothingToDoError("both picks were the same person")
    for table in _MERGED:
        work.cursor.execute(
            sql.SQL("update {} set offender_id = %s where offender_id = %s").format(sql.Identifier("probation", table)),
            (kept, gone),
        )
    work.run("delete from probation.case_allocation where offender_id = %s", gone)
    work.run("delete from probation.offender where offender_id = %s", gone)
    work.audit("MERGE", f"offender/{kept}", {"merged": gone})
    return {"merge": 1, "multi_table": 1, "delete": 1, "keyless_insert": 1}


def rebook_slot(work: Work) -> Counts:
    """A slot is cancelled and comes back under the same key, in one transaction."""
    rng = work.rng
    office, day, time = _slot(work)
    work.run(
        "delete from probation.appointment_slot where (office_id, slot_date, slot_time) = (%s, %s, %s)",
        office,
        day,
        time,
    )
    work.run(
        "insert into probation.appointment_slot values (%s, %s, %s, null, null, %s)",
        office,
        day,
        time,
        f"R{rng.randrange(40)}",
    )
    return {"delete_reinsert": 1}


def move_slot(work: Work) -> Counts:
    """A slot moves to a free day: its composite key changes."""
    office, day, time = _slot(work)
    work.run(
        "update probation.appointment_slot set slot_date = (select max(slot_date) + 1 from probation.appointment_slot)"
        " where (office_id, slot_date, slot_time) = (%s, %s, %s)",
        office,
        day,
        time,
    )
    return {"key_update": 1}


def _slot(work: Work) -> tuple[Any, ...]:
    query: LiteralString = (
        "select office_id, slot_date, slot_time from probation.appointment_slot where office_id >= %s"
        " order by office_id, slot_date, slot_time offset %s limit 1 for update skip locked"
    )
    return work.one(query, work.rng.randrange(1, 110), work.rng.randrange(50))


def swap_requirements(work: Work) -> Counts:
    """Two requirements of a sentence change numbers: keys that existed before and exist after, with other content."""
    query: LiteralString = (
        "select sentence_id from probation.requirement where sentence_id >= %s and requirement_no = 2"
        " order by sentence_id limit 1"
    )
    (sentence,) = work.one(query, values.identifier(work.rng))
    moves: tuple[tuple[int, int], ...] = ((1, -1), (2, 1), (-1, 2))
    for old, new in moves:
        moved = work.run(
            "update probation.requirement set requirement_no = %s where sentence_id = %s and requirement_no = %s",
            new,
            sentence,
            old,
        )
        if not moved:
            raise NothingToDoError("the sentence has not two requirements any more")
    return {"key_update": 1, "several_changes_of_a_row": 1}


def rename_sentence(work: Work) -> Counts:
    """A sentence gets another identifier; its requirements' keys follow by ON UPDATE CASCADE."""
    query: LiteralString = (
        "select sentence_id from probation.sentence where sentence_id >= %s order by sentence_id limit 1"
        " for update skip locked"
    )
    (old,) = work.one(query, values.identifier(work.rng))
    new = values.identifier(work.rng)
    work.run("update probation.sentence set sentence_id = %s where sentence_id = %s", new, old)
    work.run("update probation.sentence set unpaid_hours = coalesce(unpaid_hours, 0) + 0.5 where sentence_id = %s", new)
    return {"key_update": 1, "referenced_key_update": 1, "several_changes_of_a_row": 1}


def rename_offence(work: Work) -> Counts:
    """An offence code that few convictions name is renamed; they follow by ON UPDATE CASCADE."""
    query: LiteralString = (
        "select code from probation.offence_code where code >= %s order by code limit 1 for update skip locked"
    )
    (old,) = work.one(query, f"ZZ{work.rng.randrange(300, 600):05d}")
    new = f"Z{work.rng.choice('YZ')}{work.rng.randrange(300, 600):05d}"
    if work.cursor.execute("select from probation.offence_code where code = %s", (new,)).fetchone() is not None:
        raise NothingToDoError("the new code is taken")
    work.run("update probation.offence_code set code = %s where code = %s", new, old)
    return {"key_update": 1, "referenced_key_update": 1}


def drop_contact(work: Work) -> Counts:
    """A contact recorded by mistake goes."""
    work.run("delete from probation.contact where contact_id = %s", work.contact())
    return {"delete": 1}


def change_mind(work: Work) -> Counts:
    """Part of the work is undone to a savepoint, the rest stays."""
    offender, rng = work.offender(), work.rng
    work.run(
        "update probation.offender set risk_score = %s where offender_id = %s",
        f"{rng.randrange(10_000) / 100}",
        offender,
    )
    work.run("savepoint before_second_thoughts")
    work.run("update probation.offender set risk = 'VERY HIGH', restricted = true where offender_id = %s", offender)
    work.run("delete from probation.address where offender_id = %s", offender)
    work.audit("MISTAKE", f"offender/{offender}")
    work.run("rollback to savepoint before_second_thoughts")
    work.run(
        "update probation.offender set risk = %s where offender_id = %s",
        rng.choice(("LOW", "MEDIUM", "HIGH")),
        offender,
    )
    return {"savepoint_rollback": 1, "several_changes_of_a_row": 1, "beside_large_value": 1}


def score_beside_summary(work: Work) -> Counts:
    """A small column changes beside a large value that does not."""
    query: LiteralString = (
        "select contact_id from probation.contact where contact_id >= %s and contact_id %% 400 = 0"
        " and length(notes) > 32768 order by contact_id limit 1 for update skip locked"
    )
    (contact,) = work.one(query, work.rng.randrange(1, max(2, work.offenders)))
    work.run("update probation.contact set mood = %s where contact_id = %s", round(work.rng.uniform(-1, 1), 4), contact)
    return {"beside_large_value": 1}


def rewrite_notes(work: Work) -> Counts:
    """A large value becomes another large value."""
    rng, contact = work.rng, work.contact()
    text = (values.noise if rng.random() < 0.5 else values.prose)(rng, rng.randrange(33_000, 70_000))
    work.run("update probation.contact set notes = %s where contact_id = %s", text, contact)
    return {"large_value_update": 1}


def replace_document(work: Work) -> Counts:
    """A file is stored again with other bytes."""
    query: LiteralString = (
        "select document_id from probation.document where document_id >= %s order by document_id limit 1"
        " for update skip locked"
    )
    (document,) = work.one(query, values.identifier(work.rng))
    content = work.rng.randbytes(work.rng.randrange(0, 60_000))
    work.run(
        "update probation.document set content = %s, size_bytes = %s, digest = null where document_id = %s",
        content,
        len(content),
        document,
    )
    return {"large_value_update": 1}


def touch_awkward_value(work: Work) -> Counts:
    """Rows of awkward values are written again, so that they travel as changes too."""
    at = work.rng.randrange(1, AWKWARD_ROWS - 3)
    touched = work.run(
        "update probation.migrated_value set touched = touched + 1 where value_id between %s and %s", at, at + 4
    )
    return {"awkward_value_touch": touched}


def register_person(work: Work) -> Counts:
    """A new person with an address, a conviction, a sentence and its requirements."""
    rng = work.rng
    query: LiteralString = (
        "insert into probation.offender (offender_id, crn, person_uuid, first_name, last_name, sex, practitioner_id,"
        " created_at) select n, 'N' || lpad(n::text, 7, '0'), %s, %s, %s, 'X', %s, clock_timestamp()"
        " from nextval(pg_get_serial_sequence('probation.offender', 'offender_id')) n returning offender_id"
    )
    arguments = (values.identifier(rng), values.first_name(rng), values.last_name(rng), work.practitioner())
    (offender,) = work.one(query, *arguments)
    work.run(
        "insert into probation.address (offender_id, line, postcode, lived_from) values (%s, %s, %s, current_date)",
        offender,
        f"{rng.randrange(1, 300)} {rng.choice(values.STREETS)}",
        values.postcode(rng),
    )
    (conviction,) = work.one(
        "insert into probation.conviction (offender_id, offence_code, court, convicted_on, costs)"
        " select %s, code, %s, current_date, %s from probation.offence_code order by code limit 1"
        " returning conviction_id",
        offender,
        rng.choice(values.COURTS),
        f"{rng.randrange(1000)}.{rng.randrange(10**9):09d}",
    )
    sentence = values.identifier(rng)
    work.run(
        "insert into probation.sentence (sentence_id, conviction_id, kind, starts_on, conditions, imposed_at)"
        " values (%s, %s, 'COMMUNITY ORDER', current_date, %s, clock_timestamp())",
        sentence,
        conviction,
        '{"tag" :false}',
    )
    for number in (1, 2):
        work.run(
            "insert into probation.requirement values (%s, %s, 'Unpaid work', %s, 0, null)",
            sentence,
            number,
            40 * number,
        )
    return {"multi_table": 1}


def record_payments(work: Work) -> Counts:
    """A file of the bank arrives: many rows by one statement, then a correction of them all by another."""
    rng = work.rng
    reference = f"B{rng.getrandbits(40):010x}"
    work.run(
        "insert into probation.payment (conviction_id, amount, balance, ledger_total, paid_on, received_at, reference)"
        " select conviction_id, 10.50, fine, %s, current_date, localtimestamp, %s from probation.conviction"
        " where conviction_id >= %s order by conviction_id limit 15",
        rng.randrange(10**37, 10**38),
        reference,
        rng.randrange(1, 10_000),
    )
    changed = work.run("update probation.payment set balance = balance - amount where reference = %s", reference)
    if not changed:
        raise NothingToDoError("no conviction to pay for")
    return {"bulk_change": 1, "several_changes_of_a_row": 1}


def note_views(work: Work) -> Counts:
    """Lines of the log, two of them the same but for their time."""
    for _ in range(work.rng.randrange(1, 4)):
        work.audit("VIEW", "offender/list", {"rows": work.rng.randrange(100)})
    return {"keyless_insert": 1}


def give_up(work: Work) -> Counts:
    """Work in several tables that its user abandons: the caller rolls it back."""
    record_contact(work)
    work.run("delete from probation.contact where contact_id = %s", work.contact())
    return {}


Transaction = Callable[[Work], Counts]

MIX: tuple[tuple[Transaction, int], ...] = (
    (record_contact, 26),
    (correct_contact, 12),
    (transfer_case, 8),
    (merge_offenders, 2),
    (rebook_slot, 7),
    (move_slot, 4),
    (swap_requirements, 4),
    (rename_sentence, 4),
    (rename_offence, 2),
    (drop_contact, 4),
    (change_mind, 5),
    (score_beside_summary, 4),
    (rewrite_notes, 2),
    (replace_document, 2),
    (touch_awkward_value, 2),
    (register_person, 4),
    (record_payments, 3),
    (note_views, 4),
    (give_up, 5),
)
"""Every transaction and its share of the work."""
