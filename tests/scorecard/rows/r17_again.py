"""R17: everything run again changes nothing: no batch, no data file, no row."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dms_assets.curation.warehouse import open_published
from dms_assets.model.names import Layer
from dms_assets.pipeline.keys import table_key
from tests.scorecard.figure import Budget, Outcome, Row
from tests.system.conftest import System, small_system

AGAIN = 2


def _data_files(system: System) -> set[Path]:
    return set(system.stack.environment.root.joinpath("lake").rglob("*.parquet"))


def _contents(system: System) -> dict[str, tuple[int, int]]:
    """Rows and digest of every relation of the read copy, but for instants of building."""
    found = {}
    with open_published(system.stack.environment.published_file) as connection:
        relations = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema like '%_curated' or table_schema like '%_derived'"
        ).fetchall()
        for schema, name in relations:
            quoted = f'"{schema}"."{name}"'
            columns = [row[0] for row in connection.execute(f"describe {quoted}").fetchall() if row[0] != "complete_to"]
            hashed = ", ".join(f'"{column}"' for column in columns)
            row = connection.execute(f"select count(*), coalesce(bit_xor(hash({hashed})), 0) from {quoted}").fetchone()
            assert row is not None
            found[f"{schema}.{name}"] = (int(row[0]), int(row[1]))
    return found


def measure(budget: Budget) -> Outcome:
    """A loaded and curated system; then every validated and dbt asset, twice more."""
    with small_system(budget.folder / "home") as system:
        system.load()
        files, contents = _data_files(system), _contents(system)
        validated = [table_key(system.spec.name, Layer.VALIDATED, name) for name in system.spec.table_names]
        specs = system.drive.definitions.resolve_all_asset_specs()
        built: list[dg.AssetKey] = [spec.key for spec in specs if "dbt" in spec.kinds]
        runs = 0
        for _ in range(AGAIN):
            runs += system.drive.run(validated, [], {}).success
            runs += system.drive.run(built, [], {}).success
        new, after = _data_files(system) - files, _contents(system)
        changed = [name for name in contents if contents[name] != after.get(name)]
    rows = sum(count for count, _ in contents.values())
    return Outcome(
        f"{len(new)} new data files, {len(changed)} changed relations of {len(contents)} ({rows:,} rows)"
        + (f": {', '.join(changed[:3])}" if changed else ""),
        holds=not new and not changed and runs == 2 * AGAIN,
        observed={"runs again": runs, "relations compared": len(contents), "data files": len(files)},
    )


ROW = Row(
    "R17", "Every validated and curated asset run again: new data files, changed rows", "0 and 0", 180, None, measure
)
