"""How long a stack keeps what it could do without: every limit in one place, with its reason.

The defaults let a local stack run for weeks with sensors and workload ticking. They are the job's run configuration
too, so that one run may be given others, or only be asked what it would remove.
"""

import dagster as dg
from pydantic import Field


class RetentionSettings(dg.Config):
    """Limits of the retention job. What is not named here is kept for ever: rows, ledger, metadata versions."""

    dry_run: bool = Field(default=False, description="Remove nothing, only say what would be removed.")
    snapshot_days: int = Field(
        default=7,
        ge=1,
        description="Iceberg snapshots older than this are forgotten, and the small files only they named are removed. "
        "Beyond the newest twenty they are forgotten at once, for a commit takes the longer the more there are.",
    )
    orphan_hours: int = Field(
        default=24,
        ge=13,
        description="Files of a table that nothing refers to are removed at this age. More than the twelve hours "
        "within which a batch must be committed.",
    )
    compact_from: int = Field(
        default=100,
        ge=2,
        description="A table with so many small data files has them rewritten into one: each batch leaves one or "
        "more, and every reader opens them all.",
    )
    archive_days: int = Field(
        default=2,
        ge=1,
        description="Originals of accepted, superseded and discarded files are removed at this age. In AWS the "
        "bucket's lifecycle rule decides.",
    )
    quarantine_days: int = Field(
        default=30,
        ge=1,
        description="Reports of rejected files that were replayed or discarded are removed at this age; files that "
        "wait for a decision, never.",
    )
    run_days: int = Field(default=7, ge=1, description="Runs older than this are deleted with their events and logs.")
    runs_kept: int = Field(
        default=500,
        ge=1,
        description="Of runs that have ended, only so many are kept: each takes about a megabyte, and a busy stack has "
        "thousands a day.",
    )
    event_days: int = Field(
        default=3,
        ge=1,
        description="Events that sensors reported without a run, results of checks, automation's evaluations and logs "
        "of ticks are removed at this age. The latest of every asset and check always stays.",
    )
    leftover_hours: int = Field(
        default=24, ge=1, description="Temporary files and folders of processes that died are removed at this age."
    )
