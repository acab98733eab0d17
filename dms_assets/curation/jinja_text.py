"""Text that dbt renders to exactly itself, whatever it holds: names and comments come from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_ .,:/-]")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Jinja makes line feeds of carriage returns and drops the last line feed.
_RENDERED = re.compile(r"[{\r]|\n\Z")
_PYTHON_WORDS = {"None", "True", "False"}


def literal(text: str) -> str:
    """A Jinja string literal. Jinja decodes escapes as Python does, and sees no braces or quotes in it."""
    return f'"{"".join(_escaped(character) for character in text)}"'


def literal_list(texts: Iterable[str]) -> str:
    """A Jinja list of string literals."""
    return f"[{', '.join(literal(text) for text in texts)}]"


def prose(text: str) -> str:
    """Text for a description in a YAML file of dbt, which is rendered as a template."""
    return _RENDERED.sub(lambda found: "{{ '{' }}" if found[0] == "{" else f"{{{{ {literal(found[0])} }}}}", text)


def name(text: str) -> str:
    """A name in a YAML file of dbt, where what is rendered may become a number or a list: it stays text."""
    if _PLAIN_NAME.fullmatch(text) and text not in _PYTHON_WORDS:
        return text
    return f"{{{{ {literal(text)} | as_text }}}}"


def _escaped(character: str) -> str:
    if _PLAIN.fullmatch(character):
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
