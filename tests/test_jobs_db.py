from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli.db import app


def test_upgrade_makes_the_file_and_its_folder_and_does_nothing_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path / "new" / "state"))

    first = CliRunner().invoke(app, ["upgrade"])
    second = CliRunner().invoke(app, ["upgrade"])

    assert "the tables are at this version now" in first.stdout
    assert "nothing to do" in second.stdout
    assert (tmp_path / "new" / "state" / "aquila.db").exists()
