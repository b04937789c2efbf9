from __future__ import annotations

from pathlib import Path

import pytest
from shared_servers import end
from typer.testing import CliRunner

from aquila.cli.local import app
from aquila.errors import ConfigError
from aquila.local.attach import attach_local, server_name
from aquila.local.model import installed_model
from aquila.settings import read_settings


@pytest.fixture(scope="module")
def model() -> Path:
    """The installed model, found before a test's own environment hides it."""
    return installed_model(read_settings())


def said(*arguments: str) -> str:
    """Run the command and give what it prints."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def test_without_a_model_the_state_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("AQUILA_LOCAL_MODEL", raising=False)
    assert "not ready: no local model is installed; run `aquila local install`" in said()
    assert "does not run" in said()
    assert said("stop") == "The local server does not run.\n"


def test_the_state_of_a_running_server_is_told_and_stop_spares_its_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setenv("AQUILA_LOCAL_MODEL", str(model))
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path))
    settings = read_settings()
    try:
        with attach_local(settings, linger=42) as attachment:
            state = said()
            assert f"is installed: {model}" in state
            assert f"runs at {attachment.address['url']}/v1" in state
            assert "stops 42 s after its last client" in state
            assert attachment.address["api_key"] not in state
            with pytest.raises(ConfigError, match="in use by another process; use --force"):
                said("stop")
            assert said("stop", "--force") == "The local server has stopped.\n"
    finally:
        end(server_name(settings.local_model), tmp_path)
