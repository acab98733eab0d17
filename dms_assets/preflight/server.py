"""Findings about the server: version, log, slots, limits, timeouts, clock, encryption."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dms_assets.model.names import quote
from dms_assets.preflight import finding as f
from dms_assets.preflight.facts import Extractor
from dms_assets.preflight.finding import Finding, Severity
from dms_assets.preflight.subject import Subject

_OLDEST = {Extractor.LOCAL: 14, Extractor.AWS: 10}
_SECOND, _MINUTE, _DAY = 1_000, 60_000, 86_400_000
_SENDER_TIMEOUT_MIN = 10 * _SECOND
_IDLE_TRANSACTION_MIN = 5 * _MINUTE
_LOG_KEPT = "64GB"
_SAFE_SSL = {"require", "verify-ca", "verify-full"}
_TOLERATED_SKEW_S = 1.0


def server_findings(subject: Subject) -> Iterator[Finding]:
    """All findings about the server and the session."""
    yield from _identity(subject)
    yield from _log(subject)
    yield from _room(subject)
    yield from _retention(subject)
    yield from _timeouts(subject)
    yield from _clock(subject)
    yield from _encryption(subject)


def _identity(subject: Subject) -> Iterator[Finding]:
    server, oldest = subject.facts.server, _OLDEST[subject.extractor]
    if server.version < oldest * 10_000:
        yield Finding(
            "server_too_old",
            Severity.ERROR,
            "server_version",
            f"PostgreSQL {server.version // 10_000} is older than {oldest}, the oldest that can be extracted "
            "(publication options and binary values of the log)",
            (f.command("pg_upgrade to a supported major version"),),
            f.DMS_ASSESSMENT,
        )
    if server.in_recovery:
        yield Finding(
            "read_replica",
            Severity.ERROR,
            "server",
            "this server is a read replica: a task's slot is lost when it is promoted or rebuilt, and slots cannot be "
            "made on it before PostgreSQL 16",
            (f.command(f"name the primary in the secret '{subject.spec.connection.secret}'"),),
            f.DMS_POSTGRES,
        )
    if server.encoding == "SQL_ASCII":
        yield Finding(
            "encoding_unknown",
            Severity.ERROR,
            "server_encoding",
            "the database has encoding SQL_ASCII, in which text may be no text at all; it cannot be read safely",
            (f.command(f"pg_dump {server.database} | psql <a database created with ENCODING 'UTF8'>"),),
            f.DMS_POSTGRES,
        )


def _log(subject: Subject) -> Iterator[Finding]:
    server = subject.facts.server
    if server.wal_level == "logical":
        return
    parameter_group = f.command(
        "set rds.logical_replication = 1 in the parameter group of the instance, then reboot the instance"
    )
    setting = f.sql("ALTER SYSTEM SET wal_level = 'logical'; -- then restart PostgreSQL")
    yield Finding(
        "log_not_logical",
        Severity.ERROR,
        "wal_level",
        f"wal_level is '{server.wal_level}': the log does not tell of rows, so no change can be captured",
        (parameter_group,) if server.managed else (setting,),
        f.LOGICAL_CONFIG,
    )


def _room(subject: Subject) -> Iterator[Finding]:
    server = subject.facts.server
    has_slot = bool(subject.own_slots and subject.own_slots & {slot.name for slot in subject.facts.slots})
    # A reload inside a live stream takes a second, temporary one on Local DMS.
    needed = (0 if has_slot else 1) + (1 if subject.extractor is Extractor.LOCAL else 0)
    for code, setting, used in (
        ("no_free_slot", "max_replication_slots", server.slots),
        ("no_free_wal_sender", "max_wal_senders", server.wal_senders),
    ):
        limit = server.settings[setting]
        if limit - used < needed:
            yield Finding(
                code,
                Severity.ERROR,
                setting,
                f"{used} of {limit} are in use and a task needs {needed} more: it could not start, or not reload",
                (f.sql(f"ALTER SYSTEM SET {setting} = {used + needed + 5}; -- then restart PostgreSQL"),),
                f.LOGICAL_CONFIG,
            )


def _retention(subject: Subject) -> Iterator[Finding]:
    settings = subject.facts.server.settings
    if settings.get("max_slot_wal_keep_size") == -1:
        yield Finding(
            "log_kept_without_limit",
            Severity.WARNING,
            "max_slot_wal_keep_size",
            "without a limit the log that a stopped task has not read fills the source's disk, and stops the source; "
            "with one, only the slot is lost, which needs a new full load. Choose less than the free space of the "
            "log's volume",
            (f.sql(f"ALTER SYSTEM SET max_slot_wal_keep_size = '{_LOG_KEPT}'; SELECT pg_reload_conf();"),),
            f.REPLICATION_SETTINGS,
        )
    idle = settings.get("idle_replication_slot_timeout", 0)
    if 0 < idle < _DAY:
        yield Finding(
            "idle_slots_dropped",
            Severity.WARNING,
            "idle_replication_slot_timeout",
            f"a task that is stopped for {idle // _SECOND} s loses its slot, and needs a new full load",
            (f.sql("ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();"),),
            f.REPLICATION_SETTINGS,
        )
    sender = settings["wal_sender_timeout"]
    if subject.extractor is Extractor.AWS and 0 < sender < _SENDER_TIMEOUT_MIN:
        yield Finding(
            "sender_timeout_too_short",
            Severity.ERROR,
            "wal_sender_timeout",
            f"it is {sender} ms; AWS DMS fails tasks that capture changes below {_SENDER_TIMEOUT_MIN} ms",
            (f.sql("ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();"),),
            f.DMS_ASSESSMENT,
        )


def _timeouts(subject: Subject) -> Iterator[Finding]:
    """Local DMS sets the others to 0 for its own sessions; servers before 17 do not know transaction_timeout."""
    server = subject.facts.server
    limits = {"transaction_timeout": (_DAY, "a load reads at one snapshot, in one transaction, and is cut off")}
    if subject.extractor is Extractor.AWS:
        limits |= {
            "statement_timeout": (_DAY, "reading a large table is one statement, and is cut off"),
            "lock_timeout": (_MINUTE, "a load that meets a lock, of a migration say, fails"),
            "idle_in_transaction_session_timeout": (
                _IDLE_TRANSACTION_MIN,
                "AWS DMS leaves transactions idle for minutes, and loses them",
            ),
            "idle_session_timeout": (_DAY, "connections that wait for changes are closed"),
        }
    for setting, (least, effect) in limits.items():
        value = server.settings.get(setting, 0)
        if 0 < value < least:
            yield Finding(
                "timeout_too_short",
                Severity.WARNING,
                setting,
                f"sessions of {subject.role} have {setting} = {value} ms: {effect}",
                (f.sql(f"ALTER ROLE {subject.role} IN DATABASE {quote(server.database)} SET {setting} = 0;"),),
                f.DMS_ASSESSMENT if setting == "idle_in_transaction_session_timeout" else f.CLIENT_SETTINGS,
            )


def _clock(subject: Subject) -> Iterator[Finding]:
    """A reload's boundary is the load's start less the known skew: a source whose clock is behind loses changes."""
    server, declared = subject.facts.server, subject.spec.dms.clock_skew_s
    ahead, error = server.clock_ahead.total_seconds(), server.clock_error.total_seconds()
    if abs(ahead) - error <= max(declared, _TOLERATED_SKEW_S):
        return
    side = "ahead of" if ahead > 0 else "behind"
    yield Finding(
        "clock_skew",
        Severity.ERROR,
        "clock",
        f"the source's clock is {abs(ahead):.1f} s {side} this machine's (±{error:.1f} s), more than the "
        f"{declared:g} s declared: commit times and the boundaries of reloads would be wrong. Set the clocks by NTP, "
        "or declare the skew",
        (f.command("chronyc makestep"), f.defs(f"dms:\n  clock_skew_s: {math.ceil(abs(ahead) + error) + 1}")),
        f.OURS,
    )


def _encryption(subject: Subject) -> Iterator[Finding]:
    server = subject.facts.server
    if server.loopback or subject.sslmode in _SAFE_SSL:
        return
    offered = "it offers TLS (this session has it)" if server.encrypted else "this session has none"
    yield Finding(
        "encryption_not_required",
        Severity.WARNING,
        "sslmode",
        f"the server is not on this machine and the secret does not ask for TLS, so DMS would connect without; "
        f"{offered}",
        (
            f.command(
                f'add "sslmode": "{"require" if server.encrypted else "verify-full"}" to the secret '
                f"'{subject.spec.connection.secret}', then run `dms-assets provision {subject.spec.name}`"
            ),
        ),
        f.DMS_TLS,
    )
