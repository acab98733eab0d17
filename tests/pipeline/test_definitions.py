"""The code location: loads without a database, every asset is named, grouped and owned, and the lineage has no hole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dms_assets.environment import Environment
from dms_assets.model.names import Layer
from dms_assets.pipeline.dbt.assets import WAREHOUSE_POOL, build_dbt_definitions
from dms_assets.pipeline.dbt.catalogue import dbt_target, prepare_dbt, read_catalogue
from dms_assets.pipeline.keys import EXPOSURE
from dms_assets.pipeline.sensors.landing_folder import folder_key
from dms_assets.sources import find_source

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMS_ASSETS_HOME", str(tmp_path_factory.mktemp("home")))
        from dms_assets.definitions import defs

        return defs()


def test_every_table_has_every_layer(definitions: dg.Definitions) -> None:
    spec = find_source("probation")
    keys = set(definitions.resolve_all_asset_keys())
    for name in spec.table_names:
        for layer in (Layer.SOURCE, Layer.METADATA, Layer.LANDING, Layer.VALIDATED):
            assert dg.AssetKey([spec.name, layer, name.schema, name.table]) in keys
        for relation in (name.table, f"{name.table}_history", f"{name.table}_versions"):
            assert dg.AssetKey([spec.name, Layer.CURATED, name.schema, relation]) in keys
    of_the_source = {key for key in keys if key.path[0] == spec.name}
    assert len(of_the_source) == len(spec.tables) * 7 + 1, "and what else is in the landing folder"
    assert {key.path[1] for key in keys - of_the_source} == {Layer.DERIVED, EXPOSURE}


def test_every_asset_is_grouped_owned_described_and_has_an_icon(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.group_name == f"{spec.key.path[0]}_{spec.key.path[1]}", spec.key
        assert spec.owners, spec.key
        assert spec.description, spec.key
        assert spec.kinds, spec.key


def test_lineage_has_no_hole(definitions: dg.Definitions) -> None:
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    order = [Layer.SOURCE, Layer.LANDING, Layer.VALIDATED, Layer.CURATED, Layer.DERIVED]
    for key, spec in specs.items():
        for dependency in spec.deps:
            assert dependency.asset_key in specs, f"{key} depends on the unknown {dependency.asset_key}"
        layer = key.path[1]
        if layer in order[1:] and key != folder_key("probation"):
            upstream = {dependency.asset_key.path[1] for dependency in spec.deps}
            assert upstream & {order[order.index(Layer(layer)) - 1], layer}, key


def test_landing_and_source_cannot_be_materialised(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        external = key.path[1] in {Layer.SOURCE, Layer.LANDING, EXPOSURE}
        assert graph.get(key).is_executable is not external, key


def test_all_sensors_start_by_themselves(definitions: dg.Definitions) -> None:
    sensors = definitions.get_repository_def().sensor_defs
    assert {sensor.name for sensor in sensors} == {
        "probation_source_sensor",
        "probation_dms_sensor",
        "probation_landing_sensor",
        "probation_statistics_sensor",
        "probation_freshness_sensor",
        "alerts",
        "metadata_automation",
        "curation_automation",
        "derived_sensor",
    }
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors)


def test_one_run_at_a_time_opens_the_warehouse(tmp_path: Path) -> None:
    found = build_dbt_definitions([find_source("probation")], Environment(home=tmp_path))
    (assets,) = (asset for asset in found.assets or () if isinstance(asset, dg.AssetsDefinition))
    assert assets.op.pool == WAREHOUSE_POOL


def test_the_workspace_names_the_location_as_the_project_does() -> None:
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert entry["python_module"]["location_name"] == project["code_location_name"]
    assert entry["python_module"]["module_name"] == project["code_location_target_module"]


def test_a_process_that_does_not_build_imports_no_dbt(tmp_path: Path) -> None:
    """The catalogue is made once; every further process of the stack reads it."""
    environment = {**os.environ, "DMS_ASSETS_HOME": str(tmp_path)}
    prepare_dbt(dbt_target(Environment(home=tmp_path)))
    code = (
        "import sys; from dms_assets.definitions import defs; defs().get_repository_def();"
        "print([name for name in ('dbt', 'dagster_dbt', 'sqlglot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue_is_made_again_when_the_project_changed(tmp_path: Path) -> None:
    target = dbt_target(Environment(home=tmp_path))
    first = read_catalogue(target)
    assert read_catalogue(target) == first
    target.digest.write_text("another")
    again = read_catalogue(target)
    assert again.made_from.startswith("another ")
    (target.target_dir / "catalogue.json").write_text(json.dumps({"format": 0, "made_from": again.made_from}))
    assert read_catalogue(target).models == first.models
