from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.project_cassettes import cassette_settings

_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")  # noqa: S104 - compared, never bound


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and no test writes into the project's state folder."""
    for name in list(os.environ):
        if name.startswith(("AQUILA_", "OPENAI_")) or name in {
            "DATABASE_URL",
            "REDIS_URL",
            "HTTP_PROXY",
            "ALL_PROXY",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AQUILA_STATE_DIR", str(tmp_path / "state"))
    # Without a base URL a call goes to OpenAI, where `auto` is the Responses API; most wire bytes here are Chat's.
    monkeypatch.setenv("AQUILA_ENDPOINT", "chat")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that leaves this machine fails, whatever library it uses."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if not str(host).startswith(_LOOPBACK):
            raise OSError(f"a test tried to reach {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def project_cassettes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay the project's own cassettes; `pytest --aquila-record=rewrite` records them anew."""
    for name, value in cassette_settings().items():
        monkeypatch.setenv(name, value)
