"""`rtcc-bridge demo` before it begins."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from rtcc_bridge.cli import main


def test_started_elsewhere_it_says_where_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 3
    assert "--policy: config/policy.yaml does not exist" in done.output
    assert "Start the demo in the folder of its source" in done.output
    assert list(tmp_path.iterdir()) == []
