from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.rerecord import command


def test_a_test_is_named_with_the_option_of_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DEFAULTS, "has_plugin", True)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/test_a.py::test_b[x y] (call)")

    assert command("all") == "pytest 'tests/test_a.py::test_b[x y]' --aquila-record=all"


def test_without_the_plugin_the_variable_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DEFAULTS, "has_plugin", False)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/test_a.py::test_b (setup)")

    assert command("once") == "AQUILA_CASSETTES=once pytest tests/test_a.py::test_b"


def test_a_script_is_named_without_its_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "a script.py"
    script.touch()
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(sys, "argv", [str(script), "--api-key", "example-credential"])

    assert command("rewrite") == f"AQUILA_CASSETTES=rewrite python '{script}'"


@pytest.mark.parametrize("argv", [[], ["-c"], ["/usr/lib/pytest/__main__.py"], ["gone.py"]])
def test_what_cannot_be_named_is_the_user_s_own_command(
    monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(sys, "argv", argv)

    assert command("once") == "AQUILA_CASSETTES=once <your command>"
