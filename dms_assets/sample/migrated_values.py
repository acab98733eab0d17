"""Values that systems get wrong, one or a few to a row: what `migrated_value` holds, in PostgreSQL's own spelling."""

from __future__ import annotations

from collections.abc import Iterator

COLUMNS: tuple[str, ...] = (
    "value_id", "label", "tiny", "plain", "big", "money", "long_digits", "beyond_decimal", "any_digits", "approximate",
    "precise", "day", "clock", "moment", "instant", "flag", "short_text", "padded", "long_text", "identity",
    "document", "document_binary", "raw", "words", "numbers", "level", "origin", "span",
)  # fmt: skip

_NINES = "9" * 28 + "." + "9" * 10
_BYTES = "\\x" + bytes(range(256)).hex()

_ROWS: tuple[tuple[str, dict[str, str]], ...] = (
    ("nothing known", {}),
    ("zero and empty", {
        "tiny": "0", "plain": "0", "big": "0", "money": "0", "long_digits": "0", "beyond_decimal": "0",
        "any_digits": "0", "approximate": "0", "precise": "0", "short_text": "", "padded": "", "long_text": "",
        "raw": "\\x", "words": "{}", "numbers": "{}", "document": '""', "document_binary": "{}", "flag": "false",
    }),
    ("smallest", {
        "tiny": "-32768", "plain": "-2147483648", "big": "-9223372036854775808", "money": "-99999999.99",
        "long_digits": f"-{_NINES}", "approximate": "-3.4028235e38", "precise": "-1.7976931348623157e308",
        "day": "0001-01-01", "clock": "00:00:00", "moment": "0001-01-01 00:00:00",
        "instant": "0001-01-01 00:00:00+00", "level": "LOW",
    }),
    ("largest", {
        "tiny": "32767", "plain": "2147483647", "big": "9223372036854775807", "money": "99999999.99",
        "long_digits": _NINES, "beyond_decimal": "9" * 45 + ".99999", "approximate": "3.4028235e38",
        "precise": "1.7976931348623157e308", "day": "9999-12-31", "clock": "23:59:59.999999",
        "moment": "9999-12-31 23:59:59.999999", "instant": "9999-12-31 23:59:59.999999+00", "level": "VERY HIGH",
    }),
    ("closest to zero", {
        "money": "0.01", "long_digits": "0.0000000001", "beyond_decimal": "-0.00001", "approximate": "1e-45",
        "precise": "5e-324", "any_digits": "0.0000000000000000000000000000001",
    }),
    ("not a number", {"money": "NaN", "long_digits": "NaN", "any_digits": "NaN", "approximate": "NaN",
                      "precise": "NaN", "beyond_decimal": "NaN"}),
    ("infinite", {"any_digits": "Infinity", "approximate": "Infinity", "precise": "Infinity", "day": "infinity",
                  "moment": "infinity", "instant": "infinity"}),
    ("infinite downwards", {"any_digits": "-Infinity", "approximate": "-Infinity", "precise": "-Infinity",
                            "day": "-infinity", "moment": "-infinity", "instant": "-infinity"}),
    ("minus zero", {"approximate": "-0", "precise": "-0", "money": "-0.00"}),
    ("no exact binary form", {"approximate": "0.1", "precise": "0.1", "any_digits": "0.611111104488373"}),
    ("trailing zeros", {"any_digits": "1.5000", "money": "1.50", "long_digits": "1.5", "beyond_decimal": "1.5"}),
    ("38 digits before the point", {"any_digits": "1" + "0" * 37, "beyond_decimal": "1" + "0" * 37}),
    ("more digits than any decimal", {"any_digits": "1234567890" * 15 + "." + "0987654321" * 12}),
    ("before Christ", {"day": "0044-03-15 BC", "moment": "0044-03-15 12:00:00 BC",
                       "instant": "0044-03-15 12:00:00+00 BC"}),
    ("first day that can be written", {"day": "4713-01-01 BC", "moment": "4713-01-01 00:00:00 BC"}),
    ("year beyond four digits", {"day": "12026-01-01", "moment": "12026-01-01 10:00:00",
                                 "instant": "12026-01-01 10:00:00+00"}),
    ("last moment that can be written", {"day": "5874897-12-31", "moment": "294276-12-31 23:59:59.999999",
                                         "instant": "294276-12-31 23:59:59+00"}),
    ("before the new calendar", {"day": "1582-10-10", "moment": "1582-10-10 01:02:03",
                                 "instant": "1500-02-28 23:59:59+00"}),
    ("just before 1970", {"day": "1969-12-31", "moment": "1969-12-31 23:59:59.999999",
                          "instant": "1969-12-31 23:59:59.999999+00"}),
    ("hour that never was, in London", {"moment": "2026-03-29 01:30:00", "instant": "2026-03-29 00:59:59.999999+00"}),
    ("hour that was twice, first", {"moment": "2026-10-25 01:30:00", "instant": "2026-10-25 01:30:00+01"}),
    ("hour that was twice, second", {"moment": "2026-10-25 01:30:00", "instant": "2026-10-25 01:30:00+00"}),
    ("summer midnight", {"day": "2026-07-01", "moment": "2026-07-01 00:00:00", "instant": "2026-07-01 00:00:00+01"}),
    ("zone of quarter hours", {"instant": "2026-01-01 00:00:00+05:45", "clock": "12:34:56.789"}),
    ("microseconds of a time", {"clock": "12:34:56.789999", "moment": "2026-01-01 12:34:56.789999"}),
    ("blanks only", {"short_text": "   ", "padded": "   ", "long_text": " "}),
    ("blanks around", {"short_text": "  in  ", "padded": "  in  ", "long_text": "\tin\n"}),
    ("words for nothing", {"short_text": "NULL", "padded": "null", "long_text": "\\N"}),
    ("quotes", {"short_text": "'single' \"double\"", "long_text": "it''s \"\"quoted\"\" `here` “there”"}),
    ("backslashes", {"short_text": "C:\\new\\table", "long_text": "\\\\server\\x41\\u0041\\", "raw": "\\x5c785c6e"}),
    ("line ends", {"short_text": "a\nb\r\nc\rd", "long_text": "x\u2028y\u2029z\u0085w\vv\f"}),
    ("separators", {"short_text": "a,b;c|d\te", "long_text": "a\x01b\x1fc"}),
    ("beyond the basic plane", {"short_text": "👩🏽\u200d🚒🇬🇧\U0001d518\U0001d52b", "padded": "😀", "document": "{}",
                                "long_text": "🙂" * 9_000}),
    ("composed and decomposed", {"short_text": "é e\u0301 Å \u212b",
                                 "long_text": "\u0627\u0644\u0639 \u200f\u202e abc"}),
    ("as long as allowed", {"short_text": "𝄞" * 40, "padded": "12345678"}),
    ("text of a megabyte", {"long_text": "0123456789abcdef" * 65_536}),
    ("text of 32 KB and one", {"long_text": "x" * 32_769}),
    ("json repeated member and spacing", {"document": '{"b" : 1,  "a":2, "a":3}', "document_binary": '{"b":1,"a":3}'}),
    ("json beyond doubles", {"document": '[1e400, 0.10, 12345678901234567890123]',
                             "document_binary": "[0.10, 12345678901234567890123, 1.0]"}),
    ("json escapes", {"document": '"\\u0000 \\ud83d\\ude00 \\/"', "document_binary": '"\\ud83d\\ude00 \\\\ \\""'}),
    ("json nothing", {"document": "null", "document_binary": "null"}),
    ("every byte", {"raw": _BYTES}),
    ("list with null and its word", {"words": '{NULL,"NULL","",null}', "numbers": "{NULL,1}"}),
    ("list with punctuation", {"words": '{"a,b","{c}","d\\\\e","f\\"g","h i"," j",😀}'}),
    ("list of lists", {"words": "{{a,b},{c,d}}", "numbers": "{{1,2,3},{4,5,6}}"}),
    ("list from another bound", {"words": "[0:1]={a,b}", "numbers": "[2:4]={1,2,3}"}),
    ("address without mask", {"origin": "192.0.2.17", "identity": "00000000-0000-0000-0000-000000000000"}),
    ("address with mask", {"origin": "192.0.2.17/24", "identity": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}),
    ("address of version six", {"origin": "2001:db8::ff00:42:8329", "flag": "true"}),
    ("address of a network of version six", {"origin": "2001:db8::/32", "level": "MEDIUM"}),
    ("length of time in every unit", {"span": "1 year 2 months 3 days 04:05:06.789"}),
    ("length of time with mixed signs", {"span": "-1 year 25 days -100:00:01.5"}),
    ("no length of time", {"span": "0"}),
    ("endless length of time", {"span": "infinity"}),
)  # fmt: skip

AWKWARD_ROWS = len(_ROWS)
"""How many rows there are, whatever the scale."""


def migrated_rows() -> Iterator[tuple[str | int | None, ...]]:
    """The rows, numbered from 1."""
    for number, (label, given) in enumerate(_ROWS, start=1):
        yield (number, label, *(given.get(column) for column in COLUMNS[2:]))
