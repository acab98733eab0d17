"""The code location: loads without a database, every asset is named, grouped and owned, and the lineage has no hole."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from dms_assets.environment import Environment
from dms_assets.model.names import Layer
from dms_assets.pipeline.dbt_assets import WAREHOUSE_POOL, build_dbt_definitions
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
    assert len(keys) == len(spec.tables) * 7


def test_every_asset_is_grouped_owned_described_and_has_an_icon(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        assert spec.group_name == f"{spec.key.path[0]}_{spec.key.path[1]}", spec.key
        assert spec.owners, spec.key
        assert spec.description, spec.key
        assert spec.kinds, spec.key


def test_lineage_has_no_hole(definitions: dg.Definitions) -> None:
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    order = [Layer.SOURCE, Layer.LANDING, Layer.VALIDATED, Layer.CURATED]
    for key, spec in specs.items():
        for dependency in spec.deps:
            assert dependency.asset_key in specs, f"{key} depends on the unknown {dependency.asset_key}"
        layer = key.path[1]
        if layer in order[1:]:
            upstream = {dependency.asset_key.path[1] for dependency in spec.deps}
            assert upstream & {order[order.index(Layer(layer)) - 1], layer}, key


def test_landing_and_source_cannot_be_materialised(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        external = key.path[1] in {Layer.SOURCE, Layer.LANDING}
        assert graph.get(key).is_executable is not external, key


def test_all_sensors_start_by_themselves(definitions: dg.Definitions) -> None:
    sensors = definitions.get_repository_def().sensor_defs
    assert {sensor.name for sensor in sensors} == {
        "probation_source_sensor",
        "probation_dms_sensor",
        "probation_landing_sensor",
        "metadata_automation",
        "curation_automation",
    }
    assert all(sensor.default_status is dg.DefaultSensorStatus.RUNNING for sensor in sensors)


def test_one_run_at_a_time_opens_the_warehouse(tmp_path: Path) -> None:
    found = build_dbt_definitions([find_source("probation")], Environment(home=tmp_path))
    (assets,) = found.assets or ()
    assert isinstance(assets, dg.AssetsDefinition)
    assert assets.op.pool == WAREHOUSE_POOL


def test_the_workspace_names_the_location_as_the_project_does() -> None:
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert entry["python_module"]["location_name"] == project["code_location_name"]
    assert entry["python_module"]["module_name"] == project["code_location_target_module"]
