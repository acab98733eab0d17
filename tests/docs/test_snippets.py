"""Every command and every question in the guides and the README is run, in order, on a stack that is up."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
SNIPPET = re.compile(r"^ *```(sh|sql)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
TELLS = {"doctor": {0, 1}, "status": {0, 1}, "alerts": {0, 1}}
"""Commands whose exit status says how things are; both are answers."""

pytestmark = [pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(900)]


@dataclass
class Stack:
    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dms_assets.cli", *arguments]
        environment = {**os.environ, "DMS_ASSETS_HOME": str(self.home)}
        return subprocess.run(
            command, check=False, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400
        )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    found = Stack(tmp_path_factory.mktemp("docs") / "home")
    try:
        up = found.run("stack", "up", "--scale", "0.02", "--no-workload")
        assert up.returncode == 0, up.stderr
        settled = found.run("sync")
        assert settled.returncode == 0, settled.stderr
        yield found
    finally:
        found.run("stack", "down")


def snippets(page: Path) -> list[tuple[str, str]]:
    """The commands (one a line) and questions of a page, in its order."""
    found = []
    for kind, text in SNIPPET.findall(page.read_text(encoding="utf-8")):
        if kind == "sql":
            found += [(kind, question) for question in text.split(";") if question.strip()]
        else:
            lines = [line.split("  #")[0].strip() for line in text.splitlines()]
            found += [(kind, line) for line in lines if line]
    return found


def test_there_is_something_to_run() -> None:
    counts = {page.name: len(snippets(page)) for page in PAGES}
    assert all(counts.values()), counts


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_snippet_of_a_page_runs(page: Path, stack: Stack) -> None:
    for kind, text in snippets(page):
        if kind == "sql":
            answer = stack.run("query", "--format", "json", text)
            assert answer.returncode == 0, f"{text}\n{answer.stderr}"
            assert json.loads(answer.stdout)["rows"], f"no rows:\n{text}"
            continue
        program, *arguments = shlex.split(text)
        if program == "make":
            # The suite itself, the demo and the foreground stack are run by CI and by tests of their own.
            assert arguments in (["demo"], ["test"], ["dev"]), text
            continue
        assert Path(program).name == "dms-assets", text
        answer = stack.run(*arguments)
        assert answer.returncode in TELLS.get(arguments[0], {0}), f"{text}\n{answer.stdout}\n{answer.stderr}"
