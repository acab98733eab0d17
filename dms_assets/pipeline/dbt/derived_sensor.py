"""The sensor that builds derived tables once the watermark has passed the last change of the tables they read.

A build follows its tables at once, and is of the instant that was reached then: the newest changes may lie beyond it.
While changes come, the next build shows them; this is for the last ones before a quiet time.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import dagster as dg

from dms_assets.curation.covered_instants import Covered, read_covered
from dms_assets.curation.warehouse import open_published
from dms_assets.installation import Installation
from dms_assets.model.names import SourceTable
from dms_assets.model.source_spec import SourceSpec
from dms_assets.pipeline.dbt.catalogue import Catalogue
from dms_assets.pipeline.reconciliation.watermark import covered_instant

SENSOR = "derived_sensor"


def lagging(tables: Collection[SourceTable], covered: Mapping[SourceTable, Covered]) -> datetime | None:
    """The instant a derived table must be of to show every change of its tables; None if it already is, or no
    instant is known for one of them.
    """
    if not tables or not all(table in covered for table in tables):
        return None
    shown = min(covered[table].complete_to for table in tables)
    last = max((found for table in tables if (found := covered[table].last_commit)), default=shown)
    return last if last > shown else None


def read_published(installation: Installation) -> Mapping[SourceTable, Covered]:
    """What the published read copy holds of every table; empty before the first build."""
    try:
        connection = open_published(installation.environment.published_file)
    except FileNotFoundError:
        return {}
    with connection:
        return read_covered(connection)


def build_derived_sensor(sources: Sequence[SourceSpec], catalogue: Catalogue) -> dg.SensorDefinition:
    """The sensor of all derived tables. Each instant is asked for once."""
    specs = {spec.name: spec for spec in sources}
    derived = {model.path: model.tables for model in catalogue.models if not model.curated}

    @dg.sensor(
        name=SENSOR,
        target=dg.AssetSelection.assets(*(dg.AssetKey(path) for path in derived)),
        description="Builds derived tables again once every change of the tables they read is known to be in.",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def derived_sensor(installation: dg.ResourceParam[Installation]) -> dg.RunRequest | dg.SkipReason:
        covered = read_published(installation)
        waiting = {path: last for path, tables in derived.items() if (last := lagging(tables, covered))}
        reached = {
            (source, name): covered_instant(installation, specs[source], [name])
            for source, name in set().union(*(derived[path] for path in waiting))
        }
        due = {
            path: last
            for path, last in waiting.items()
            if all((instant := reached[table]) is not None and instant >= last for table in derived[path])
        }
        if not due:
            told = f"{len(waiting)} derived tables wait for the watermark" if waiting else "derived tables show it all"
            return dg.SkipReason(told)
        text = "\n".join(f"{'/'.join(path)} {last.isoformat()}" for path, last in sorted(due.items()))
        return dg.RunRequest(
            run_key=hashlib.sha256(text.encode()).hexdigest()[:16],
            asset_selection=[dg.AssetKey(path) for path in sorted(due)],
        )

    return derived_sensor
