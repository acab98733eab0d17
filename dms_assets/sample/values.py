"""Pools and small generators of made-up values. Everything follows from the random generator that is passed in."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, date, datetime, timedelta

TODAY = date(2026, 3, 2)
"""The day the sample pretends to be made on: fixed, so that the data follows from the seed alone."""

FIRST_NAMES = (
    "Sample", "Testina", "Alder", "Bramble", "Zoë", "Félix", "Ng", "Cinder", "Dapple", "Ember", "Fennel", "Gorse",
    "Håkon", "Indigo", "Juniper", "Kestrel", "Lark", "Maple", "Noor", "Oakley", "Plum", "Quill", "Rowan", "Søren",
)  # fmt: skip
LAST_NAMES = (
    "Example", "O'Sample", "Placeholder", "Fictional", "Madeup-Smith", "Notreal", "Synthetic", "Testcase", "Dummy",
    "de la Prueba", "Mustermann", "Invented", "Łukaszowski-Test", "Pretend", "Imaginary", "Mock", "Standin", "Proxy",
)  # fmt: skip
TOWNS = ("Samplebury", "Testchester", "Little Fixture", "Mockton-on-Sea", "Fakeham", "Upper Stubbing", "Nowhere")
STREETS = ("Fixture Road", "Assertion Lane", "Null Street", "Mock Terrace", "Seed Row", "Placeholder Way")
COURTS = ("Samplebury Magistrates", "Testchester Crown", "Fakeham Magistrates", "Nowhere Crown")
SENTENCES = (
    "Attended on time and discussed the week.",
    "Did not answer; left a message with “call back” on it.",
    "Said: 'I'll be there' — and was.",
    "Plan agreed:\n\t1) housing\n\t2) work\n\t3) debts",
    "Travel took 1½ hours; claim C:\\forms\\travel sent.",
    "Mood better 🙂, sleeping well.",
    "Reviewed the order with them, no questions.",
    'They asked for the "long form" again.',
    "Référence au dossier précédent; voir l'annexe.",
    "Next meeting to be arranged by phone.",
)


def first_name(rng: random.Random) -> str:
    """A first name."""
    return rng.choice(FIRST_NAMES)


def last_name(rng: random.Random) -> str:
    """A last name."""
    return rng.choice(LAST_NAMES)


def prose(rng: random.Random, length: int) -> str:
    """A text of exactly `length` characters; no two are the same for lengths above twenty or so."""
    if length <= 400:
        return f"{rng.getrandbits(32):08x} {' '.join(rng.choices(SENTENCES, k=length // 20 + 1))}"[:length]
    base = " ".join(rng.choices(SENTENCES, k=60))
    head = f"{rng.getrandbits(64):016x} "
    return (head + base * (length // len(base) + 1))[:length]


def noise(rng: random.Random, length: int) -> str:
    """A text of `length` characters that does not compress, so that the source stores it out of line."""
    return rng.randbytes(length // 2 + 1).hex()[:length]


def day(rng: random.Random, years: float, until: date = TODAY) -> date:
    """A day in the `years` before `until`."""
    return until - timedelta(days=rng.randrange(max(1, int(years * 365))))


def instant(rng: random.Random, years: float) -> datetime:
    """A moment in UTC, to the microsecond, in the `years` before the sample's day."""
    end = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    return end - timedelta(microseconds=rng.randrange(1, int(years * 365 * 86_400 * 1_000_000)))


def wall_clock(rng: random.Random, years: float) -> datetime:
    """A time without zone, to the millisecond."""
    at = instant(rng, years).replace(tzinfo=None)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def identifier(rng: random.Random) -> uuid.UUID:
    """A random UUID (version 4) of the generator."""
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def postcode(rng: random.Random) -> str:
    """A postcode of the area ZZ, which does not exist."""
    return f"ZZ{rng.randrange(1, 99)} {rng.randrange(10)}{rng.choice('ABDE')}{rng.choice('FGHJ')}"


def skewed(rng: random.Random, count: int) -> int:
    """A number from 1 to `count`, small ones far more often: a few cases have most of the work."""
    return int(count * rng.random() ** 2.5) + 1
