"""The demo removes what it made, and nothing else."""

from pathlib import Path

import pytest

from dms_assets.demo.run import DirectoryNotEmptyError, run_demo


def test_a_folder_with_something_in_it_is_refused_and_kept(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(DirectoryNotEmptyError, match="name a new or an empty folder"):
        run_demo(tmp_path, lambda *_: None, scale=0.01, keep=False, seed=1)
    assert precious.read_text() == "years of work"
