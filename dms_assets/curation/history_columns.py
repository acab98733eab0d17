"""What history adds to the columns of a table: their names and the open end, as the dbt project sets them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class HistoryColumns:
    """Names of the columns that history adds, and the end (UTC) of what has not ended yet."""

    valid_from: str = "valid_from"
    valid_to: str = "valid_to"
    is_current: str = "is_current"
    open_end: str = "2999-01-01 00:00:00"

    @property
    def names(self) -> tuple[str, str, str]:
        """The three column names, in the order they have in a history."""
        return (self.valid_from, self.valid_to, self.is_current)


def history_columns(project_dir: Path) -> HistoryColumns:
    """The names set in `dbt_project.yml` (vars `scd2_*`), the defaults where it sets none."""
    text = (project_dir / "dbt_project.yml").read_text(encoding="utf-8")
    project: dict[str, Any] = yaml.safe_load(text)
    found = {name.removeprefix("scd2_"): value for name, value in project.get("vars", {}).items() if "scd2_" in name}
    return HistoryColumns(**{name: str(value) for name, value in found.items()})
