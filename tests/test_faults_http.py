"""HTTP as it should not be, over a real socket: heads and bodies that lie, connections that died in the pool."""

from __future__ import annotations

import gc
import gzip
import zlib

import anyio
import pytest

import aquila
from aquila import errors
from aquila.retry import Retry
from aquila.timeouts import Timeouts
from tests import wire
from tests.fault_server import (
    BOTH,
    QUICK,
    Api,
    Case,
    Chat,
    all_closed,
    check,
    misbehave,
    play,
    refusal,
    reply,
)
from tests.wire import Connection

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


def oddities(api: Api) -> list[Case]:
    whole, begun = b"".join(api.answer("Hello")), b"".join(api.said("Hel"))
    cut = gzip.compress(begun, compresslevel=0)[:-4]
    return [
        Case(name="a length that is more than comes", replies=[reply(HEAD + b"content-length: 99999\r\n\r\n" + begun, bare=True)],
             error=errors.ConnectionFailed, partial="Hel", closed=True),
        Case(name="a length that is more than comes, behind a whole answer", text="Hello", closed=True,
             replies=[reply(HEAD + b"content-length: 99999\r\n\r\n" + whole, bare=True)]),
        Case(name="no content", replies=[reply(b"HTTP/1.1 204 No Content\r\n\r\n", "LINGER", bare=True)],
             error=errors.EmptyStream, requests=3),
        Case(name="HTTP 1.0", text="Hello", closed=True,
             replies=[reply(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + whole, bare=True)]),
        Case(name="a head in pieces", text="Hello", closed=True,
             replies=[reply(b"HTT", 0.02, b"P/1.1 200 OK\r\ncon", 0.02, b"tent-type: x\r\n\r", 0.02, b"\n" + whole, bare=True)]),
        Case(name="other heads before the head", text="Hello", closed=True,
             replies=[reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + HEAD + b"\r\n" + whole,
                            bare=True)]),
        Case(name="a head without end", error=errors.ConnectionFailed, requests=3, closed=True,
             replies=[reply(HEAD + b"x-big: " + b"y" * 200_000 + b"\r\n\r\n" + whole, bare=True)]),
        Case(name="a body that is not compressed as it says", error=errors.ProtocolError, says="gzip",
             replies=[reply(whole, headers={"content_encoding": "gzip"})]),
        Case(name="a compressed body that is cut", error=errors.StreamTruncated, partial="Hel",
             replies=[reply(cut, headers={"content_encoding": "gzip"})]),
        Case(name="a compressed error", error=errors.BadRequestError, says="zipped",
             replies=[reply(gzip.compress(b'{"error":{"message":"zipped"}}'), status="400 Bad",
                            headers={"content_encoding": "gzip"})]),
        Case(name="a redirect", error=errors.APIStatusError, says="redirects to /login",
             replies=[reply(status="302 Found", headers={"location": "/login"})]),
        Case(name="an error whose body never ends", error=errors.BadRequestError, closed=True,
             replies=[reply(*[b"x" * 10_000] * 20, "FOREVER", status="400 Bad")]),
    ]  # fmt: skip


ROWS = [(api, case) for api in BOTH for case in oddities(api)]


@pytest.mark.parametrize(
    ("api", "case"), [pytest.param(api, case, id=f"{api.endpoint}: {case.name}") for api, case in ROWS]
)
async def test_http_that_lies_is_read_or_refused(api: Api, case: Case) -> None:
    await check(case, api)


async def test_a_body_whose_chunks_break_is_a_broken_connection() -> None:
    begun = b"".join(Chat.said("Hel"))
    chunk = HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"%x\r\n" % len(begun) + begun + b"\r\n"
    case = Case(name="", replies=[reply(chunk, 0.1, b"ZZZ\r\n", "LINGER", bare=True)], closed=True,
                error=errors.ConnectionFailed, partial="Hel", options={"timeout": Timeouts(silence=2)})  # fmt: skip

    await check(case, Chat)


async def test_an_error_keeps_the_start_of_a_body_and_no_more() -> None:
    case = Case(name="", replies=[reply(b"x" * 100_000, status="400 Bad")], error=errors.BadRequestError)

    error = await check(case, Chat)

    assert isinstance(error, errors.BadRequestError)
    assert len(error.body) == 2000
    assert len(str(error)) < 500


async def test_an_error_status_is_told_though_its_body_outlasts_the_run() -> None:
    async with misbehave(reply(b'{"error":', "LINGER", status="401 No")) as server:
        with pytest.raises(errors.AuthenticationError):
            await aquila.ask("hi", base_url=server.url, timeout=0.2)

        await all_closed(server)


async def test_what_is_no_http_is_said_in_one_line() -> None:
    case = Case(
        name="",
        replies=[reply(b"SSH-2.0-OpenSSH\r\n\r\n", bare=True)],
        error=errors.ConnectionFailed,
        requests=3,
    )

    error = await check(case, Chat)

    assert "\n" not in str(error)
    assert "400, message" not in str(error)
    assert "cannot reach" not in str(error)


async def test_a_prompt_of_megabytes_is_sent_without_a_word_of_warning() -> None:
    prompt = "x" * 3_000_000

    async with misbehave(reply(*wire.answer("Hi"))) as server:
        answer = await aquila.ask(prompt, base_url=server.url)

    [connection] = server.connections
    assert answer.text == "Hi"
    assert connection.payload["messages"][0]["content"] == prompt
    assert "content-length" in connection.head.lower()


async def test_a_connection_that_closed_in_the_pool_is_not_used() -> None:
    async with misbehave(reply(*wire.answer("Hi"))) as server:
        await aquila.ask("hi", base_url=server.url)
        server.connections[0].transport.close()
        await server.connections[0].closed.wait()
        await anyio.sleep(0.05)

        assert (await aquila.ask("hi", base_url=server.url, retry=0)).text == "Hi"
        assert server.sockets == 2


async def test_a_connection_that_dies_as_it_is_used_again_costs_one_retry() -> None:
    seen = 0

    async def handler(connection: Connection) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            connection.transport.abort()
            return
        await play(connection, reply(*wire.answer("Hi")))

    async with wire.serve(handler) as server:
        await aquila.ask("hi", base_url=server.url)
        answer = await aquila.ask("hi", base_url=server.url, retry=QUICK)

    assert (answer.text, answer.attempts) == ("Hi", 2)


async def test_a_server_that_comes_up_late_is_found() -> None:
    async with misbehave(reply()) as server:
        url = server.url

    with anyio.fail_after(5), pytest.raises(errors.ConnectionFailed):
        await aquila.ask("hi", base_url=url, retry=Retry(max_retries=2, min_backoff=0.01))


async def test_one_failing_stream_leaves_the_others_alone() -> None:
    async def handler(connection: Connection) -> None:
        said = connection.payload["messages"][0]["content"]
        if said == "bad":
            await play(connection, refusal("500 Oops"))
        else:
            await play(connection, reply(*wire.answer(said)))

    texts: list[str] = []

    async def one(prompt: str, url: str) -> None:
        try:
            texts.append((await aquila.ask(prompt, base_url=url, retry=QUICK)).text)
        except errors.InternalServerError:
            texts.append("failed")

    async with wire.serve(handler) as server, anyio.create_task_group() as tasks:
        for prompt in ["bad", *map(str, range(30)), "bad"]:
            tasks.start_soon(one, prompt, server.url)

    assert sorted(texts) == sorted(["failed", "failed", *map(str, range(30))])


def compressed(chunks: list[bytes]) -> list[bytes]:
    """Each chunk compressed so that it can be read before the next one comes."""
    machine = zlib.compressobj(wbits=31)
    return [machine.compress(chunk) + machine.flush(zlib.Z_SYNC_FLUSH) for chunk in chunks]


@pytest.mark.parametrize("end", ["read", "left"])
async def test_a_compressed_stream_is_read_as_it_comes_and_may_be_left(end: str) -> None:
    tail = [] if end == "read" else ["LINGER"]
    chunks = compressed(wire.answer("Hel", "lo") if end == "read" else Chat.said("Hel", "lo"))

    async with misbehave(reply(*chunks, *tail, headers={"content_encoding": "gzip"})) as server:
        with anyio.fail_after(5):
            async with aquila.stream("hi", base_url=server.url) as stream:
                text = ""
                async for event in stream:
                    text += event.text if isinstance(event, aquila.Chunk) else ""
                    if text == "Hello" and end == "left":
                        break
        gc.collect()
        if end == "left":
            await all_closed(server)

    assert text == "Hello"
