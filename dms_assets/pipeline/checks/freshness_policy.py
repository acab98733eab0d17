"""Dagster's own freshness policy, for the one layer where the time of the last materialisation is what counts.

Tables are not judged by it: one that nothing changes in is not materialised, and is fresh all the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

from dms_assets.model.source_spec import SourceSpec

_LATE = timedelta(hours=1)
_FROM = datetime(2026, 1, 1, tzinfo=UTC)
"""Any instant will do, and always the same one: a definition does not change by being read again."""
_TICKS = 60
"""So many ticks of a schedule show its longest pause: weekends and months included."""


def longest_pause(cron: str) -> timedelta:
    """The longest time between two ticks of a schedule (UTC)."""
    ticks = islice(cron_string_iterator(_FROM.timestamp(), cron, "UTC"), _TICKS)
    return max(later - earlier for earlier, later in pairwise(ticks))


def with_metadata_freshness(spec: SourceSpec, assets: Sequence[dg.AssetSpec]) -> list[dg.AssetSpec]:
    """The metadata assets, to be read again as often as declared; as they are where no schedule is."""
    if spec.schedule.metadata is None:
        return list(assets)
    window = longest_pause(spec.schedule.metadata) + _LATE
    return [dg.apply_freshness_policy(asset, dg.FreshnessPolicy.time_window(fail_window=window)) for asset in assets]
