"""The rows of every table of the sample source, as values PostgreSQL's COPY understands in text form."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from dms_assets.sample import values
from dms_assets.sample.migrated_values import COLUMNS as MIGRATED_COLUMNS
from dms_assets.sample.migrated_values import migrated_rows

Value = str | int | float | bool | bytes | date | datetime | UUID | list[str] | None
Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows per table at a scale; reference tables do not grow."""

    region: int = 12
    office: int = 120
    practitioner: int = 1_500
    offender: int = 12_000
    address: int = 16_000
    offence_code: int = 600
    conviction: int = 18_000
    sentence: int = 15_000
    requirement: int = 25_000
    contact: int = 70_000
    case_allocation: int = 12_000
    appointment_slot: int = 8_000
    assessment: int = 9_000
    document: int = 1_200
    payment: int = 8_000
    audit_event: int = 6_000

    @classmethod
    def at(cls, scale: float) -> Counts:
        """The counts at `scale` (1.0: about 200,000 rows in all). Raises ValueError if it is not above zero."""
        if not scale > 0:
            raise ValueError(f"scale {scale} is not above zero; 1.0 makes about 200,000 rows")
        fixed = {"region", "office", "offence_code"}
        return cls(
            **{
                name: getattr(cls(), name) if name in fixed else max(10, round(getattr(cls(), name) * scale))
                for name in cls.__dataclass_fields__
            }
        )


@dataclass(frozen=True, slots=True)
class SampleTable:
    """One table: its columns in COPY order and the rows for a generator and counts."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[random.Random, Counts], Iterable[Row]]


def _regions(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.region + 1):
        # Codes shorter than the column: the blanks PostgreSQL pads them with are no content.
        yield f"R{n}", f"Region {n} of Nowhere", rng.randrange(10**5, 10**7), date(2014, 6, n)


def _offices(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.office + 1):
        town = rng.choice(values.TOWNS)
        lines = f"{rng.randrange(1, 200)} {rng.choice(values.STREETS)}\n{town}\n{values.postcode(rng)}"
        cost = f"{rng.randrange(10**9)}.{rng.randrange(10**4):04d}" if n % 7 else None
        opens = rng.choice(("08:00", "08:30", "09:00:00.500"))
        yield n, f"R{1 + n % counts.region}", f"{town} office {n}", lines, opens, "17:30", n % 3 == 0, cost


def _practitioners(rng: random.Random, counts: Counts) -> Iterator[Row]:
    grades = ("ASSISTANT", "OFFICER", "OFFICER", "OFFICER", "SENIOR", "MANAGER")
    for n in range(1, counts.practitioner + 1):
        address = f"10.{n % 250}.{rng.randrange(250)}.{rng.randrange(250)}" if n % 5 else f"2001:db8::{n:x}"
        yield (
            n,
            rng.randrange(1, counts.office + 1),
            f"S{n:05d}",
            f"{values.first_name(rng)} {values.last_name(rng)}",
            rng.choice(grades),
            round(rng.uniform(0, 60), 3),
            "{" + ",".join(map(str, sorted(rng.sample(range(1, 8), rng.randrange(1, 6))))) + "}",
            address if n % 11 else None,
            values.day(rng, 20),
            values.day(rng, 1) if n % 29 == 0 else None,
        )


def _offenders(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.offender + 1):
        aliases = [values.first_name(rng) + f' "{n % 7}"' for _ in range(n % 4)] if n % 3 else None
        needs = {"housing": rng.random() < 0.3, "debts": rng.randrange(5), "notes": values.prose(rng, 30)}
        length = rng.randrange(3_000, 40_000) if n % 40 == 0 else rng.randrange(0, 200)
        yield (
            n,
            f"X{n:07d}",
            values.identifier(rng),
            values.first_name(rng),
            values.last_name(rng),
            aliases,
            values.day(rng, 60, date(2007, 1, 1)) if n % 50 else None,
            rng.choice("FMX"),
            rng.choice(("LOW", "MEDIUM", "HIGH", "VERY HIGH", None)),
            f"{rng.randrange(10_000) / 100:.2f}",
            values.skewed(rng, counts.practitioner),
            json.dumps(needs, ensure_ascii=False),
            (values.noise(rng, length) if n % 80 == 0 else values.prose(rng, length)) if n % 9 else None,
            n % 97 == 0,
            values.instant(rng, 1),
            values.instant(rng, 12),
            values.wall_clock(rng, 2),
        )


def _addresses(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.address + 1):
        current = n <= counts.offender
        yield (
            n,
            n if current else rng.randrange(1, counts.offender + 1),
            f"{rng.randrange(1, 300)} {rng.choice(values.STREETS)}",
            rng.choice(values.TOWNS) if n % 13 else "",
            values.postcode(rng) if n % 17 else None,
            50 + rng.random() * 8 if n % 5 else None,
            -rng.random() * 5 if n % 5 else None,
            current,
            values.day(rng, 15, date(2024, 1, 1)),
            "infinity" if current else values.day(rng, 2),
        )


def _offence_codes(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.offence_code + 1):
        tariff = f"{rng.randrange(10**7) / 100:.2f}" if n % 4 else None
        ended = values.day(rng, 3) if n % 20 == 0 else None
        yield f"ZZ{n:05d}", f"Fictional offence number {n}", rng.randrange(1, 240), tariff, date(1990, 1, 1), ended


def _convictions(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.conviction + 1):
        yield (
            n,
            values.skewed(rng, counts.offender),
            f"ZZ{values.skewed(rng, counts.offence_code):05d}",
            rng.choice(values.COURTS),
            values.day(rng, 10),
            f"{rng.randrange(10**6) / 100:.2f}" if n % 3 else None,
            f"{rng.randrange(10**9)}.{rng.randrange(10**12):0{n % 12 + 1}d}" if n % 4 else None,
            rng.choice((True, False, None)),
        )


def sentence_id(number: int) -> UUID:
    """The identifier of the sample's sentence `number`, which its requirements name too."""
    return UUID(bytes=sha256(f"sentence {number}".encode()).digest()[:16], version=4)


def _sentences(rng: random.Random, counts: Counts) -> Iterator[Row]:
    kinds = ("COMMUNITY ORDER", "SUSPENDED SENTENCE", "LICENCE", "POST-SENTENCE SUPERVISION")
    for n in range(1, counts.sentence + 1):
        start = values.day(rng, 5)
        # Spacing and a repeated member as they came: json keeps its text.
        conditions = f'{{ "curfew":{n % 24}, "tag" : {str(n % 2 == 0).lower()},"tag":null}}' if n % 3 else None
        yield (
            sentence_id(n),
            rng.randrange(1, counts.conviction + 1),
            rng.choice(kinds),
            start,
            start + timedelta(days=rng.randrange(30, 1_500)) if n % 6 else None,
            f"{rng.randrange(3_000) / 10:.1f}" if n % 2 else None,
            conditions,
            values.instant(rng, 5),
        )


def _requirements(rng: random.Random, counts: Counts) -> Iterator[Row]:
    categories = ("Unpaid work", "Curfew", "Treatment", "Residence", "Programme")
    for n in range(counts.requirement):
        done = n % 3 == 0
        hours = rng.randrange(1, 30_000) / 100
        yield (
            sentence_id(n % counts.sentence + 1),
            n // counts.sentence + 1,
            rng.choice(categories),
            f"{hours:.2f}",
            hours if done else round(rng.random() * hours, 2),
            values.wall_clock(rng, 2) if done else None,
        )


def _note(rng: random.Random, n: int) -> str | None:
    if n % 400 == 0:
        length = rng.randrange(33_000, 110_000)
        return values.noise(rng, length) if n % 800 == 0 else values.prose(rng, length)
    if n % 90 == 0:
        return values.prose(rng, rng.randrange(2_500, 9_000))
    if n % 12 == 0:
        return None
    return values.prose(rng, rng.randrange(0, 240))


def _contacts(rng: random.Random, counts: Counts) -> Iterator[Row]:
    outcomes = ("ATTENDED", "ATTENDED", "ACCEPTABLE ABSENCE", "FAILED TO ATTEND", "RE-ARRANGED", None)
    for n in range(1, counts.contact + 1):
        at = values.instant(rng, 4)
        yield (
            n,
            values.skewed(rng, counts.offender),
            rng.randrange(1, counts.practitioner + 1) if n % 20 else None,
            rng.choice(("OFFICE", "OFFICE", "HOME", "PHONE", "VIDEO")),
            at,
            at.replace(tzinfo=None, second=0, microsecond=0),
            rng.randrange(5, 120) if n % 8 else None,
            rng.choice(outcomes),
            round(rng.uniform(-1, 1), 4) if n % 6 else None,
            _note(rng, n),
            n % 53 == 0,
        )


def _allocations(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(counts.case_allocation):
        since = values.instant(rng, 3)
        by = rng.randrange(1, counts.practitioner + 1)
        reason = rng.choice(("New case", "Transfer", "Sickness cover", None))
        yield n % counts.offender + 1, since, by, "infinity", reason


def _slots(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(counts.appointment_slot):
        office, index = n % counts.office + 1, n // counts.office
        booked = rng.random() < 0.6
        yield (
            office,
            values.TODAY + timedelta(days=index // 14),
            f"{9 + index % 14 // 2:02d}:{30 * (index % 2):02d}:00",
            rng.randrange(1, counts.offender + 1) if booked else None,
            values.instant(rng, 0.2) if booked else None,
            f"R{n % 40}" if n % 10 else "",
        )


def _assessments(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.assessment + 1):
        scores = [f"{rng.randrange(1_000_000) / 1000:.3f}" for _ in range(rng.randrange(3, 9))]
        answers = {f"q{i}": rng.choice(("yes", "no", "n/a", None, i)) for i in range(rng.randrange(4, 30))}
        long = {"free": values.noise(rng, 4_000)} if n % 60 == 0 else {}
        yield (
            n,
            rng.randrange(1, counts.offender + 1),
            values.instant(rng, 4),
            rng.randrange(1, 4),
            "{" + ",".join(scores) + "}",
            rng.random(),
            f"{rng.randrange(10**14)}.{rng.randrange(10**12):012d}",
            json.dumps({**answers, **long}),
            f'{{"form":{n},\n  "text": "{values.noise(rng, 20)}" }}' if n % 4 else None,
        )


def _documents(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.document + 1):
        content = rng.randbytes(rng.randrange(60_000, 250_000) if n % 60 == 0 else rng.randrange(0, 9_000))
        tags = [rng.choice(("letter", "report", "to, sign", 'so-called "urgent"', "")) for _ in range(n % 4)]
        yield (
            values.identifier(rng),
            rng.randrange(1, counts.offender + 1),
            f"Document {n}: {values.last_name(rng)}",
            rng.choice(("application/pdf", "text/plain", "image/png")),
            content,
            len(content),
            sha256(content).hexdigest() if n % 5 else None,
            tags if n % 7 else None,
            values.instant(rng, 3),
        )


def _payments(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.payment + 1):
        at = values.wall_clock(rng, 3)
        balance = f"{rng.randrange(10**5)}.{rng.randrange(10**18):018d}" if n % 5 else rng.choice(("0", "1.5000"))
        total = rng.randrange(10**37, 10**38)
        reference = f"P{n}" if n % 9 else None
        yield n, rng.randrange(1, counts.conviction + 1), f"{n % 400}.{n % 100:02d}", balance, total, at, at, reference


def _audit(rng: random.Random, counts: Counts) -> Iterator[Row]:
    for n in range(1, counts.audit_event + 1):
        detail = f'{{"n": {n}, "ok":true}}' if n % 3 else None
        actor, action = f"S{rng.randrange(1, 1_000):05d}", rng.choice(("VIEW", "EDIT", "PRINT"))
        yield values.instant(rng, 1), actor, action, f"offender/{n}", rng.expovariate(0.1), detail


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SAMPLE_TABLES: tuple[SampleTable, ...] = (
    SampleTable("region", _columns("code name population opened"), _regions),
    SampleTable(
        "office",
        _columns("office_id region_code name postal_address opens_at closes_at step_free running_cost"),
        _offices,
    ),
    SampleTable(
        "practitioner",
        _columns(
            "practitioner_id office_id staff_code full_name grade workload working_days last_login_from joined_on"
            " left_on"
        ),
        _practitioners,
    ),
    SampleTable(
        "offender",
        _columns(
            "offender_id crn person_uuid first_name last_name aliases date_of_birth sex risk risk_score practitioner_id"
            " needs case_summary restricted last_contact_at created_at updated_at"
        ),
        _offenders,
    ),
    SampleTable(
        "address",
        _columns("address_id offender_id line town postcode latitude longitude main lived_from lived_until"),
        _addresses,
    ),
    SampleTable(
        "offence_code", _columns("code title longest_months tariff in_force_from in_force_until"), _offence_codes
    ),
    SampleTable(
        "conviction",
        _columns("conviction_id offender_id offence_code court convicted_on fine costs guilty_plea"),
        _convictions,
    ),
    SampleTable(
        "sentence",
        _columns("sentence_id conviction_id kind starts_on ends_on unpaid_hours conditions imposed_at"),
        _sentences,
    ),
    SampleTable(
        "requirement", _columns("sentence_id requirement_no category hours_set hours_done completed_at"), _requirements
    ),
    SampleTable(
        "contact",
        _columns(
            "contact_id offender_id practitioner_id contact_type happened_at diary_time minutes outcome mood notes"
            " sensitive"
        ),
        _contacts,
    ),
    SampleTable("case_allocation", _columns("offender_id allocated_at practitioner_id ended_at reason"), _allocations),
    SampleTable("appointment_slot", _columns("office_id slot_date slot_time offender_id booked_at room"), _slots),
    SampleTable(
        "assessment",
        _columns(
            "assessment_id offender_id completed_at version scores probability weighted_total answers source_text"
        ),
        _assessments,
    ),
    SampleTable(
        "document",
        _columns("document_id offender_id title media_type content size_bytes digest tags stored_at"),
        _documents,
    ),
    SampleTable(
        "payment",
        _columns("payment_id conviction_id amount balance ledger_total paid_on received_at reference"),
        _payments,
    ),
    SampleTable("audit_event", _columns("occurred_at actor action entity duration_ms detail"), _audit),
    SampleTable("migrated_value", MIGRATED_COLUMNS, lambda _rng, _counts: migrated_rows()),
)
"""Every table of the sample, in an order in which references point backwards."""
