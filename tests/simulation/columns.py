"""Column types of random tables, with the values a column may hold, as PostgreSQL reads them from text."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

Values = Callable[[Random], str]

_WORDS = ["", "a", "é", "naïve café", "x" * 300, "it's", 'say "hi"', "back\\slash", "tab\tnew\nline", "{{ 7*7 }}", "🙂"]


def _text(random: Random) -> str:
    return random.choice(_WORDS) + str(random.randrange(100))


def _instant(random: Random) -> str:
    year = random.choice([1, 1582, 1900, 1970, 2024, 2026, 9999])
    return (
        f"{year:04d}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"
        f" {random.randrange(24):02d}:{random.randrange(60):02d}:{random.randrange(60):02d}"
        f".{random.randrange(10**6):06d}"
    )


def _json(random: Random) -> str:
    return json.dumps({"b": random.randrange(9), "a": [None, random.choice(_WORDS), random.random()]})


def _array(random: Random) -> str:
    return "{" + ",".join(random.choice(["NULL", "1", "-3", "2147483647"]) for _ in range(random.randrange(4))) + "}"


SMALL: dict[str, Values] = {
    "boolean": lambda r: r.choice(["true", "false"]),
    "smallint": lambda r: str(r.choice([-32768, 0, 32767])),
    "integer": lambda r: str(r.randint(-(2**31), 2**31 - 1)),
    "bigint": lambda r: str(r.choice([-(2**63), 0, 2**63 - 1])),
    "real": lambda r: r.choice(["1.1", "-3.4028235e38", "NaN", "0"]),
    "double precision": lambda r: r.choice(["0.1", "1e308", "5e-324", "-0", "Infinity"]),
    "numeric(12,2)": lambda r: f"{r.randint(-(10**11), 10**11) / 100:.2f}",
    "numeric(38,10)": lambda r: f"{r.randint(-(10**27), 10**27)}.{r.randrange(10**10):010d}",
    "numeric": lambda r: r.choice(["0.000", "-1.50", "1e-9", "1e40", "NaN", "12345678901234567890.123456789"]),
    "date": lambda r: _instant(r)[:10],
    "timestamp": _instant,
    "timestamptz": lambda r: _instant(r) + r.choice(["+00", "+05:30", "-03"]),
    "time": lambda r: _instant(r)[11:],
    "interval": lambda r: r.choice(["1 year 2 months 3 days 04:05:06", "-1 month 1 day -00:00:00.5", "0"]),
    "uuid": lambda r: str(uuid.UUID(int=r.getrandbits(128))),
    "varchar(310)": _text,
    "char(6)": lambda r: r.choice(["ab", "", "abcdef"]),
    "text": _text,
    "json": _json,
    "jsonb": _json,
    "bytea": lambda r: "\\x" + r.randbytes(r.randrange(20)).hex(),
    "integer[]": _array,
    "inet": lambda r: f"10.{r.randrange(256)}.0.1",
}
"""Types whose values stay small."""

LARGE: dict[str, Values] = {
    "text": lambda r: "".join(r.choices("abcdefghijklmnop", k=200)) * r.choice([1, 20, 100]),
    "bytea": lambda r: "\\x" + r.randbytes(r.choice([10, 9_000])).hex(),
}
"""Types with values that PostgreSQL stores out of line."""

KEYS: dict[str, Callable[[int], str]] = {
    "integer": lambda n: str(n - 3),
    "bigint": lambda n: str(n * 10**14),
    "text": lambda n: _WORDS[n % len(_WORDS)] + str(n // len(_WORDS)),
    "uuid": lambda n: str(uuid.UUID(int=n * 7919)),
    "numeric(12,2)": lambda n: f"{n}.50",
    "timestamptz": lambda n: f"{datetime(2024, 3, 31, tzinfo=UTC) + timedelta(minutes=n):%Y-%m-%d %H:%M}:00.000001+00",
    "date": lambda n: f"2000-01-{n % 28 + 1:02d}",
}
"""Types of key columns, with the value of each key number; `date` repeats, so it never is a key alone."""

KEY_NUMBERS = 60
"""Statements of one row choose among so many; those of thousands have numbers beyond."""
NAMES = [
    'we"ird',
    "select",
    "Order By",
    "größe",
    "{{ 7*7 }}",
    "{% x %}",
    "percent%s",
    "back\\slash",
    "a.b",
    "it's",
    "plain",
]
"""Column names that hurt."""
