"""A declared source: what `defs.yaml` says, validated. Everything else about the source follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from dms_assets.model.change_columns import LandingColumns
from dms_assets.model.column_check import ColumnCheck
from dms_assets.model.duration import Duration
from dms_assets.model.engine import Engine
from dms_assets.model.names import IDENTIFIER, TableName


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Connection(_Strict):
    """Where the credentials are: the name of a secret with host, port, dbname, username and password."""

    secret: str = Field(min_length=1, examples=["probation/dms"])


class ExcludedColumn(_Strict):
    """A column left out of the extraction, and why."""

    column: str
    reason: str = "declared in defs.yaml"


def _excluded(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class TableSpec(_Strict):
    """One table to extract."""

    name: str = Field(min_length=1)
    exclude_columns: tuple[Annotated[ExcludedColumn, BeforeValidator(_excluded)], ...] = ()
    checks: tuple[ColumnCheck, ...] = ()
    classification: dict[str, str] = Field(default_factory=dict)
    on_quarantine: Literal["hold", "continue"] = "hold"
    freshness: Duration | None = None

    @field_validator("name")
    @classmethod
    def _known_grammar(cls, value: str) -> str:
        if not IDENTIFIER.fullmatch(value):
            raise ValueError(
                f"table name '{value}' is not lower case letters, digits and underscores; "
                "Athena folds case, so rename it in the source or leave it out"
            )
        return value


class Schedule(_Strict):
    """Cron expressions (UTC) of the scheduled work on a source."""

    metadata: str | None = None
    reconcile: str | None = None


class DmsOptions(_Strict):
    """How DMS writes this source; names are options because an existing task may already fill the bucket."""

    folder: str | None = None
    timestamp_column: str = "dms_timestamp"
    seq_column: str | None = "dms_change_seq"
    position_column: str | None = "dms_stream_position"
    unique_positions: bool = False
    one_snapshot_loads: bool = False
    ordered_files: bool = False
    confirms_durable: bool = False
    slot_name: str | None = None
    clock_skew_s: float = Field(default=60.0, ge=0)
    cdc_max_batch_interval_s: int = Field(default=60, ge=1)
    cdc_min_file_size_kb: int = Field(default=32_000, ge=1)
    lob_max_kb: int = Field(default=102_400, ge=1, le=102_400)
    stuck_load_after_s: int = Field(default=1_800, ge=1)

    @property
    def columns(self) -> LandingColumns:
        """The names of the columns that DMS adds."""
        return LandingColumns(timestamp=self.timestamp_column, seq=self.seq_column, position=self.position_column)


def _table(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class SourceSpec(_Strict):
    """One source database, as declared in `defs/<name>/defs.yaml`."""

    name: str
    engine: Engine
    connection: Connection
    database_schema: str = Field(alias="schema", min_length=1)
    tables: tuple[Annotated[TableSpec, BeforeValidator(_table)], ...] = Field(min_length=1)
    schedule: Schedule = Schedule()
    dms: DmsOptions = DmsOptions()
    owner: str = "team:data-engineering"
    freshness: Duration = timedelta(hours=1)

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("name")
    @classmethod
    def _source_name(cls, value: str) -> str:
        if not IDENTIFIER.fullmatch(value):
            raise ValueError(f"source name '{value}' is not lower case letters, digits and underscores")
        return value

    @field_validator("owner")
    @classmethod
    def _owner(cls, value: str) -> str:
        if not value.startswith("team:"):
            raise ValueError(f"owner '{value}' is not a team; write it as team:<name>")
        return value

    @field_validator("tables")
    @classmethod
    def _unique_tables(cls, value: Sequence[TableSpec]) -> Sequence[TableSpec]:
        names = [table.name for table in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"tables declared twice: {', '.join(twice)}; keep one of each")
        return value

    @property
    def folder(self) -> str:
        """The folder of this source in the landing bucket."""
        return self.name if self.dms.folder is None else self.dms.folder

    @property
    def table_names(self) -> list[TableName]:
        """The declared tables, in the order of the file."""
        return [TableName(self.database_schema, table.name) for table in self.tables]

    def table(self, name: TableName) -> TableSpec:
        """The declaration of one table. Raises KeyError for a table that is not declared."""
        for table in self.tables:
            if table.name == name.table and name.schema == self.database_schema:
                return table
        raise KeyError(f"source '{self.name}' declares no table {name}")

    def freshness_limit(self, name: TableName) -> timedelta:
        """How old what is known of a table may be. Raises KeyError for a table that is not declared."""
        return self.table(name).freshness or self.freshness
