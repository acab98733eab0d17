"""Names that hurt: what a database may call its schemas, tables and columns."""

# ruff: noqa: RUF001 letters that look like others are what this is about

from __future__ import annotations

from collections.abc import Callable
from random import Random

LONGEST = 63
"""Bytes of a name in PostgreSQL."""

CANARY = "leaked-from-the-environment"
CANARY_VARIABLE = "DMS_ASSETS_CANARY"

BREAKING_OUT = (
    '"; drop table canary; --',
    "'; drop table canary; --",
    '") as select 1; drop table canary; --',
    'a"; delete from canary; select "b',
    "x') union select 1 --",
    "/* comment */",
    "-- line",
    "a /* open",
    "*/ close",
    ";",
    '"',
    '""',
    "'",
    "''",
    "`",
    "\\",
    "\\'",
    "a\\",
    "$$x$$",
    "$1",
    "%s",
    "%(name)s",
    "%%",
    "{}",
    "{0}",
    ":name",
    "?",
    "[x]",
    "x]",
    "@increment",
    "#",
)
TEMPLATES = (
    "{{ 7*7 }}",
    "{{",
    "}}",
    "{% raw %}",
    "{% endraw %}",
    "{%- x -%}",
    "{# comment #}",
    "{#",
    "{{ env_var('DMS_ASSETS_CANARY') }}",
    "{{ run_query('drop table canary') }}",
    "{{ target }}",
    "{{ this }}",
    '{{ "x" | as_text }}',
    "{% do run_query('drop table canary') %}",
    "${DMS_ASSETS_CANARY}",
    "$DMS_ASSETS_CANARY",
    "!!python/object:os.system",
    "<%= 7*7 %>",
    "<script>alert(1)</script>",
)
PATHS = (
    "..",
    ".",
    "/",
    "../../canary",
    "a/b",
    "a.b",
    "a.b.c",
    ".hidden",
    "~",
    "a%2fb",
    "%2e%2e",
    "C:\\x",
    "con",
    "a:b",
)
CONTROL = tuple(f"a{character}b" for character in "\x01\x02\x07\x08\t\n\v\f\r\x1b\x1f\x7f\x80\x85\x9f\u2028\u2029")
UNICODE = (
    *("é", "e\u0301", "É", "ß", "ss", "ẞ", "SS", "ſ", "s", "ﬁ", "fi", "K", "k", "Å", "å", "Ω", "ω"),
    *("İ", "i", "ı", "I", "ǅ", "ǆ", "²", "2", "①", "ｎａｍｅ", "NAME", "name", "nаme", "ͅα", "ᾳ", "Σ", "ς", "σ"),
    *("a\u200bb", "a\u200db", "\ufeffa", "a\u00adb", "a\u00a0b", "a b", " a", "a ", "\u202eabc", "שלום", "مرحبا"),
    *("🙂", "👩\u200d👩\u200d👧", "🇬🇧", "日本語", "\uffff", "\ufdd0", "\U0010ffff", "𝒏𝒂𝒎𝒆", "Ⅳ", "iv", "½", "ﷺ", "ͺ"),
)
RESERVED = (
    *("select", "SELECT", "from", "order", "Order By", "group", "table", "user", "default", "null", "NULL", "true"),
    *("None", "True", "False", "end", "as", "in", "row", "values", "primary", "current_date", "interval", "window"),
    *("yes", "no", "on", "off", "nan", "NaN", "inf", "1", "1.5", "1e3", "0x10", "1_000", "2024-01-01", "[]", "[a]"),
    *("- a", "a: b", "a #b", "&a", "*a", "|", ">", "@a", "!a", "=", "<<", "9lives", "_", "__", "rowid", "filename"),
    *("constructor", "__class__", "columns", "items", "keys", "loop", "model", "source", "config", "var", "ref"),
)
PATTERNS = (
    "*",
    "^.*$",
    "^a$",
    "a",
    "^name$",
    ".*",
    "%",
    "a_b",
    "a%b",
    "axb",
    "a-b",
    "[a-c]",
    "COLUMNS(*)",
    "a_x2Eb",
    "_x",
)
OURS = (
    *("Op", "op", "OP", "_op", "_OP", "_seq", "_stream", "_commit_at", "_position", "_load_id", "_file", "_file_row"),
    *("_change_id", "_batch", "_metadata_version", "_follows_load", "_last_batch", "_state_seq", "_state_file"),
    *("_state_file_row", "dms_timestamp", "DMS_TIMESTAMP", "dms_change_seq", "dms_stream_position", "valid_from"),
    *("Valid_To", "is_current", "ＶＡＬＩＤ_from", "_ſeq", "_scd2_begins", "_SCD2_anything"),
)
INTERNAL = (
    *("begins", "ends", "next_at", "log_order", "previous_ends", "last_ends", "is_merged", "state_ends", "from_last"),
    *("_rank", "_latest_batch", "_place_seq", "_place_file", "_place_file_row", "_next_from", "place", "version"),
    *("standing", "loads", "fresh", "copies", "stream", "load_id", "boundary_at", "boundary_seq", "rows", "history"),
    *("__instant__", "__previous_seq__", "__previous_timestamp__", "__row__", "DBT_INTERNAL_SOURCE", "states"),
    *("DBT_INTERNAL_DEST", "model_subq", "this", "followed", "places", "numbered", "row_number", "complete_to"),
)
"""Names that our own SQL and code use inside, and that a column may have all the same."""
POOLS = (BREAKING_OUT, TEMPLATES, PATHS, CONTROL, UNICODE, RESERVED, PATTERNS, OURS, INTERNAL)

TABLES = (
    *("select", "order", "group", "table", "user", "values", "default", "person", "contact", "a", "index", "end"),
    *("t" * LONGEST, "x" * 60, "person_2", "null", "true", "none", "canary", "platform", "main", "n1", "loads", "this"),
)
SUFFIXES = (
    "_versions",
    "_history",
    "__loads",
    "__dbt_tmp",
    "__dbt_backup",
    "_versions__dbt_tmp",
    "_history__dbt_backup",
)
"""What we or dbt append to the name of a table."""


def _cut(text: str) -> str:
    return text.encode()[:LONGEST].decode(errors="ignore")


def _twin(random: Random, name: str) -> str:
    """A name that is nearly the same, or means the same somewhere."""
    changes: tuple[Callable[[str], str], ...] = (
        str.upper,
        str.lower,
        str.swapcase,
        str.title,
        str.casefold,
        lambda text: text + " ",
        lambda text: text + "_1",
        lambda text: text.replace("e", "е"),
        lambda text: "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text),
    )
    return random.choice(changes)(name)


def _noise(random: Random) -> str:
    """Any characters but NUL and surrogates, which no name can hold."""
    ranges = (
        (1, 0x7F),
        (0x80, 0x2FF),
        (0x300, 0x36F),
        (0x590, 0x6FF),
        (0x2000, 0x20FF),
        (0xFE00, 0xFFFF),
        (0x1F300, 0x1F6FF),
    )
    return "".join(chr(random.randint(*random.choice(ranges))) for _ in range(random.randint(1, 12)))


def column_names(random: Random, count: int) -> list[str]:
    """Different names, as PostgreSQL tells them apart, some alike after folding."""
    found: list[str] = []
    while len(found) < count:
        pick = random.random()
        if found and pick < 0.12:
            name = _twin(random, random.choice(found))
        elif pick < 0.2:
            name = _noise(random)
        elif pick < 0.24:
            name = random.choice("aé日🙂") * LONGEST
        elif pick < 0.3:
            name = random.choice(random.choice(POOLS)) + random.choice(random.choice(POOLS))
        else:
            name = random.choice(random.choice(POOLS))
        name = _cut(name)
        if name and name not in found and name not in SYSTEM:
            found.append(name)
    return found


SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Columns that every table of PostgreSQL has."""


def comment(random: Random) -> str:
    """What somebody may have written about a column."""
    return " ".join(random.choice(random.choice(POOLS)) for _ in range(random.randint(1, 3)))
