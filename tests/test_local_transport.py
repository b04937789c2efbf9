from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from shared_servers import end, lives

from aquila.errors import ConfigError, ConnectionFailed
from aquila.local.attach import ALIAS, attach_local, server_name
from aquila.local.model import installed_model
from aquila.settings import Settings, read_settings
from aquila.shared_server import status, stop
from aquila.transport.base import LOCAL_BASE_URL, LOCAL_MODEL, Request
from aquila.transport.local import LocalTransport


@dataclass
class FakeResponse:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"{}"

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class FakeTransport:
    failures: int = 0
    sent: list[Request] = field(default_factory=list)
    closed: int = 0

    async def send(self, request: Request) -> FakeResponse:
        self.sent.append(request)
        if len(self.sent) <= self.failures:
            raise ConnectionFailed("connection refused")
        return FakeResponse()

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A state folder for this module, with the installed model: its server starts once for most of the tests."""
    state_dir = tmp_path_factory.mktemp("local")
    model = installed_model(read_settings())
    settings = read_settings({"AQUILA_STATE_DIR": str(state_dir), "AQUILA_LOCAL_MODEL": str(model)})
    yield settings
    end(server_name(settings.local_model), state_dir)


def request(path: str, body: Mapping[str, object] | None = None) -> Request:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer of the caller's"}
    return Request(method="POST" if body else "GET", url=LOCAL_BASE_URL + path, headers=headers, body=content)


async def test_the_real_server_answers_under_the_stable_address(settings: Settings) -> None:
    transport = LocalTransport(settings=settings)
    try:
        response = await transport.send(request("/models"))
        assert response.status == 200
        listed = json.loads(b"".join([chunk async for chunk in response.chunks]))
        assert [model["id"] for model in listed["data"]] == [LOCAL_MODEL]
        await response.aclose()

        messages = [{"role": "user", "content": "Say hello."}]
        body = {"model": LOCAL_MODEL, "messages": messages, "stream": True, "max_tokens": 8}
        response = await transport.send(request("/chat/completions", body))
        streamed = b"".join([chunk async for chunk in response.chunks])
        assert streamed.count(b"data: ") > 2
        assert streamed.rstrip().endswith(b"data: [DONE]")
        await response.aclose()

        messages = [{"role": "user", "content": "hello " * 5000}]
        response = await transport.send(request("/chat/completions", {**body, "messages": messages}))
        assert response.status == 400
        assert b"exceed_context_size_error" in b"".join([chunk async for chunk in response.chunks])
        await response.aclose()
    finally:
        await transport.aclose()


async def test_a_server_that_has_gone_is_started_again_by_the_next_request(settings: Settings) -> None:
    transport = LocalTransport(settings=settings)
    try:
        for _ in range(2):
            response = await transport.send(request("/models"))
            assert response.status == 200
            await response.aclose()
            assert stop(server_name(settings.local_model), settings.state_dir, force=True)
    finally:
        await transport.aclose()


async def test_the_requests_get_the_real_address_and_key(settings: Settings) -> None:
    inner = FakeTransport()
    transport = LocalTransport(inner, settings=settings)
    await transport.send(request("/chat/completions?x=1", {"a": 1}))
    with attach_local(settings) as attachment:
        [sent] = inner.sent
        assert sent.url == f"{attachment.address['url']}/v1/chat/completions?x=1"
        assert sent.headers["authorization"] == f"Bearer {attachment.address['api_key']}"
        assert sent.headers["content-type"] == "application/json"
        assert sent.body == b'{"a": 1}'
        await transport.aclose()


async def test_a_cancelled_first_request_does_not_wait_for_the_server_and_leaks_no_attachment(
    settings: Settings,
) -> None:
    name = server_name(settings.local_model)
    assert stop(name, settings.state_dir)
    transport = LocalTransport(FakeTransport(), settings=settings)
    with anyio.move_on_after(0.05) as scope:
        await transport.send(request("/models"))
    assert scope.cancelled_caught
    assert status(name, settings.state_dir) is None
    await transport.aclose()
    assert status(name, settings.state_dir) is not None
    assert stop(name, settings.state_dir)


async def test_a_connection_that_fails_twice_is_reported(settings: Settings) -> None:
    inner = FakeTransport(failures=2)
    transport = LocalTransport(inner, settings=settings)
    with pytest.raises(ConnectionFailed, match="refused"):
        await transport.send(request("/models"))
    assert len(inner.sent) == 2
    await transport.aclose()


async def test_closing_lets_go_of_the_server_and_the_transport_works_again(settings: Settings) -> None:
    inner = FakeTransport()
    transport = LocalTransport(inner, settings=settings)
    name = server_name(settings.local_model)
    for times in (1, 2):
        await transport.send(request("/models"))
        assert not stop(name, settings.state_dir)
        await transport.aclose()
        await transport.aclose()
        assert inner.closed == 2 * times
    assert stop(name, settings.state_dir)
    assert not lives(name, settings.state_dir)


def test_the_key_stands_neither_in_the_log_nor_in_the_command_line_it_begins_with(settings: Settings) -> None:
    with attach_local(settings) as attachment:
        log = (settings.state_dir / server_name(settings.local_model) / "log").read_text()
        assert "-m aquila.local.server" in log.splitlines()[0]
        assert attachment.address["api_key"] not in log


async def test_a_request_for_another_address_is_refused(settings: Settings) -> None:
    transport = LocalTransport(FakeTransport(), settings=settings)
    with pytest.raises(ConfigError, match=f"its base_url is {LOCAL_BASE_URL}"):
        await transport.send(Request(method="GET", url="https://api.openai.com/v1/models"))
    await transport.aclose()


async def test_a_missing_model_is_reported_before_anything_starts(tmp_path: Path) -> None:
    inner = FakeTransport()
    transport = LocalTransport(inner, settings=read_settings({"AQUILA_STATE_DIR": str(tmp_path)}))
    with pytest.raises(ConfigError, match="aquila local install"):
        await transport.send(request("/models"))
    await transport.aclose()
    assert inner.sent == []
    assert status("llama", tmp_path) is None


async def test_a_missing_extra_names_the_command_that_installs_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigError, match=r"pip install 'aquila-llm\[local\]'"):
        await LocalTransport(FakeTransport(), settings=settings).send(request("/models"))


def test_a_model_that_llama_cannot_load_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing more")
    settings = read_settings({"AQUILA_STATE_DIR": str(tmp_path), "AQUILA_LOCAL_MODEL": str(broken)})
    with pytest.raises(ConfigError, match=r"cannot load .*broken.gguf"):
        attach_local(settings)


def test_the_client_process_does_not_load_llama() -> None:
    script = "import sys, aquila.transport.local; sys.exit('xllamacpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_requests_and_server_agree_on_the_models_name() -> None:
    assert ALIAS == LOCAL_MODEL
