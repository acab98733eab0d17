"""What a user does in the UI: runs of chosen assets, and the end of a run, by the web server's own API."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence
from typing import Any

_LAUNCH = """mutation Launch($asked: ExecutionParams!) { launchPipelineExecution(executionParams: $asked) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_TERMINATE = """mutation End($run: String!) { terminateRun(runId: $run) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""


def launch(url: str, assets: Sequence[Sequence[str]]) -> str:
    """Materialise assets in one run; its id."""
    selector = {
        "repositoryLocationName": "dms_assets",
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": list(path)} for path in assets],
        "assetCheckSelection": [],
    }
    asked = {"selector": selector, "mode": "default", "runConfigData": {}}
    answer = _ask(url, _LAUNCH, {"asked": asked})["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def terminate(url: str, run_id: str) -> str:
    """Ask for the end of a run; the kind of answer."""
    return str(_ask(url, _TERMINATE, {"run": run_id})["terminateRun"]["__typename"])


def _ask(url: str, query: str, variables: dict[str, Any]) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    assert "errors" not in told, told
    return told["data"]
