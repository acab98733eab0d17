"""How to reach the embedded database, and the secret file that tells the other processes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """Where a database is and who may enter: the content of a connection secret."""

    host: str
    port: int
    dbname: str
    username: str
    password: str

    @property
    def dsn(self) -> str:
        """A libpq URI, understood by psycopg and ADBC alike."""
        user, password, dbname = (quote(part, safe="") for part in (self.username, self.password, self.dbname))
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{dbname}"

    def __repr__(self) -> str:
        return f"ConnectionInfo({self.username}@{self.host}:{self.port}/{self.dbname})"


def secret_path(folder: Path, secret: str) -> Path:
    """The file of a secret: its name with `/` written as `__`."""
    return folder / f"{secret.replace('/', '__')}.json"


def write_secret(path: Path, info: ConnectionInfo) -> None:
    """Store a connection so that only this user can read it; atomically, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(info), file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def read_secret(path: Path) -> ConnectionInfo:
    """The connection in a secret file. Raises ValueError if the file is not one, OSError if it cannot be read."""
    try:
        return ConnectionInfo(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a connection secret (host, port, dbname, username, password): {error}; restore or remove it"
        ) from error
