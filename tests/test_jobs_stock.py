from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from job_workers import TESTS


def test_dramatiqs_own_command_says_which_command_runs_the_jobs(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("dramatiq")), "--processes", "1", "job_actors"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said = line
        if "aquila worker" in line:
            break
    process.terminate()
    process.communicate(timeout=20)

    assert "the jobs of job_actors are kept in a database: run `aquila worker job_actors` instead of" in said


def test_nobody_else_is_told(caplog: pytest.LogCaptureFixture) -> None:
    from jobs.stock import note_stock_command  # noqa: PLC0415 - dramatiq's command is not imported here

    note_stock_command("my_jobs")

    assert not caplog.records
