"""The command that records a cassette anew, for the end of an error."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.mode import Mode


def command(mode: Mode) -> str:
    """Give the shell command that runs the present test or script again in a mode that records."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    if test and DEFAULTS.has_plugin:
        return f"pytest {shlex.quote(test)} --aquila-record={mode}"
    return f"AQUILA_CASSETTES={mode} {f'pytest {shlex.quote(test)}' if test else _script()}"


def _script() -> str:
    # Arguments may hold secrets, and are the user's to add.
    started = Path(sys.argv[0] if sys.argv else "")
    if started.suffix == ".py" and started.name != "__main__.py" and started.is_file():
        return f"python {shlex.quote(str(started))}"
    if started.name == "aquila" and sys.argv[1:2] == ["worker"]:
        return "<the command that sends the job>"
    return "<your command>"
