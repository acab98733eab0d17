"""A source, a service and a task for each case of a broken stream: what is asked of every case, and of its remedy."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from dms_assets.local_dms.gaps import Gap
from dms_assets.sample.postgres import EmbeddedPostgres
from tests.local_dms.service import Service, folded, until

LOST = re.compile(r"Changes lost: ([0-9A-F]+/[0-9A-F]+) to ([0-9A-F]+/[0-9A-F]+|unknown)\.")


@dataclass
class GapWorld:
    """One case: `arn` is its task, which runs and has captured something when the case begins."""

    service: Service
    postgres: EmbeddedPostgres
    name: str
    arn: str = ""
    changes: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    """Effects that were looked at, and took place."""

    @property
    def slot(self) -> str:
        """The task's slot, and the first of its publications."""
        return "local_dms_" + self.arn.rsplit(":", 1)[-1].lower()

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Run a statement on the source."""
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def begin(self, **settings: Any) -> None:
        """A table, and a task that has loaded it and captured a change."""
        self.sql("drop schema if exists app cascade")
        self.sql("create schema app")
        self.sql("create table app.t (id integer primary key, n numeric(10,2), note text)")
        self.sql("insert into app.t select g, g, 'row ' || g from generate_series(1, 50) g")
        self.arn = self.service.task(self.name, settings=settings or None)
        self.service.run(self.arn)
        self.change()
        until(lambda: self.captured() >= self.changes)

    def change(self, times: int = 3) -> None:
        """Commit some changes of the source, each with a row of its own."""
        for _ in range(times):
            self.changes += 1
            self.sql("insert into app.t values (%s, %s, 'later')", 1000 + self.changes, self.changes)

    def captured(self) -> int:
        """Different changes in landing."""
        return len({row["dms_change_seq"] for row in self.service.changes(self.name, "t")})

    def stop(self) -> None:
        """Stop the task; everything committed before is captured."""
        self.service.stop(self.arn)

    def resume(self) -> None:
        """Ask the task to go on, without waiting for what becomes of it."""
        self.service.client.start_replication_task(
            ReplicationTaskArn=self.arn, StartReplicationTaskType="resume-processing"
        )

    def restart(self, between: Callable[[], None] = lambda: None) -> None:
        """Stop the source in order, do something, and start it."""
        self.postgres.stop()
        between()
        self.postgres.start()

    def copy(self, source: Path, target: Path) -> None:
        """Copy a stopped server's data folder over another."""
        subprocess.run(["rm", "-rf", str(target)], check=True)
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)

    def failure(self) -> str:
        """Why the task failed, once it has."""
        until(lambda: self.service.describe(self.arn)["Status"] == "failed")
        return str(self.service.describe(self.arn)["LastFailureMessage"])

    def fresh_start(self) -> Any:
        """When the stream began."""
        return self.service.describe(self.arn)["ReplicationTaskStats"]["FreshStartDate"]

    def expect_gap(self, gap: Gap) -> str:
        """The task fails with the gap's name, range and remedy, and fails again however often it is resumed."""
        message, began = self.failure(), self.fresh_start()
        assert f"Stream broken ({gap.value})" in message, message
        assert LOST.search(message), message
        assert gap.remedy in message, message
        assert message.endswith("Stop Reason FATAL_ERROR Error Level FATAL")
        assert self.service.describe(self.arn)["StopReason"] == message
        landed = sorted(self.service.files(self.name, "t"))
        for _ in range(2):
            self.resume()
            again = self.failure()
            assert f"Stream broken ({gap.value})" in again, again
        assert self.fresh_start() == began
        assert sorted(self.service.files(self.name, "t")) == landed, "a failed task wrote files"
        return message

    def expect_lasting(self, gap: Gap) -> None:
        """The gap is the task's answer even where the source looks right again."""
        self.resume()
        assert f"Stream broken ({gap.value})" in self.failure()

    def expect_no_loss(self) -> None:
        """The task goes on as the same stream, and has everything."""
        self.stop()
        assert folded(self.service.loads(self.name, "t"), self.service.changes(self.name, "t")) == self.rows()

    def expect_remedy(self) -> None:
        """A new stream has everything again."""
        began = self.fresh_start()
        for path in self.service.files(self.name, "t"):
            path.unlink()
        self.service.run(self.arn, "reload-target")
        assert self.fresh_start() > began
        self.change()
        self.expect_no_loss()

    def rows(self) -> dict[int, dict[str, Any]]:
        """The table as the source has it."""
        found = self.sql("select id, n, note from app.t")
        return {row[0]: {"id": row[0], "n": Decimal(row[1]), "note": row[2]} for row in found}

    def end(self) -> None:
        """Remove the task, and its slot with it."""
        if self.service.describe(self.arn)["Status"] in {"running", "starting"}:
            self.service.stop(self.arn)
        self.service.client.delete_replication_task(ReplicationTaskArn=self.arn)
