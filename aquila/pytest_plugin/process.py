"""What a test run says to its whole process, and to the processes that it starts, until it ends."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.journal import JOURNAL, VARIABLE
from aquila.cassette.watch import WATCHING, Watch
from aquila.pytest_plugin.options import Choices

_MODE_VARIABLE = "AQUILA_CASSETTES"
_FOLDER_VARIABLE = "AQUILA_CASSETTE_DIR"


def hold_process(config: pytest.Config, choices: Choices, watch: Watch) -> ExitStack:
    """Let the choices, the watch and the journal of a run hold for the process.

    Returns:
        What puts everything back: a run inside a run, as tests of plugins have it, gives back what was.
    """
    undo = ExitStack()
    _set(undo, WATCHING, run=watch, test=None)
    _set(undo, DEFAULTS, mode=choices.mode, speed=choices.speed, required=choices.required, has_plugin=True)
    if not hasattr(config, "workerinput") or JOURNAL.file is None:
        handle, name = tempfile.mkstemp(prefix="aquila-run-", suffix=".jsonl")
        os.close(handle)
        undo.callback(Path(name).unlink, missing_ok=True)
        _set(undo, JOURNAL, file=Path(name))
    # The processes of pytest-xdist are no children in this sense: they have tests of their own.
    _set(undo, JOURNAL, owner=None)
    _export(undo, VARIABLE, f"{os.getpid()}:{JOURNAL.file}")
    if choices.mode is not None:
        # Processes that the tests start, such as workers, do as the tests do.
        _export(undo, _MODE_VARIABLE, choices.mode)
    folder = os.environ.get(_FOLDER_VARIABLE)
    if folder:
        # A test that changes the working directory must not change where the cassettes are.
        _export(undo, _FOLDER_VARIABLE, str(Path(folder).absolute()))
    return undo


def _set(undo: ExitStack, target: object, **values: object) -> None:
    for name, value in values.items():
        undo.callback(setattr, target, name, getattr(target, name))
        setattr(target, name, value)


def _export(undo: ExitStack, name: str, value: str) -> None:
    undo.callback(_put_back, name, os.environ.get(name))
    os.environ[name] = value


def _put_back(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
