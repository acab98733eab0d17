"""The code server of a stack: makes its Dagster instance, parses the dbt project if it changed, serves the code."""

from __future__ import annotations

import sys

from dagster._cli import main as dagster_main

from dms_assets.environment import Environment
from dms_assets.pipeline.dbt.catalogue import dbt_target, prepare_dbt
from dms_assets.stack.dagster_instance import prepare
from dms_assets.stack.forked_runs import fork_runs

LOCATION = "dms_assets"


def serve(port: int) -> None:
    """Serve on loopback until the process is stopped. Raises DbtFailedError if the dbt project does not parse."""
    environment = Environment()
    prepare(environment.dagster_home)
    prepare_dbt(dbt_target(environment))
    fork_runs()
    arguments = ["api", "grpc", "--module-name", "dms_assets.definitions", "--location-name", LOCATION]
    sys.argv = ["dagster", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    dagster_main()  # type: ignore[no-untyped-call]  # a click command without annotations


# Processes of runs import this module again under another name.
if __name__ == "__main__":
    serve(int(sys.argv[1]))
