"""What a finding proposes for a name that hurts is about that name, and only text."""

from __future__ import annotations

import pytest
import yaml

from dms_assets.preflight.subject import exclusion


@pytest.mark.parametrize(
    "name",
    ["true", "1", "null", "a: b", "}, reason: x}]", "a #b", '"', "'", "a\nb", "{{ x }}", "\x85", "🙂", "- a", " a"],
)
def test_an_exclusion_reads_as_what_it_is_about(name: str) -> None:
    (entry,) = yaml.safe_load(exclusion("on", {name: "not wanted"}))["tables"]
    assert entry == {"name": "on", "exclude_columns": [{"column": name, "reason": "not wanted"}]}
