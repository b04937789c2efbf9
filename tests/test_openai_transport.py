from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import threading
from pathlib import Path

import anyio
import pytest

from aquila.errors import AquilaError, ConfigError, ConnectionFailed, ConnectTimeout, ProtocolError
from aquila.transport import OpenAITransport, Request
from tests import wire
from tests.wire import Connection


def post(url: str, **options: float) -> Request:
    return Request(method="POST", url=url + "/chat/completions", body=b"{}", **options)  # type: ignore[arg-type]


async def test_the_first_chunk_is_there_before_the_second_is_sent() -> None:
    second = anyio.Event()

    async def handler(connection: Connection) -> None:
        connection.start(x_request_id="req_1")
        connection.send(b"one")
        await second.wait()
        connection.send(b"two")
        connection.end()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        first = await anext(response.chunks)
        second.set()
        rest = [chunk async for chunk in response.chunks]
        await response.aclose()
        await transport.aclose()

    assert (response.status, response.headers["x-request-id"]) == (200, "req_1")
    assert (first, rest) == (b"one", [b"two"])


async def test_a_body_read_to_its_end_leaves_the_connection_for_the_next_request() -> None:
    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        for _ in range(20):
            response = await transport.send(post(server.url))
            assert [chunk async for chunk in response.chunks] == [b"x"]
            await response.aclose()
        await transport.aclose()

    assert server.sockets == 1


async def test_closing_early_closes_the_socket() -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(b"x")
        await anyio.sleep_forever()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        await anext(response.chunks)
        await response.aclose()
        with anyio.fail_after(5):
            await server.connections[0].closed.wait()
        await transport.aclose()


async def test_a_compressed_body_is_decoded() -> None:
    async def handler(connection: Connection) -> None:
        connection.start(content_encoding="gzip")
        connection.send(gzip.compress(b"hello"))
        connection.end()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        assert b"".join([chunk async for chunk in response.chunks]) == b"hello"
        await response.aclose()
        await transport.aclose()


async def test_nobody_listening_is_a_failed_connection_that_names_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = OpenAITransport()

    with pytest.raises(ConnectionFailed, match=f"{port}: Connection refused"):
        await transport.send(post(f"http://127.0.0.1:{port}/v1"))
    await transport.aclose()


async def test_tls_to_a_server_that_speaks_none_is_told() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = OpenAITransport()

    with pytest.raises(ConnectionFailed, match=r"TLS failed .*; is it http:// instead of https://\?"):
        await transport.send(post(f"https://127.0.0.1:{port}/v1"))
    await transport.aclose()
    server.close()


async def test_a_server_that_hangs_up_is_a_failed_connection_and_no_time_out() -> None:
    async def handler(connection: Connection) -> None:
        connection.transport.close()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        with pytest.raises(ConnectionFailed):
            await transport.send(post(server.url))
        await transport.aclose()


async def test_a_connection_that_breaks_within_the_body_is_a_failed_connection() -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(b"x")
        await anyio.sleep(0.01)
        connection.transport.abort()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        with pytest.raises(ConnectionFailed, match="broke while the answer was coming"):
            [chunk async for chunk in response.chunks]
        await response.aclose()
        await transport.aclose()


async def test_a_full_listen_queue_is_a_connect_timeout() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        address = busy.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        transport = OpenAITransport()

        with pytest.raises(ConnectTimeout, match="within"):
            await transport.send(post(f"http://127.0.0.1:{address[1]}/v1", connect_timeout=0.2))
        await transport.aclose()
        for client in waiting:
            client.close()


async def test_a_missing_key_is_named_before_anything_leaves_this_machine() -> None:
    with pytest.raises(ConfigError, match=r"no API key for api\.example\.com: set OPENAI_API_KEY"):
        await OpenAITransport().send(post("https://api.example.com/v1"))


@pytest.mark.parametrize("url", ["ftp://host", "http://", "not a url", "http://[::1"])
async def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        await OpenAITransport().send(Request(method="POST", url=url))


async def test_an_address_on_this_machine_bypasses_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def handler(connection: Connection) -> None:
        connection.play([b"direct"])

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        assert [chunk async for chunk in response.chunks] == [b"direct"]
        await response.aclose()
        await transport.aclose()


async def test_a_response_that_is_left_without_closing_closes_its_socket_and_says_so() -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(b"x")
        await anyio.sleep_forever()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        await anext(response.chunks)
        gc.collect()
        with pytest.warns(ResourceWarning, match="left before its end"):
            del response
            gc.collect()
        with anyio.fail_after(5):
            await server.connections[0].closed.wait()
        await transport.aclose()


async def test_a_login_in_netrc_stays_out_of_requests(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login bob password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    async with wire.serve(handler) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        transport = OpenAITransport()
        request = Request(
            method="POST", url="http://api.example.invalid/v1", headers={"authorization": "Bearer k"}
        )
        response = await transport.send(request)
        assert [chunk async for chunk in response.chunks] == [b"x"]
        await response.aclose()
        await transport.aclose()

    head = server.connections[0].head.lower()
    assert head.startswith("post http://api.example.invalid/v1 ")
    assert head.count("authorization:") == 1
    assert "authorization: bearer k" in head


async def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")

    with pytest.raises(ConfigError, match="names a socks5 proxy, and only HTTP proxies can be used"):
        await OpenAITransport().send(
            Request(
                method="POST", url="https://api.example.invalid/v1", headers={"authorization": "Bearer k"}
            )
        )


async def test_a_body_that_is_not_compressed_as_it_says_is_no_broken_connection() -> None:
    async def handler(connection: Connection) -> None:
        connection.start(content_encoding="gzip")
        connection.send(b"not gzip")
        connection.end()

    async with wire.serve(handler) as server:
        transport = OpenAITransport()
        response = await transport.send(post(server.url))
        with pytest.raises(ProtocolError, match="is not the gzip it says it is"):
            [chunk async for chunk in response.chunks]
        await response.aclose()
        await transport.aclose()


async def test_the_connect_clock_covers_the_resolving_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(*arguments: object, **options: object) -> list[object]:
        await anyio.sleep(30)
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", slow)
    transport = OpenAITransport()
    request = Request(
        method="POST", url="http://api.example.invalid", headers={"authorization": "k"}, connect_timeout=0.1
    )

    with anyio.fail_after(5), pytest.raises(ConnectTimeout):
        await transport.send(request)
    await transport.aclose()


def test_one_transport_serves_many_event_loops_and_leaves_no_socket_behind() -> None:
    transport = OpenAITransport()
    failures: list[AquilaError] = []

    async def once() -> None:
        async def handler(connection: Connection) -> None:
            connection.play([b"x"])

        async with wire.serve(handler) as server:
            response = await transport.send(post(server.url))
            assert [chunk async for chunk in response.chunks] == [b"x"]
            await response.aclose()

    for _ in range(5):
        asyncio.run(once())
    thread = threading.Thread(target=asyncio.run, args=[once()])
    thread.start()
    thread.join()

    assert failures == []
    assert len(transport._pools) == 0
