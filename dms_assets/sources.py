"""Read declared sources from `defs/<source>/defs.yaml`; a mistake is named by file, line, field and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import yaml
from pydantic import ValidationError

from dms_assets.curation.generate import relation_names
from dms_assets.model.names import Layer, TableName, folded, warehouse_schema
from dms_assets.model.source_spec import SourceSpec
from dms_assets.model.table_metadata import TableMetadata

COMPONENT_TYPE = "dms_assets.DmsSource"
DEFS_DIR = Path(__file__).parent / "defs"

_REMEDIES = {
    "extra_forbidden": "remove it, or correct its spelling; known here: {known}",
    "missing": "add it",
    "enum": "use one of the values named",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a declaration."""

    file: Path
    line: int
    field: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.reason}; {self.remedy}"


class InvalidSourceError(ValueError):
    """A `defs.yaml` that cannot be used; `problems` has at least one entry."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def _line(node: yaml.Node, path: tuple[int | str, ...]) -> int:
    """The line (from 1) of the deepest part of `path` that the document has."""
    line = node.start_mark.line
    for step in path:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    line, child = key.start_mark.line, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
            line = child.start_mark.line
        if child is None:
            break
        node = child
    return line + 1


def _known_fields(path: tuple[int | str, ...]) -> str:
    fields = SourceSpec.model_json_schema(by_alias=True)
    schema = fields
    for step in path[:-1]:
        schema = schema.get("items", {}) if isinstance(step, int) else schema.get("properties", {}).get(step, {})
        if "$ref" in schema:
            schema = fields["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return ", ".join(schema.get("properties", {})) or "nothing"


def _problems(file: Path, attributes: yaml.Node, error: ValidationError) -> list[Problem]:
    problems = []
    for detail in error.errors():
        path = detail["loc"]
        field = ".".join(f"[{step}]" if isinstance(step, int) else step for step in path).replace(".[", "[")
        remedy = _REMEDIES.get(detail["type"], "correct the value").format(known=_known_fields(path))
        reason = detail["msg"].removeprefix("Value error, ")
        if "; " in reason:
            reason, remedy = reason.rsplit("; ", 1)
        problems.append(Problem(file, _line(attributes, path), field or "attributes", reason, remedy))
    return problems


def read_source(file: Path) -> SourceSpec:
    """The declaration in one file. Raises InvalidSourceError, or OSError if it cannot be read."""
    text = file.read_text(encoding="utf-8")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidSourceError([Problem(file, line, "YAML", str(error.problem), "correct the syntax")]) from error
    if root is None or not isinstance(root, yaml.MappingNode) or not isinstance(data, dict):
        raise InvalidSourceError([Problem(file, 1, "file", "is not a mapping", "write `type:` and `attributes:`")])
    if data.get("type") != COMPONENT_TYPE:
        line = _line(root, ("type",))
        raise InvalidSourceError(
            [Problem(file, line, "type", f"is {data.get('type')!r}", f"write `type: {COMPONENT_TYPE}`")]
        )
    attributes = next((value for key, value in root.value if key.value == "attributes"), None)
    if attributes is None:
        raise InvalidSourceError([Problem(file, 1, "attributes", "is not there", "add name, engine, connection, …")])
    try:
        return SourceSpec.model_validate(data["attributes"])
    except ValidationError as error:
        raise InvalidSourceError(_problems(file, attributes, error)) from error


def read_sources(directory: Path = DEFS_DIR) -> tuple[dict[Path, SourceSpec], dict[Path, InvalidSourceError]]:
    """All declarations below a folder: the good ones and the bad ones, each by file, so that one spoils no other.

    Two sources that would share assets, relations of the warehouse or files in landing are both bad.
    """
    good: dict[Path, SourceSpec] = {}
    bad: dict[Path, InvalidSourceError] = {}
    for file in sorted(directory.glob("*/defs.yaml")):
        try:
            good[file] = read_source(file)
        except InvalidSourceError as error:
            bad[file] = error
    shared: dict[Path, list[Problem]] = {}
    for (file, spec), (other_file, other) in permutations(good.items(), 2):
        if found := _shared(spec, other):
            field, reason, remedy = found
            told = f"{reason} (so does {other_file.parent.name}/{other_file.name})"
            shared.setdefault(file, []).append(Problem(file, 1, field, told, remedy))
    for file, problems in shared.items():
        bad[file] = InvalidSourceError(problems)
        del good[file]
    return good, bad


def _shared(spec: SourceSpec, other: SourceSpec) -> tuple[str, str, str] | None:
    """What two sources would have in common that each must have for itself: field, reason and remedy."""
    if spec.name == other.name:
        return "name", f"is '{spec.name}'", "give each source its own name"
    for made in (_warehouse_schema, _model_names):
        if common := made(spec) & made(other):
            reason = f"makes '{min(common)}' of source, schema and table"
            return "name", reason, "give one of the sources another name"
    folders = [f"{folder}/" if (folder := one.folder.strip("/")) else "" for one in (spec, other)]
    if folders[0].startswith(folders[1]) or folders[1].startswith(folders[0]):
        reason = f"takes the files below '{folders[0]}'"
        return "dms.folder", reason, "give each source a folder of its own in the bucket, none within another"
    return None


def _warehouse_schema(spec: SourceSpec) -> set[str]:
    return {folded(warehouse_schema(spec.name, spec.database_schema, Layer.VALIDATED))}


def _model_names(spec: SourceSpec) -> set[str]:
    return {folded(model) for name in spec.table_names for model in relation_names(spec.name, name).values()}


def check_problems(file: Path, spec: SourceSpec, known: Mapping[TableName, TableMetadata]) -> list[Problem]:
    """Declared checks that do not fit the tables as they are known to be. Tables that nothing is known of pass.

    Apart from `read_source`, for a column may go from the source while its check stays: that is the trouble of one
    table, whose files wait in landing until the declaration is corrected, and not of the source.
    """
    from dms_assets.validation.declared import declaration_faults  # noqa: PLC0415 polars, for those who ask only

    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    problems = []
    for place, name in enumerate(spec.table_names):
        metadata = known.get(name)
        for index, told in declaration_faults(metadata, spec.table(name).checks) if metadata else ():
            reason, _, remedy = told.rpartition("; ")
            line = 1 if root is None else _line(root, ("attributes", "tables", place, "checks", index))
            problems.append(Problem(file, line, f"tables[{place}].checks[{index}]", reason, remedy))
    return problems


class UnknownSourceError(LookupError):
    """No source of that name is declared."""


def find_source(name: str, directory: Path = DEFS_DIR) -> SourceSpec:
    """One declared source by name. Raises UnknownSourceError with the names there are."""
    good, _ = read_sources(directory)
    for spec in good.values():
        if spec.name == name:
            return spec
    known = ", ".join(sorted(spec.name for spec in good.values())) or "none"
    raise UnknownSourceError(f"no source '{name}' is declared in {directory}; there are: {known}")
