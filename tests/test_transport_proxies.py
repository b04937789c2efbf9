from __future__ import annotations

import base64
from pathlib import Path

import pytest

from aquila.errors import ConfigError, ConnectionFailed
from aquila.transport import OpenAITransport, Request
from tests import wire
from tests.wire import Connection

EVERY = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def post(url: str) -> Request:
    return Request(
        method="POST", url=url + "/chat/completions", headers={"authorization": "Bearer k"}, body=b"{}"
    )


async def play(connection: Connection) -> None:
    connection.play([b"x"])


async def ask(transport: OpenAITransport, url: str, times: int = 1) -> None:
    try:
        for _ in range(times):
            response = await transport.send(post(url))
            assert [chunk async for chunk in response.chunks] == [b"x"]
            await response.aclose()
    finally:
        await transport.aclose()


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "socks5h://127.0.0.1:1", "nonsense"]
)
async def test_an_address_on_this_machine_bypasses_every_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in EVERY:
        monkeypatch.setenv(name, proxy)

    async with wire.serve(play) as server:
        await ask(OpenAITransport(), server.url)

    assert len(server.connections) == 1


async def test_a_host_in_no_proxy_bypasses_a_proxy_that_could_not_be_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in EVERY:
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.invalid")
    monkeypatch.setenv("no_proxy", "example.invalid")

    with pytest.raises(ConnectionFailed, match=r"cannot reach api\.example\.invalid:80"):
        await ask(OpenAITransport(), "http://api.example.invalid/v1")


async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")

    with pytest.raises(ConfigError, match="names a socks5 proxy, and only HTTP proxies can be used"):
        await ask(OpenAITransport(), "https://api.example.invalid/v1")


async def test_requests_through_a_proxy_share_a_connection_and_carry_its_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with wire.serve(play) as server:
        host = server.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("HTTP_PROXY", f"http://bob:p%40w@{host}")
        await ask(OpenAITransport(), "http://api.example.invalid/v1", times=3)

    login = base64.b64encode(b"bob:p@w").decode()
    heads = [connection.head for connection in server.connections]
    assert server.sockets == 1
    assert all(head.startswith("POST http://api.example.invalid/v1/chat/completions ") for head in heads)
    assert [f"proxy-authorization: Basic {login}" in head for head in heads] == [True] * 3


async def test_a_login_in_netrc_stays_out_of_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login bob password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async with wire.serve(play) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        await ask(OpenAITransport(), "http://api.example.invalid/v1")

    head = server.connections[0].head.lower()
    assert head.count("authorization:") == 1
    assert "authorization: bearer k" in head


async def test_a_tunnel_gets_the_login_and_the_server_behind_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(connection: Connection) -> None:
        connection.transport.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

    async with wire.serve(refuse) as server:
        host = server.url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("HTTPS_PROXY", f"http://bob:pw@{host}")
        with pytest.raises(ConnectionFailed, match="Proxy Authentication Required") as caught:
            await ask(OpenAITransport(), "https://api.example.invalid/v1")

    head = server.connections[0].head
    assert head.startswith("CONNECT api.example.invalid:443 ")
    assert "Basic " in head
    assert "Bearer" not in head
    assert "pw" not in str(caught.value)
