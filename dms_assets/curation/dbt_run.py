"""dbt in the run's own process: parsed before start, built with results per node, and no connection left open."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent / "dbt_project"
WAREHOUSE_VARIABLE = "DMS_ASSETS_WAREHOUSE"
"""Environment variable that profiles.yml takes the DuckDB file from."""

_LOG = logging.getLogger(__name__)
_INPUTS = ("dbt_project.yml", "profiles.yml", "packages.yml")
_INPUT_DIRS = ("models", "macros", "tests", "analyses", "seeds", "snapshots")
_GENERATED = "path:models/curated"
_PACKAGES = ("dbt-core", "dbt-adapters", "dbt-duckdb")
_FAILED = ("error", "fail", "runtime error")
_RESULT_EVENTS = ("LogModelResult", "LogTestResult", "LogSeedResult", "LogSnapshotResult")


@dataclass(frozen=True, slots=True)
class DbtTarget:
    """A dbt project and where one stack keeps what dbt makes of it: the warehouse file and the target folder."""

    project_dir: Path
    target_dir: Path
    warehouse: Path

    @property
    def manifest(self) -> Path:
        """The manifest that `ensure_manifest` keeps up to date."""
        return self.target_dir / "manifest.json"

    @property
    def compiled(self) -> Path:
        """The compiled SQL of the models that are not generated, by unique id; `ensure_manifest` keeps it too."""
        return self.target_dir / "compiled.json"

    @property
    def digest(self) -> Path:
        """What the manifest was made from: changes with it."""
        return self.target_dir / "manifest.digest"

    @property
    def log(self) -> Path:
        """dbt's log, with the SQL of every statement."""
        return self.target_dir / "logs" / "dbt.log"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one node of the build.

    `status` is dbt's: success, pass, warn, error, fail, skipped. `failures` counts the rows a test found, None for
    models. Times are seconds. `adapter_response` is what the adapter said; DuckDB's never says `rows_affected`.
    """

    unique_id: str
    resource_type: str
    status: str
    message: str | None
    failures: int | None
    execution_time: float
    rows_affected: int | None
    relation_name: str | None
    adapter_response: Mapping[str, Any]
    timing: Sequence[Mapping[str, Any]]

    @property
    def failed(self) -> bool:
        """Whether the node itself went wrong (a skipped one did not: what it needs went wrong)."""
        return self.status in _FAILED


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A build that dbt went through with, also if models or tests in it failed."""

    target: DbtTarget
    nodes: tuple[NodeResult, ...]
    events: tuple[dict[str, Any], ...] = field(repr=False)
    """dbt's structured events of finished nodes, one a node (`LogModelResult`, `LogTestResult`), as in its JSON log."""

    @property
    def failed(self) -> list[NodeResult]:
        """The nodes that went wrong."""
        return [node for node in self.nodes if node.failed]

    def by_unique_id(self) -> dict[str, NodeResult]:
        """The nodes by dbt's unique id."""
        return {node.unique_id: node for node in self.nodes}

    def raise_for_failures(self) -> None:
        """Raises DbtFailedError naming every node that went wrong, if there is one."""
        if self.failed:
            nodes = "; ".join(f"{node.unique_id}: {node.status}: {node.message}" for node in self.failed)
            raise DbtFailedError(f"dbt build: {nodes}. The SQL is in {self.target.log}")


class DbtFailedError(Exception):
    """dbt could not do what it was asked to."""


def ensure_manifest(target: DbtTarget) -> Path:
    """The manifest, parsed only if it is missing or anything it is made from changed since (by content).

    With it goes the SQL of the models people wrote (`compiled`), so that nobody needs dbt to follow their columns.

    For start-up, never for workers: parsing takes seconds. Processes that start at once wait for one another.
    Raises DbtFailedError if the project does not parse.
    """
    digest = _digest(target)
    if _is_fresh(target, digest):
        return target.manifest
    target.target_dir.mkdir(parents=True, exist_ok=True)
    with (target.target_dir / "manifest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_fresh(target, digest):
            target.digest.unlink(missing_ok=True)
            manifest = _invoke(target, ["parse"], [])
            target.compiled.write_text(json.dumps(_compile(target, manifest)), encoding="utf-8")
            target.digest.write_text(digest, encoding="utf-8")
    return target.manifest


def build(
    target: DbtTarget,
    select: Sequence[str],
    *,
    full_refresh: bool = False,
    variables: Mapping[str, str | int | bool] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> BuildResult:
    """Build and test the selected nodes (dbt selectors) and return what became of each.

    One model that fails stops only what needs it: look at `failed`, or call `raise_for_failures`. `on_event` gets
    every finished node's event at once. The warehouse is closed afterwards. Raises DbtFailedError if dbt itself
    fails (a model that does not compile, a warehouse that another process has open), ValueError for no selection.
    """
    if not select:
        raise ValueError("no node selected: an empty selection would build the whole project; name the models")
    # A test that also reads what is neither built now nor needed for it may find it not there yet.
    arguments = ["build", "--indirect-selection", "buildable", "--select", *select]
    if full_refresh:
        arguments.append("--full-refresh")
    if variables:
        arguments += ["--vars", json.dumps(dict(variables))]
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> None:
        events.append(event)
        if on_event:
            on_event(event)

    outcome = _invoke(target, arguments, [keep])
    return BuildResult(target, tuple(_node(result) for result in outcome.results), tuple(events))


def _invoke(
    target: DbtTarget,
    arguments: list[str],
    on_event: Sequence[Callable[[dict[str, Any]], None]],
    manifest: Any = None,
) -> Any:
    # Heavy: seconds of imports that only a process which runs dbt should pay for.
    from dbt.cli.main import dbtRunner  # noqa: PLC0415
    from dbt_common.events.base_types import EventMsg  # noqa: PLC0415
    from dbt_common.events.functions import msg_to_dict  # noqa: PLC0415

    def finished(event: EventMsg) -> None:
        if event.info.name in _RESULT_EVENTS:
            for callback in on_event:
                callback(msg_to_dict(event))

    target.warehouse.parent.mkdir(parents=True, exist_ok=True)
    options = [
        *("--project-dir", str(target.project_dir)),
        *("--profiles-dir", str(target.project_dir)),
        *("--target-path", str(target.target_dir)),
        *("--log-path", str(target.log.parent)),
        "--quiet",
        "--no-use-colors",
        "--no-send-anonymous-usage-stats",
        "--no-version-check",
    ]
    with _warehouse_variable(target.warehouse):
        try:
            outcome = dbtRunner(manifest, callbacks=[finished]).invoke([*arguments, *options])
        finally:
            _close_connections()
    if outcome.exception is not None:
        if not isinstance(outcome.exception, Exception):
            raise outcome.exception  # an interrupt, which dbt returns as well
        raise DbtFailedError(
            f"dbt {arguments[0]} failed: {outcome.exception} (log: {target.log})"
        ) from outcome.exception
    return outcome.result


def _close_connections() -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415

    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


@contextmanager
def _warehouse_variable(warehouse: Path) -> Iterator[None]:
    before = os.environ.get(WAREHOUSE_VARIABLE)
    os.environ[WAREHOUSE_VARIABLE] = str(warehouse)
    try:
        yield
    finally:
        if before is None:
            del os.environ[WAREHOUSE_VARIABLE]
        else:
            os.environ[WAREHOUSE_VARIABLE] = before


def _node(result: Any) -> NodeResult:
    response = dict(result.adapter_response)
    return NodeResult(
        unique_id=result.node.unique_id,
        resource_type=str(result.node.resource_type),
        status=str(result.status),
        message=result.message,
        failures=result.failures,
        execution_time=result.execution_time,
        rows_affected=response.get("rows_affected"),
        relation_name=getattr(result.node, "relation_name", None),
        adapter_response=response,
        timing=[timing.to_dict() for timing in result.timing],
    )


def _compile(target: DbtTarget, manifest: Any) -> dict[str, str]:
    """The SQL of every model that is not generated, by unique id; a model that does not compile is left out.

    Such a model must not keep all others from starting: its build fails and says why.
    """
    try:
        return _compiled(target, manifest, ["--exclude", _GENERATED])
    except DbtFailedError as error:
        _LOG.error("not every model compiles: %s", error)
    found: dict[str, str] = {}
    for node in list(manifest.nodes.values()):
        if str(node.resource_type) == "model" and _GENERATED.removeprefix("path:") not in node.original_file_path:
            try:
                found |= _compiled(target, manifest, ["--select", node.name])
            except DbtFailedError as error:
                _LOG.error("%s: %s", node.unique_id, error)
    return found


def _compiled(target: DbtTarget, manifest: Any, selection: list[str]) -> dict[str, str]:
    """Compiled SQL by unique id, against an empty database: another process may have the real one open."""
    with tempfile.TemporaryDirectory(prefix="compiling-", dir=target.target_dir) as folder:
        # The file's name is the database's, which is part of every relation's name.
        scratch = DbtTarget(target.project_dir, Path(folder), Path(folder) / target.warehouse.name)
        outcome = _invoke(scratch, ["compile", *selection], [], manifest)
        return {
            result.node.unique_id: result.node.compiled_code
            for result in outcome.results
            if str(result.node.resource_type) == "model"
        }


def _is_fresh(target: DbtTarget, digest: str) -> bool:
    made = (target.manifest, target.compiled, target.digest)
    return all(path.is_file() for path in made) and target.digest.read_text(encoding="utf-8") == digest


def _digest(target: DbtTarget) -> str:
    """Digest of everything a manifest depends on: the project's files, the versions of dbt, where the warehouse is."""
    files = [target.project_dir / name for name in _INPUTS]
    for folder in _INPUT_DIRS:
        files += sorted((target.project_dir / folder).rglob("*"))
    digest = hashlib.sha256()
    for part in [*(f"{package} {version(package)}" for package in _PACKAGES), str(target.warehouse)]:
        digest.update(part.encode() + b"\0")
    for file in files:
        if file.is_file():
            digest.update(str(file.relative_to(target.project_dir)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
