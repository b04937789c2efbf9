from __future__ import annotations

import asyncio
import gc
import gzip
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import anyio
import pytest

from aquila.cassette.file.disk import read
from aquila.cassette.http_transport import CassetteTransport
from aquila.cassette.interaction import Interaction
from aquila.cassette.replay import ReplayTransport
from tests.guests import BOTH, PROMPT, WAYS, chunks
from tests.tapes import HELLO, KEY
from tests.thread_server import Reply, reply, serve_in_thread


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    return tmp_path


def recorded(folder: Path) -> Interaction:
    (interaction,) = read(folder / "a.yaml") or ()
    return interaction


@BOTH
@WAYS
async def test_what_was_recorded_is_replayed_chunk_for_chunk(
    library: Any, blocking: bool, folder: Path
) -> None:
    with serve_in_thread(reply(*HELLO)) as server:
        ask = partial(chunks, library, url=f"{server.url}/v1/chat/completions", blocking=blocking)
        live = await ask(CassetteTransport("a", mode="once"))
        again = await ask(CassetteTransport("a", mode="none"))
        alone = await ask(ReplayTransport(folder / "a.yaml"))

    assert live == again == alone == list(HELLO)
    assert [seen.headers["accept-encoding"] for seen in server.seen] == ["identity"]
    interaction = recorded(folder)
    assert (interaction.model, interaction.usage) == ("tiny-1", {"input": 12, "output": 3, "cached": 0})
    assert interaction.end == "complete"


@BOTH
@WAYS
async def test_a_chunk_reaches_the_reader_before_the_next_is_sent(library: Any, blocking: bool) -> None:
    seen = [threading.Event(), threading.Event(), threading.Event()]
    sent = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
    in_time = []

    def each(chunk: bytes) -> None:
        # The server says the next one only then.
        in_time.append(not any(event.is_set() for event in seen[sent.index(chunk) :]))
        seen[sent.index(chunk)].set()

    with serve_in_thread(reply(sent[0], seen[0], sent[1], seen[1], sent[2])) as server, anyio.fail_after(8):
        transport = CassetteTransport("a", mode="rewrite")
        assert await chunks(library, transport, server.url, blocking=blocking, each=each) == sent
    assert in_time == [True, True, True]


@BOTH
@WAYS
async def test_a_body_that_comes_compressed_all_the_same_is_recorded_decoded(
    library: Any, blocking: bool, folder: Path
) -> None:
    packed = gzip.compress(b'{"answer": 42}')
    said = reply(packed[:9], packed[9:], content_type="application/json", content_encoding="gzip")
    with serve_in_thread(said) as server:
        for mode in ("once", "none"):
            got = await chunks(library, CassetteTransport("a", mode=mode), server.url, blocking=blocking)
            assert b"".join(got) == b'{"answer": 42}'
    assert recorded(folder).body == b'{"answer": 42}'
    assert "content-encoding" not in recorded(folder).headers


@BOTH
async def test_cookies_stay_apart_while_recording_and_are_not_written(library: Any, folder: Path) -> None:
    said = Reply(headers=[("set-cookie", "a=cookie-1"), ("set-cookie", "b=cookie-2")])
    with serve_in_thread(said) as server:
        async with library.AsyncClient(transport=CassetteTransport("a", mode="once")) as client:
            response = await client.get(server.url, headers={"authorization": f"Bearer {KEY}"})

    assert response.headers.get_list("set-cookie") == ["a=cookie-1", "b=cookie-2"]
    assert dict(client.cookies) == {"a": "cookie-1", "b": "cookie-2"}
    text = (folder / "a.yaml").read_text()
    assert not [secret for secret in (KEY, "cookie-1", "cookie-2") if secret in text]


class Fault(NamedTuple):
    said: Reply
    #: The error's class in httpx and httpx2, and in the file.
    theirs: str
    ours: str


FAULTS = [
    Fault(reply(b"data: a\n\n", "CLOSE"), "RemoteProtocolError", "ConnectionFailed"),
    Fault(reply(b"data: a\n\n", "LINGER"), "ReadTimeout", "SilenceTimeout"),
]


@BOTH
@WAYS
@pytest.mark.parametrize("fault", FAULTS, ids=["CLOSE", "LINGER"])
async def test_a_failure_inside_an_answer_is_recorded_as_ours_and_replayed_as_theirs(
    library: Any, blocking: bool, fault: Fault, folder: Path
) -> None:
    with serve_in_thread(fault.said) as server:
        for mode in ("rewrite", "none"):
            got: list[bytes] = []
            transport = CassetteTransport("a", mode=mode)
            ask = chunks(library, transport, server.url, blocking=blocking, each=got.append, timeout=0.5)
            with pytest.raises(getattr(library, fault.theirs)) as caught:
                await ask
            assert type(caught.value) is getattr(library, fault.theirs)
            assert caught.value.request.url == server.url
            assert got == [b"data: a\n\n"]

    failure = recorded(folder).failure
    assert failure is not None
    assert (failure.error, failure.message) == (fault.ours, f"{fault.theirs}: {caught.value}")
    assert failure.seconds == (0.5 if fault.ours == "SilenceTimeout" else None)
    assert len(server.seen) == 1


@BOTH
@WAYS
async def test_a_connection_that_is_refused_is_refused_again(
    library: Any, blocking: bool, folder: Path
) -> None:
    with serve_in_thread(reply()) as server:
        url = server.url
    for mode in ("rewrite", "none"):
        with pytest.raises(library.ConnectError) as caught:
            await chunks(library, CassetteTransport("a", mode=mode), url, blocking=blocking)
        assert caught.value.request.url == url
    assert recorded(folder).status == 599


@BOTH
async def test_the_live_error_is_the_very_one_of_the_transport(library: Any) -> None:
    class Broken(library.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            raise failure

    failure = library.PoolTimeout("full")
    with pytest.raises(library.PoolTimeout) as caught:
        await chunks(library, CassetteTransport("a", mode="rewrite", inner=Broken()), "http://api.test/")
    assert caught.value is failure

    with pytest.raises(library.PoolTimeout, match="all connections of the client are in use"):
        await chunks(library, CassetteTransport("a", mode="none"), "http://api.test/")


class EnoughError(Exception):
    """The reader has had enough."""


def enough(chunk: bytes) -> None:
    raise EnoughError


@BOTH
@WAYS
async def test_a_reader_that_closes_early_leaves_what_it_has_read(
    library: Any, blocking: bool, folder: Path
) -> None:
    transport = CassetteTransport("a", mode="rewrite")
    said = reply(b"data: 1\n\n", "LINGER")
    with serve_in_thread(said) as server, anyio.fail_after(5), pytest.raises(EnoughError):
        await chunks(library, transport, server.url, blocking=blocking, each=enough)

    assert (recorded(folder).end, recorded(folder).body) == ("cut", b"data: 1\n\n")


@BOTH
async def test_a_cancelled_reader_leaves_what_it_has_read(library: Any, folder: Path) -> None:
    with serve_in_thread(reply(b"data: 1\n\n", "LINGER")) as server:
        with anyio.move_on_after(5) as scope:
            transport = CassetteTransport("a", mode="rewrite")
            await chunks(library, transport, server.url, each=lambda _: scope.cancel())

    assert scope.cancelled_caught
    assert (recorded(folder).end, recorded(folder).body) == ("cut", b"data: 1\n\n")


@BOTH
def test_a_stream_that_nobody_closes_is_kept_and_warns_of_nothing(library: Any, folder: Path) -> None:
    async def leave(transport: Any, url: str) -> None:
        client = library.AsyncClient(transport=transport)
        response = await client.send(client.build_request("POST", url, json=PROMPT), stream=True)
        assert await anext(response.aiter_raw()) == b"data: 1\n\n"
        del response
        gc.collect()
        await client.aclose()

    with serve_in_thread(reply(b"data: 1\n\n", b"data: [DONE]\n\n", "LINGER")) as server:
        asyncio.run(leave(CassetteTransport("a", mode="rewrite"), server.url))
        gc.collect()
        assert recorded(folder).body.startswith(b"data: 1\n\n")
        asyncio.run(leave(ReplayTransport(folder / "a.yaml"), server.url))
        gc.collect()


@BOTH
async def test_a_body_that_is_made_while_it_is_sent_is_compared_and_sent(library: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"model": '
        yield b'"tiny"}'

    with serve_in_thread(reply(*HELLO)) as server:
        for mode in ("once", "none"):
            options = {"json": None, "content": pieces(), "headers": {"content-length": "17"}}
            got = await chunks(library, CassetteTransport("a", mode=mode), server.url, **options)
            assert got == list(HELLO)
    assert [seen.body for seen in server.seen] == [b'{"model": "tiny"}']


@BOTH
async def test_redirects_to_another_host_are_followed_on_replay(library: Any) -> None:
    with serve_in_thread(reply(*HELLO)) as target:
        moved = reply(status=307, location=f"http://localhost:{target.port}/there")
        with serve_in_thread(moved) as server:
            for mode in ("once", "none"):
                transport = CassetteTransport("a", mode=mode)
                async with library.AsyncClient(transport=transport, follow_redirects=True) as client:
                    response = await client.post(server.url, json=PROMPT)
                assert response.content == b"".join(HELLO)
                assert [item.status_code for item in response.history] == [307]
            assert (len(server.seen), len(target.seen)) == (1, 1)


@BOTH
async def test_a_replay_keeps_the_time_for_tasks_and_for_threads(library: Any, folder: Path) -> None:
    pause = threading.Event()
    threading.Timer(0.4, pause.set).start()
    with serve_in_thread(reply(b"data: 1\n\n", pause, b"data: 2\n\n")) as server:
        await chunks(library, CassetteTransport("a", mode="once"), server.url)

        for blocking in (False, True):
            came: list[float] = []
            transport = ReplayTransport(folder / "a.yaml", speed=2)
            await chunks(
                library,
                transport,
                server.url,
                blocking=blocking,
                each=lambda _: came.append(monotonic()),  # noqa: B023
            )
            assert 0.1 < came[1] - came[0] < 3
