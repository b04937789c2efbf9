"""What every way over HTTP must do: our own connections, an httpx client of the user's, an httpx2 client."""

from __future__ import annotations

import asyncio
import gc
import gzip
import socket
import zlib
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest

from aquila.errors import AquilaError, ConnectionFailed, ConnectTimeout, ProtocolError
from aquila.transport import OpenAITransport, Request
from tests import wire
from tests.wire import Connection, Server


def post(url: str, **options: float | None) -> Request:
    return Request(method="POST", url=url + "/chat/completions", body=b"{}", **options)  # type: ignore[arg-type]


@pytest.fixture(params=["default", "httpx", "httpx2"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[OpenAITransport]:
    # Time-outs of the client that would cut every stream of these tests.
    client = {
        "default": lambda: None,
        "httpx": lambda: httpx.AsyncClient(timeout=0.001),
        "httpx2": lambda: httpx2.AsyncClient(timeout=0.001),
    }[request.param]()
    transport = OpenAITransport(client=client)
    yield transport
    await transport.aclose()
    if client is not None:
        pool = client._transport._pool
        assert [held for held in pool.connections if not held.is_idle()] == []
        assert not client.is_closed
        await client.aclose()


async def stall(connection: Connection) -> None:
    connection.start()
    connection.send(b"x")
    await anyio.sleep_forever()


async def closed(server: Server) -> None:
    # One second is the promise; five the patience with a busy machine.
    with anyio.fail_after(5):
        for connection in server.connections:
            await connection.closed.wait()


async def test_the_first_chunk_is_there_before_the_second_is_sent(transport: OpenAITransport) -> None:
    second = anyio.Event()

    async def handler(connection: Connection) -> None:
        connection.start(x_request_id="req_1")
        connection.send(b"one")
        await second.wait()
        connection.send(b"two")
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        first = await anext(response.chunks)
        second.set()
        rest = [chunk async for chunk in response.chunks]
        await response.aclose()

    assert (response.status, response.headers["x-request-id"]) == (200, "req_1")
    assert (first, rest) == (b"one", [b"two"])


async def test_headers_and_body_arrive_as_they_were_given(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.play([connection.body])

    request = {"authorization": "Bearer k", "content-type": "application/json", "x-own": "1"}

    async with wire.serve(handler) as server:
        sent = Request(method="POST", url=f"{server.url}/x?api-version=1", headers=request, body=b'{"a": 1}')
        response = await transport.send(sent)
        assert [chunk async for chunk in response.chunks] == [b'{"a": 1}']
        await response.aclose()

    head = server.connections[0].head.lower()
    assert head.startswith("post /v1/x?api-version=1 http/1.1\r\n")
    assert all(f"{name}: {value}".lower() in head for name, value in request.items())
    assert "content-length: 8" in head


async def test_a_hundred_streams_one_after_the_other_use_one_connection(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    async with wire.serve(handler) as server:
        for _ in range(100):
            response = await transport.send(post(server.url))
            assert [chunk async for chunk in response.chunks] == [b"x"]
            await response.aclose()

    assert (len(server.connections), server.sockets) == (100, 1)


async def test_closing_early_closes_the_socket_and_may_be_repeated(transport: OpenAITransport) -> None:
    async with wire.serve(stall) as server:
        response = await transport.send(post(server.url))
        await anext(response.chunks)
        await response.aclose()
        await response.aclose()
        await closed(server)


async def test_an_error_status_is_given_out_with_its_body(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.start("429 Too Many Requests", kind="application/json", retry_after="7")
        connection.send(b'{"error": {}}')
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        assert [chunk async for chunk in response.chunks] == [b'{"error": {}}']
        await response.aclose()

    assert (response.status, response.headers["retry-after"]) == (429, "7")


async def test_a_redirect_is_given_out_and_not_followed(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.start("307 Temporary Redirect", location="http://api.example.invalid/")
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        await response.aclose()

    assert (response.status, response.headers["location"]) == (307, "http://api.example.invalid/")


async def test_the_events_of_a_compressed_stream_come_one_by_one(transport: OpenAITransport) -> None:
    second = anyio.Event()

    async def handler(connection: Connection) -> None:
        packer = zlib.compressobj(wbits=31)
        connection.start(content_encoding="gzip")
        connection.send(packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH))
        await second.wait()
        connection.send(packer.compress(b"data: 2\n\n") + packer.flush())
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        first = await anext(response.chunks)
        second.set()
        rest = b"".join([chunk async for chunk in response.chunks])
        await response.aclose()

    assert (first, rest) == (b"data: 1\n\n", b"data: 2\n\n")


async def test_a_body_that_is_not_compressed_as_it_says_is_no_broken_connection(
    transport: OpenAITransport,
) -> None:
    async def handler(connection: Connection) -> None:
        connection.start(content_encoding="gzip")
        connection.send(b"not gzip")
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        with pytest.raises(ProtocolError, match="is not the gzip it says it is"):
            [chunk async for chunk in response.chunks]
        await response.aclose()


async def test_a_compressed_body_that_comes_whole_is_decoded(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.start(content_encoding="gzip")
        connection.send(gzip.compress(b"hello" * 100_000))
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        assert b"".join([chunk async for chunk in response.chunks]) == b"hello" * 100_000
        await response.aclose()


async def test_nobody_listening_is_a_failed_connection_that_names_the_address(
    transport: OpenAITransport,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ConnectionFailed, match=f"{port}: Connection refused"):
        await transport.send(post(f"http://127.0.0.1:{port}/v1"))


async def test_tls_to_a_server_that_speaks_none_is_told(transport: OpenAITransport) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    with pytest.raises(ConnectionFailed, match=r"TLS failed .*; is it http:// instead of https://\?"):
        await transport.send(post(f"https://127.0.0.1:{port}/v1"))
    server.close()


async def test_a_server_that_hangs_up_is_a_failed_connection_and_no_time_out(
    transport: OpenAITransport,
) -> None:
    async def handler(connection: Connection) -> None:
        connection.transport.close()

    async with wire.serve(handler) as server:
        with pytest.raises(ConnectionFailed):
            await transport.send(post(server.url))


async def test_a_server_that_speaks_no_http_is_a_failed_connection(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.transport.write(b"220 mail.example.com ESMTP\r\n\r\n")
        connection.transport.close()

    async with wire.serve(handler) as server:
        with pytest.raises(ConnectionFailed):
            await transport.send(post(server.url))


@pytest.mark.parametrize("leave", ["abort", "close"])
async def test_a_connection_that_breaks_within_the_body_is_a_failed_connection(
    transport: OpenAITransport, leave: str
) -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(b"x")
        await anyio.sleep(0.01)
        getattr(connection.transport, leave)()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        with pytest.raises(ConnectionFailed, match="broke while the answer was coming"):
            [chunk async for chunk in response.chunks]
        await response.aclose()


@pytest.mark.parametrize("limit", [0.2, 1])
async def test_a_full_listen_queue_is_a_connect_timeout(transport: OpenAITransport, limit: float) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        address = busy.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)

        with anyio.fail_after(10), pytest.raises(ConnectTimeout, match=f"within {limit} s"):
            await transport.send(post(f"http://127.0.0.1:{address[1]}/v1", connect_timeout=limit))
        for client in waiting:
            client.close()


async def test_a_model_that_thinks_is_not_cut_by_any_time_out_of_the_connection(
    transport: OpenAITransport,
) -> None:
    async def handler(connection: Connection) -> None:
        await anyio.sleep(0.3)
        connection.start()
        await anyio.sleep(0.3)
        connection.send(b"x")
        connection.end()

    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url, connect_timeout=0.2))
        assert [chunk async for chunk in response.chunks] == [b"x"]
        await response.aclose()


async def test_a_response_that_is_left_closes_its_socket_and_says_so(transport: OpenAITransport) -> None:
    async with wire.serve(stall) as server:
        response = await transport.send(post(server.url))
        await anext(response.chunks)
        gc.collect()
        with pytest.warns(ResourceWarning, match="left before its end"):
            del response
            gc.collect()
        await closed(server)


@pytest.mark.parametrize("cancels", [1, 2, 3])
@pytest.mark.parametrize("sent", [[], [b""], [b"", b"x"]], ids=["headers", "first byte", "mid-stream"])
async def test_a_cancelled_reader_leaves_no_connection(
    transport: OpenAITransport, sent: list[bytes], cancels: int
) -> None:
    asked = anyio.Event()

    async def handler(connection: Connection) -> None:
        for data in sent:
            connection.send(data) if data else connection.start()
        asked.set()
        await anyio.sleep_forever()

    async def read() -> None:
        response = await transport.send(post(server.url))
        try:
            async for _ in response.chunks:
                continue
        finally:
            await response.aclose()

    async with wire.serve(handler) as server:
        for _ in range(3):
            asked = anyio.Event()
            task = asyncio.ensure_future(read())
            await asked.wait()
            await anyio.sleep(0.01)
            await cancel(task, cancels)
        await closed(server)

    assert len(server.connections) == 3


@pytest.mark.parametrize("cancels", [1, 2, 3])
async def test_a_reader_cancelled_while_it_closes_leaves_no_connection(
    transport: OpenAITransport, cancels: int
) -> None:
    closing = anyio.Event()

    async def read() -> None:
        response = await transport.send(post(server.url))
        await anext(response.chunks)
        closing.set()
        await response.aclose()

    async with wire.serve(stall) as server:
        task = asyncio.ensure_future(read())
        await closing.wait()
        await cancel(task, cancels)
        await closed(server)


async def cancel(task: asyncio.Future[None], times: int) -> None:
    for _ in range(times):
        task.cancel()
        await anyio.lowlevel.checkpoint()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done


async def test_a_cancelled_scope_leaves_no_connection(transport: OpenAITransport) -> None:
    async with wire.serve(stall) as server:
        for _ in range(3):
            with anyio.move_on_after(0.05):
                response = await transport.send(post(server.url))
                try:
                    while True:
                        await anext(response.chunks)
                finally:
                    await response.aclose()
        await closed(server)


async def test_a_cancel_while_connecting_leaves_the_transport_usable(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.play([b"x"])

    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        address = busy.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(address)
        with anyio.move_on_after(0.05) as scope:
            await transport.send(post(f"http://127.0.0.1:{address[1]}/v1"))
        for client in waiting:
            client.close()
    async with wire.serve(handler) as server:
        response = await transport.send(post(server.url))
        assert [chunk async for chunk in response.chunks] == [b"x"]
        await response.aclose()

    assert scope.cancelled_caught


async def test_no_error_quotes_the_key(transport: OpenAITransport) -> None:
    async def handler(connection: Connection) -> None:
        connection.transport.close()

    async with wire.serve(handler) as server:
        request = Request(method="POST", url=server.url, headers={"authorization": "Bearer sk-secret-secret"})
        with pytest.raises(AquilaError) as caught:
            await transport.send(request)

    assert "sk-secret" not in repr(caught.value)
    assert "sk-secret" not in repr(request)
