"""Values of every PostgreSQL type, as SQL, with what a landed file must hold."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

UTC = dt.UTC
LATE = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

# (column type, literals, expected values; None: the text PostgreSQL prints)
TYPES: list[tuple[str, list[str], list[Any] | None]] = [
    ("boolean", ["true", "false"], [True, False]),
    ("smallint", ["-32768", "32767"], [-32768, 32767]),
    ("integer", ["-2147483648", "2147483647"], [-(2**31), 2**31 - 1]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1]),
    ("oid", ["0", "4294967295"], [0, 2**32 - 1]),
    ("real", ["1.1", "-3.4028235e38", "NaN"], None),
    ("double precision", ["0.1", "1e308", "5e-324", "-0", "Infinity"], None),
    (
        "numeric(12,2)",
        ["0", "-1234567890.12", "0.01", "NaN"],
        [Decimal("0.00"), Decimal("-1234567890.12"), Decimal("0.01"), None],
    ),
    ("numeric(5,0)", ["99999", "-10000"], [Decimal(99999), Decimal(-10000)]),
    ("numeric(18,18)", ["0.123456789012345678", "-0.000000000000000001"], None),
    ("numeric(38,10)", ["1234567890123456789012345678.0123456789", "-0.0000000001"], None),
    ("numeric(38,0)", ["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"], None),
    ("numeric(3,-2)", ["12300", "-99900"], [Decimal(12300), Decimal(-99900)]),
    ("numeric(2,4)", ["0.0012", "-0.0099"], [Decimal("0.0012"), Decimal("-0.0099")]),
    (
        "numeric(50,5)",
        ["123456789012345678901234567890123456789012345.12345"],
        ["123456789012345678901234567890123456789012345.12345"],
    ),
    (
        "numeric",
        ["0", "0.000", "-1.50", "1e-9", "1e40", "NaN", "Infinity", "-Infinity", "12345678901234567890.123456789"],
        [
            "0",
            "0.000",
            "-1.50",
            "0.000000001",
            "1" + "0" * 40,
            "NaN",
            "Infinity",
            "-Infinity",
            "12345678901234567890.123456789",
        ],
    ),
    ("money", ["12.34", "-92233720368547758.08"], [Decimal("12.3400"), Decimal("-92233720368547758.0800")]),
    (
        "date",
        ["2024-02-29", "1969-12-31", "infinity"],
        [dt.date(2024, 2, 29), dt.date(1969, 12, 31), dt.date(9999, 12, 31)],
    ),
    (
        "timestamp",
        ["2024-02-29 12:34:56.123456", "1900-01-01 00:00:00", "infinity"],
        [dt.datetime(2024, 2, 29, 12, 34, 56, 123456, tzinfo=UTC), dt.datetime(1900, 1, 1, tzinfo=UTC), LATE],
    ),
    (
        "timestamptz",
        ["2024-06-01 12:00:00+02", "1969-12-31 23:59:59.999999+00", "294276-12-31 23:59:59+00"],
        [
            dt.datetime(2024, 6, 1, 10, tzinfo=UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            LATE,
        ],
    ),
    ("time", ["12:34:56.789999", "24:00:00"], [dt.time(12, 34, 56, 789000), dt.time(23, 59, 59, 999000)]),
    ("timetz", ["12:34:56.789+05"], [dt.time(12, 34, 56, 789000)]),
    (
        "interval",
        ["1 year 2 months 3 days 04:05:06", "-1 month 1 day -00:00:00.5", "0", "infinity"],
        [
            "1 YEAR, 2 MONTHS, 3 DAYS, 4 HOURS, 5 MINUTES, 6 SECONDS",
            "-1 MONTH, 1 DAY, -0.5 SECONDS",
            "0 SECONDS",
            "infinity",
        ],
    ),
    ("uuid", ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", ['{"b":1,  "a":[null]}'], ['{"b":1,  "a":[null]}']),
    ("jsonb", ['{"b":1,  "a":[null]}'], ['{"a": [null], "b": 1}']),
    ("text", ["", "é", "twelve bytes", "thirteen byte", "x" * 40_000, "a\nb\t\\\"'"], None),
    ("varchar(20)", ["", "Zażółć gęślą jaźń"], None),
    ("char(6)", ["ab", ""], ["ab", ""]),
    ('"char"', ["x"], None),
    ("name", ["a_name"], None),
    ("bytea", ["\\x", "\\x00ff10", "\\x" + "ab" * 5000], [b"", b"\x00\xff\x10", b"\xab" * 5000]),
    ("app.mood", ["sad", "very happy"], None),
    ("app.positive", ["7"], [7]),
    ("app.amount", ["7.5"], [Decimal("7.50")]),
    ("app.numbers", ["{1,2}"], None),
    ("app.pair", ['(1,"a b")'], None),
    ("integer[]", ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[2:3]={5,6}"], None),
    ("text[]", ['{"a,b","c\\"d",NULL,"NULL",""}'], None),
    ("numeric[]", ["{1.50,NaN,1e30}"], None),
    ("double precision[]", ["{0.1,1e15,1e-5,-0}"], None),
    ("timestamptz[]", ['{"2024-06-01 12:00:00+02"}'], ['{"2024-06-01 10:00:00+00"}']),
    ("uuid[]", ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"], None),
    ("app.mood[]", ['{sad,"very happy"}'], None),
    ("inet", ["192.168.0.1", "10.0.0.0/8", "::1"], None),
    ("cidr", ["10.0.0.0/8"], None),
    ("macaddr", ["08:00:2b:01:02:03"], None),
    ("bit(5)", ["10101"], None),
    ("bit varying", ["101"], None),
    ("point", ["(1.5,-2)"], None),
    ("box", ["(1,1),(0,0)"], None),
    ("int4range", ["[1,5)", "empty"], None),
    ("tstzrange", ['["2024-06-01 12:00:00+02",)'], ['["2024-06-01 10:00:00+00",)']),
    ("nummultirange", ["{[1,2),[3,4)}"], None),
    ("tsvector", ["a:1 b:2"], None),
    ("pg_lsn", ["16/B374D848"], None),
]
