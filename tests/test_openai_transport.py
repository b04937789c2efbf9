"""What `OpenAITransport` itself decides: addresses, keys, and what it does with a client that is given to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from aquila.errors import ConfigError, ConnectionFailed, ConnectTimeout
from aquila.transport import OpenAITransport, Request
from tests import wire
from tests.wire import Connection

KEY = {"authorization": "Bearer from-the-environment"}


def post(url: str, **options: Any) -> Request:
    return Request(method="POST", url=url + "/chat/completions", body=b"{}", **options)


async def echo(connection: Connection) -> None:
    connection.play([b"x"])


async def sent(transport: OpenAITransport, request: Request) -> None:
    response = await transport.send(request)
    assert [chunk async for chunk in response.chunks] == [b"x"]
    await response.aclose()
    await transport.aclose()


async def test_a_missing_key_is_named_before_anything_leaves_this_machine() -> None:
    with pytest.raises(ConfigError, match=r"no API key for api\.example\.com: set OPENAI_API_KEY"):
        await OpenAITransport().send(post("https://api.example.com/v1"))


@pytest.mark.parametrize("url", ["ftp://host", "http://", "not a url", "http://[::1", "http://h:99999"])
async def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        await OpenAITransport().send(Request(method="POST", url=url))
    with pytest.raises(ConfigError, match="base_url"):
        OpenAITransport(base_url=url)


def test_a_base_url_with_a_password_is_refused_without_being_shown() -> None:
    for url in (
        "http://bob:pw-secret@host/v1",
        "http://bob:pw-secret@host:99999/v1",
        "ftp://bob:pw-secret@host",
    ):
        with pytest.raises(ConfigError, match="base_url") as caught:
            OpenAITransport(base_url=url)
        assert "pw-secret" not in str(caught.value)


@pytest.mark.parametrize("library", [None, httpx, httpx2])
@pytest.mark.parametrize("value", ["sk-secret\r\nx-other: 1", "sk-secret\0", "sk-secret-ü"])
async def test_a_header_that_cannot_be_sent_is_named_and_not_quoted(library: Any, value: str) -> None:
    async with wire.serve(echo) as server:
        client = library and library.AsyncClient()
        with pytest.raises(ConfigError, match="the header 'x-own' holds") as caught:
            await OpenAITransport(client=client).send(post(server.url, headers={"x-own": value}))

    assert server.connections == []
    assert "sk-secret" not in str(caught.value)


async def test_the_connect_clock_covers_the_resolving_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*arguments: object, **options: object) -> list[object]:
        await anyio.sleep(30)
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    transport = OpenAITransport()

    with anyio.fail_after(5), pytest.raises(ConnectTimeout):
        await transport.send(post("http://api.example.invalid", headers=KEY, connect_timeout=0.1))
    await transport.aclose()


async def test_a_name_that_nobody_knows_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*arguments: object, **options: object) -> list[object]:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    transport = OpenAITransport()

    with pytest.raises(ConnectionFailed, match="Name or service not known"):
        await transport.send(post("http://api.example.invalid", headers=KEY))
    await transport.aclose()


@pytest.mark.parametrize("name", ["authorization", "api-key"])
async def test_its_own_key_replaces_the_one_that_a_request_brings(name: str) -> None:
    async with wire.serve(echo) as server:
        transport = OpenAITransport(base_url=server.url, api_key="own-key")
        await sent(transport, post(server.url, headers={name: "Bearer from-the-environment"}))

    head = server.connections[0].head.lower()
    assert "authorization: bearer own-key" in head
    assert "from-the-environment" not in head


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ConfigError, match="copy it again") as caught:
        OpenAITransport(api_key=key)

    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/v1", "http://localhost/v1", "http://host/v1x", "http://host/v2", "https://host/v1"],
)
async def test_a_key_never_reaches_another_server_than_its_own(url: str) -> None:
    transport = OpenAITransport(base_url="http://host/v1/", api_key="own-key")

    assert transport.base_url == "http://host/v1"
    with pytest.raises(ConfigError, match="is outside the transport's base_url=http://host/v1"):
        await transport.send(post(url))


async def test_a_base_url_with_a_query_takes_the_requests_below_its_path() -> None:
    async with wire.serve(echo) as server:
        transport = OpenAITransport(base_url=f"{server.url}?api-version=1")
        await sent(transport, Request(method="POST", url=f"{server.url}/chat?api-version=1", body=b"{}"))

    assert server.connections[0].head.startswith("POST /v1/chat?api-version=1 ")


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_client_keeps_its_headers_and_its_own_key(library: Any) -> None:
    async with wire.serve(echo) as server:
        client = library.AsyncClient(headers={"x-team": "green", "Authorization": "Bearer of-the-client"})
        await sent(OpenAITransport(client=client), post(server.url, headers=KEY))
        await client.aclose()

    head = server.connections[0].head.lower()
    assert "x-team: green" in head
    assert "authorization: bearer of-the-client" in head
    assert "from-the-environment" not in head


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_key_given_to_the_transport_wins_over_the_client_s(library: Any) -> None:
    async with wire.serve(echo) as server:
        client = library.AsyncClient(headers={"Authorization": "Bearer of-the-client"})
        await sent(OpenAITransport(client=client, api_key="own-key"), post(server.url, headers=KEY))
        await client.aclose()

    assert "authorization: bearer own-key" in server.connections[0].head.lower()


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_client_keeps_its_authentication_and_its_proxy(library: Any) -> None:
    async with wire.serve(echo) as server:
        proxy = server.url.removesuffix("/v1")
        client = library.AsyncClient(auth=("bob", "pw"), proxy=proxy)
        await sent(OpenAITransport(client=client), post("http://api.example.invalid/v1", headers=KEY))
        await client.aclose()

    head = server.connections[0].head.lower()
    assert head.startswith("post http://api.example.invalid/v1/chat/completions ")
    assert "authorization: basic ym9ionb3" in head
    assert "from-the-environment" not in head


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_client_that_has_a_base_url_gives_it_to_the_transport(library: Any) -> None:
    async with library.AsyncClient(base_url="https://gateway.example.com/v1") as client:
        assert OpenAITransport(client=client).base_url == "https://gateway.example.com/v1"
        assert OpenAITransport(client=client, base_url="http://host/v1").base_url == "http://host/v1"
    async with library.AsyncClient() as client:
        assert OpenAITransport(client=client).base_url is None


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_client_with_a_transport_of_its_own_is_used_as_it_is(library: Any) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        asked.append(request)
        return library.Response(200, headers={"X-Own": "1"}, content=b"x")

    client = library.AsyncClient(transport=library.MockTransport(answer))
    response = await OpenAITransport(client=client).send(post("https://api.example.invalid/v1"))
    assert [chunk async for chunk in response.chunks] == [b"x"]
    await response.aclose()
    await client.aclose()

    assert (response.headers["x-own"], asked[0].content) == ("1", b"{}")


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_closed_client_is_named(library: Any) -> None:
    client = library.AsyncClient()
    await client.aclose()

    with pytest.raises(ConfigError, match="client given to OpenAITransport is closed"):
        await OpenAITransport(client=client).send(post("http://127.0.0.1:1/v1"))


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_a_client_whose_pool_is_full_is_told_from_a_server_out_of_reach(library: Any) -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        await anyio.sleep_forever()

    async with wire.serve(handler) as server:
        client = library.AsyncClient(limits=library.Limits(max_connections=1))
        transport = OpenAITransport(client=client)
        first = await transport.send(post(server.url))
        with pytest.raises(ConnectTimeout, match=r"within 0\.1 s: all connections of the client are in use"):
            await transport.send(post(server.url, connect_timeout=0.1))
        await first.aclose()
        second = await transport.send(post(server.url, connect_timeout=5))
        await second.aclose()
        await client.aclose()


def test_a_client_of_httpx_does_not_need_httpx2() -> None:
    program = """
import anyio, sys, httpx
from aquila.errors import ConnectionFailed
from aquila.transport import OpenAITransport, Request

async def main():
    async with httpx.AsyncClient() as client:
        try:
            await OpenAITransport(client=client).send(Request(method="GET", url="http://127.0.0.1:1/"))
        except ConnectionFailed as error:
            assert "Connection refused" in str(error), error

anyio.run(main)
print("httpx2" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False"]
