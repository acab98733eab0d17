"""The dbt project as assets, in one file beside its manifest: what definitions need, without importing dbt.

dagster-dbt says what is an asset, what depends on what and which test checks what; that is asked once for each change
of the project, since importing it costs every process that loads the code location more than two seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from dms_assets.curation.dbt_run import PROJECT_DIR, DbtTarget, ensure_manifest
from dms_assets.environment import Environment
from dms_assets.model.names import Layer, SourceTable, TableName
from dms_assets.pipeline.keys import exposure_path

if TYPE_CHECKING:
    import dagster as dg
    from dagster_dbt import DagsterDbtTranslator

    from dms_assets.curation.model_lineage import Lineage

FORMAT = 2

KeyPath = tuple[str, ...]
"""The path of an asset key."""


@dataclass(frozen=True)
class CatalogueColumn:
    """One column: `origins` are columns of the assets it is made of, `sources` the source's own, with comments.

    Without origins `note` says why; `known` is False where they could not be found out.
    """

    name: str
    type: str
    description: str
    origins: tuple[tuple[KeyPath, str], ...]
    sources: tuple[tuple[KeyPath, str, str], ...]
    note: str | None
    known: bool


@dataclass(frozen=True)
class CatalogueModel:
    """One model. `behind` are the validated tables it is built on: source, schema, table."""

    unique_id: str
    name: str
    path: KeyPath
    deps: tuple[KeyPath, ...]
    group: str
    kinds: tuple[str, ...]
    owners: tuple[str, ...]
    description: str
    sql: str
    code_version: str
    table_name: str
    relation: str | None
    behind: tuple[tuple[str, str, str], ...]
    columns: tuple[CatalogueColumn, ...]

    @property
    def curated(self) -> bool:
        """Whether it is a relation of one source table, rather than derived from several."""
        return self.relation is not None

    @property
    def tables(self) -> set[SourceTable]:
        """The validated tables it is built on."""
        return {(source, TableName(schema, table)) for source, schema, table in self.behind}


@dataclass(frozen=True)
class CatalogueCheck:
    """One dbt test, as the check of an asset."""

    unique_id: str
    path: KeyPath
    name: str
    description: str
    deps: tuple[KeyPath, ...]
    blocking: bool


@dataclass(frozen=True)
class CatalogueExposure:
    """Something outside that uses models: a dashboard, a publication."""

    path: KeyPath
    label: str
    type: str
    maturity: str
    description: str
    owner: str
    deps: tuple[KeyPath, ...]


@dataclass(frozen=True)
class Catalogue:
    """Everything definitions need to know of the dbt project. `made_from` names the manifest and the release."""

    format: int
    made_from: str
    models: tuple[CatalogueModel, ...]
    checks: tuple[CatalogueCheck, ...]
    exposures: tuple[CatalogueExposure, ...]


_ADAPTER = TypeAdapter(Catalogue)


def dbt_target(environment: Environment) -> DbtTarget:
    """The project, and where this stack keeps what dbt makes of it."""
    return DbtTarget(PROJECT_DIR, environment.dbt_target_dir, environment.warehouse_file)


def prepare_dbt(target: DbtTarget) -> None:
    """Parse the project and make the catalogue, if anything changed. For start-up: it takes seconds.

    Raises DbtFailedError if the project does not parse.
    """
    ensure_manifest(target)
    read_catalogue(target)


def read_catalogue(target: DbtTarget) -> Catalogue:
    """The catalogue; made from the manifest if it is not there or older, which a stack does before it starts."""
    if not target.manifest.is_file() or not target.digest.is_file():
        ensure_manifest(target)
    # Another release may follow columns better.
    made_from = f"{target.digest.read_text(encoding='utf-8')} {version('dms-assets')}"
    path = target.target_dir / "catalogue.json"
    if path.is_file():
        content = path.read_bytes()
        # Looked at before it is read as a whole: another release may have written another form.
        head = json.loads(content)
        if (head["format"], head["made_from"]) == (FORMAT, made_from):
            return _ADAPTER.validate_python(head)
    catalogue = make_catalogue(target, made_from)
    written = path.with_suffix(f".{os.getpid()}")
    written.write_bytes(_ADAPTER.dump_json(catalogue))
    written.replace(path)
    return catalogue


def make_catalogue(target: DbtTarget, made_from: str) -> Catalogue:
    """The catalogue of a parsed project."""
    from dms_assets.curation.model_lineage import model_lineage  # noqa: PLC0415 heavy: it parses SQL

    manifest = json.loads(target.manifest.read_text(encoding="utf-8"))
    compiled = json.loads(target.compiled.read_text(encoding="utf-8"))
    translator = _translator()
    lineage = model_lineage(manifest, compiled)
    keys = {
        unique_id: tuple(translator.get_asset_spec(manifest, unique_id, None).key.path)
        for unique_id, node in [*manifest["nodes"].items(), *manifest["sources"].items()]
        if node["resource_type"] in {"model", "source"}
    }
    models = [
        _model(manifest, translator.get_asset_spec(manifest, unique_id, None), unique_id, keys, lineage)
        for unique_id in keys
        if unique_id.startswith("model.")
    ]
    return Catalogue(
        FORMAT, made_from, tuple(models), tuple(_checks(manifest, translator)), tuple(_exposures(manifest, keys))
    )


def asset_path_of(node: Mapping[str, Any]) -> list[str]:
    """The asset key of a model or source: what its meta says, else `[domain, derived, table]` by its folder."""
    said: list[str] | None = node["config"].get("meta", {}).get("dagster", {}).get("asset_key")
    if said:
        return said
    _, layer, domain, *_ = node["fqn"]
    if layer != Layer.DERIVED:
        raise ValueError(
            f"model {node['name']} is neither generated nor in models/derived/<domain>/; move it there, so that its "
            "asset key follows from its folder"
        )
    return [domain, Layer.DERIVED.value, node["alias"]]


def _translator() -> DagsterDbtTranslator:
    import dagster as dg  # noqa: PLC0415
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings  # noqa: PLC0415 heavy and rare

    class Translator(DagsterDbtTranslator):
        def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
            return dg.AssetKey(asset_path_of(dbt_resource_props))

    return Translator(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=False))


def _model(
    manifest: Mapping[str, Any],
    spec: dg.AssetSpec,
    unique_id: str,
    keys: Mapping[str, KeyPath],
    lineage: Lineage,
) -> CatalogueModel:
    node = manifest["nodes"][unique_id]
    domain = manifest["groups"].get(f"group.{node['package_name']}.{node['group']}") if node["group"] else None
    path = tuple(spec.key.path)
    return CatalogueModel(
        unique_id=unique_id,
        name=node["name"],
        path=path,
        deps=tuple(tuple(dep.asset_key.path) for dep in spec.deps),
        group=f"{path[0]}_{path[1]}",
        kinds=tuple(sorted(spec.kinds)),
        owners=(domain["owner"]["name"],) if domain else (),
        description=node["description"].strip() or node["name"],
        sql=node["raw_code"].strip(),
        code_version=spec.code_version or "",
        table_name=node["relation_name"].replace('"', ""),
        relation=node["config"]["meta"].get("relation"),
        behind=tuple(sorted(_behind(manifest, unique_id))),
        columns=tuple(_column(manifest, unique_id, column, keys, lineage) for column in node["columns"].values()),
    )


def _column(
    manifest: Mapping[str, Any],
    unique_id: str,
    column: Mapping[str, Any],
    keys: Mapping[str, KeyPath],
    lineage: Lineage,
) -> CatalogueColumn:
    from dms_assets.curation.model_lineage import source_columns  # noqa: PLC0415 heavy, as above

    found = lineage[unique_id, column["name"]]
    sources = []
    for source, name in sorted(source_columns(lineage, (unique_id, column["name"]))):
        owner, _, schema, table = keys[source]
        comment = manifest["sources"][source]["columns"][name]["description"]
        sources.append(((owner, Layer.SOURCE.value, schema, table), name, comment))
    return CatalogueColumn(
        name=column["name"],
        type=column["data_type"] or "?",
        description=column["description"],
        origins=tuple((keys[parent], name) for parent, name in found.columns),
        sources=tuple(sources),
        note=found.note,
        known=found.known,
    )


def _behind(manifest: Mapping[str, Any], unique_id: str) -> set[tuple[str, str, str]]:
    seen: set[str] = set()
    waiting = [unique_id]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(manifest["parent_map"].get(one, []))
    paths = [asset_path_of(manifest["sources"][one]) for one in seen if one.startswith("source.")]
    return {(path[0], path[2], path[3]) for path in paths if path[1] == Layer.VALIDATED}


def _checks(manifest: Mapping[str, Any], translator: DagsterDbtTranslator) -> Iterator[CatalogueCheck]:
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "test":
            continue
        models = [parent for parent in manifest["parent_map"][unique_id] if parent.startswith("model.")]
        for model in models:
            spec = translator.get_asset_check_spec(
                translator.get_asset_spec(manifest, model, None), manifest, unique_id, None
            )
            if spec is not None:
                yield CatalogueCheck(
                    unique_id=unique_id,
                    path=tuple(spec.asset_key.path),
                    name=spec.name,
                    description=spec.description or node["description"],
                    deps=tuple(sorted(tuple(dep.asset_key.path) for dep in spec.additional_deps)),
                    blocking=spec.blocking,
                )


def _exposures(manifest: Mapping[str, Any], keys: Mapping[str, KeyPath]) -> Iterator[CatalogueExposure]:
    for node in manifest["exposures"].values():
        # The domain is the folder's: models/derived/<domain>.
        domain = node["fqn"][2]
        yield CatalogueExposure(
            path=exposure_path(domain, node["name"]),
            label=node["label"] or node["name"],
            type=node["type"],
            maturity=node["maturity"] or "unknown",
            description=node["description"],
            owner=node["owner"]["name"],
            deps=tuple(sorted(keys[parent] for parent in node["depends_on"]["nodes"] if parent in keys)),
        )
