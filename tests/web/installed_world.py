"""A world whose lake is that of an installation: what commands, pages and the status read."""

from __future__ import annotations

from pathlib import Path

from dms_assets.environment import Environment
from dms_assets.installation import Installation
from dms_assets.pipeline.status.read import Declarations
from dms_assets.validation.worker_process import ValidationWorker
from tests.lake.world import World


def installed_world(home: Path, worker: ValidationWorker) -> tuple[Installation, World]:
    installation = Installation(Environment(home=home))
    return installation, World(home, installation.landing, installation.lake, worker)


def declared(world: World) -> Declarations:
    """Only the source of the world, as if its file were the only one."""
    return {Path("defs/shop/defs.yaml"): world.spec}, {}
