"""Two real web servers on one small code location and one instance: for operators, and read-only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dms_assets.environment import Environment
from dms_assets.stack.dagster_instance import prepare
from tests.web.server_process import WebServer, web_server

_WORKSPACE = """\
load_from:
  - python_module:
      module_name: tests.web.small_location
      location_name: small
"""


@pytest.fixture(scope="session")
def web_home(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(home=tmp_path_factory.mktemp("web"))
    prepare(environment.dagster_home)
    (environment.root / "workspace.yaml").write_text(_WORKSPACE, encoding="utf-8")
    return environment


@pytest.fixture(scope="session")
def server(web_home: Environment) -> Iterator[WebServer]:
    with web_server(web_home, web_home.root / "workspace.yaml") as found:
        yield found


@pytest.fixture(scope="session")
def read_only_server(web_home: Environment) -> Iterator[WebServer]:
    with web_server(web_home, web_home.root / "workspace.yaml", "--read-only") as found:
        yield found
