"""The code server of a stack: parses the dbt project if it changed, then serves the code location, in one process."""

from __future__ import annotations

import sys

from dagster._cli import main as dagster_main

from dms_assets.curation.dbt_run import ensure_manifest
from dms_assets.environment import Environment
from dms_assets.pipeline.dbt_assets import dbt_target

LOCATION = "dms_assets"


def serve(port: int) -> None:
    """Serve on loopback until the process is stopped. Raises DbtFailedError if the dbt project does not parse."""
    ensure_manifest(dbt_target(Environment()))
    arguments = ["api", "grpc", "--module-name", "dms_assets.definitions", "--location-name", LOCATION]
    sys.argv = ["dagster", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    dagster_main()  # type: ignore[no-untyped-call]  # a click command without annotations


# Runs are processes spawned from this one, which import this module again under another name.
if __name__ == "__main__":
    serve(int(sys.argv[1]))
