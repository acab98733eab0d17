"""Which database each declared source of a stack is: the embedded sample, or one that is there already."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dms_assets.environment import Environment
from dms_assets.model.source_spec import SourceSpec
from dms_assets.sample.connection import ConnectionInfo, read_secret, write_secret
from dms_assets.sample.postgres_cluster import is_cluster
from dms_assets.sources import UnknownSourceError

SAMPLE_SOURCE = "probation"
"""The source that the embedded PostgreSQL stands in for."""
_PARTS = {"host", "port", "dbname", "user", "password"}


class SourceUrlError(ValueError):
    """A source URL that cannot be used; it is never part of the message, as it holds a password."""


class SourceChosenError(RuntimeError):
    """The folder already belongs to another database."""

    def __init__(self, source: str, known: str, secret: Path | None) -> None:
        remedy = f" (if that database moved, edit {secret})" if secret else ""
        super().__init__(f"source '{source}' of this folder is {known}; name another folder with --dir{remedy}")


def parse_source_url(text: str, specs: Iterable[SourceSpec]) -> tuple[SourceSpec, ConnectionInfo]:
    """`[NAME=]postgresql://user:password@host:port/database`; the name may be left out if one source is declared.

    Raises SourceUrlError or UnknownSourceError.
    """
    declared = {spec.name: spec for spec in specs}
    named = re.match(r"([a-z0-9_]+)=(?=postgres)", text)
    name = named[1] if named else next(iter(declared)) if len(declared) == 1 else None
    known = ", ".join(sorted(declared)) or "none"
    if name is None:
        raise SourceUrlError(f"several sources are declared ({known}); write which one is meant: NAME=postgresql://...")
    if name not in declared:
        raise UnknownSourceError(f"no source '{name}' is declared; there are: {known}")
    try:
        found = {key: str(value) for key, value in conninfo_to_dict(text[named.end() if named else 0 :]).items()}
    except psycopg.ProgrammingError:
        # Not chained: the driver's message quotes the text.
        raise SourceUrlError(
            "the source URL is not postgresql://user:password@host:port/database (percent-encode other characters)"
        ) from None
    if missing := {"host", "dbname", "user"} - found.keys():
        raise SourceUrlError(f"the source URL has no {', '.join(sorted(missing))}; add it")
    if extra := found.keys() - _PARTS:
        raise SourceUrlError(f"the source URL sets {', '.join(sorted(extra))}, which a secret does not hold; remove it")
    port = found.get("port", "5432")
    if not port.isdecimal():
        raise SourceUrlError("the source URL's port is not a number; correct it")
    return declared[name], ConnectionInfo(
        found["host"], int(port), found["dbname"], found["user"], found.get("password", "")
    )


def use_database(environment: Environment, spec: SourceSpec, info: ConnectionInfo) -> None:
    """Store where a source is, in its secret file (mode 600). Raises SourceChosenError if the folder has another."""
    if spec.name == SAMPLE_SOURCE and is_cluster(environment.postgres_dir):
        raise SourceChosenError(spec.name, f"the embedded PostgreSQL in {environment.postgres_dir}", None)
    path = environment.secret_path(spec.connection.secret)
    if path.is_file():
        known = read_secret(path)
        if (known.host, known.port, known.dbname) != (info.host, info.port, info.dbname):
            raise SourceChosenError(spec.name, repr(known), path)
    environment.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_secret(path, info)


def is_embedded(environment: Environment, spec: SourceSpec) -> bool:
    """Whether a source is the embedded sample: it was from the start, or nothing else was chosen."""
    if spec.name != SAMPLE_SOURCE:
        return False
    return is_cluster(environment.postgres_dir) or not environment.secret_path(spec.connection.secret).is_file()
