"""Who launched what: read from the event log of a Dagster instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

SENSOR_TAG = "dagster/sensor_name"
AUTOMATION_TAG = "dagster/from_automation_condition"
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Provenance:
    """Materialisations by what launched them. `reported` came from sensors themselves, without a run."""

    by_sensor: int
    by_automation: int
    reported: int
    by_hand: tuple[str, ...]
    runs: int

    @property
    def unattended(self) -> bool:
        """Whether nothing was launched by hand, and both ways were used."""
        return not self.by_hand and self.by_sensor > 0 and self.by_automation > 0


def _materialisations(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[str]:
    """The run of each materialisation of an asset; empty for one reported without a run."""
    cursor: str | None = None
    while True:
        page = instance.fetch_materializations(key, limit=_PAGE, cursor=cursor)
        yield from (record.run_id for record in page.records)
        if not page.has_more:
            return
        cursor = page.cursor


def read_provenance(instance: dg.DagsterInstance) -> Provenance:
    """Go through every materialisation of the instance."""
    counts: Counter[str] = Counter()
    by_hand: list[str] = []
    runs: dict[str, dg.DagsterRun | None] = {}
    for key in instance.all_asset_keys():
        for run_id in _materialisations(instance, key):
            if run_id not in runs:
                runs[run_id] = instance.get_run_by_id(run_id) if run_id else None
            run = runs[run_id]
            if run is None:
                counts["reported"] += 1
            elif AUTOMATION_TAG in run.tags:
                counts["automation"] += 1
            elif SENSOR_TAG in run.tags:
                counts["sensor"] += 1
            else:
                by_hand.append(f"{key.to_user_string()} in run {run_id}")
    launched = sum(run is not None for run in runs.values())
    return Provenance(counts["sensor"], counts["automation"], counts["reported"], tuple(by_hand), launched)
