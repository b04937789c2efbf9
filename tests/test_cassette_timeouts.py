"""A time-out of the client's own is recorded as what it is, and happens again in the replay, at any speed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import httpx2
import pytest

import aquila
from aquila.cassette import use
from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.file.disk import write
from aquila.cassette.file.format import assemble, render
from aquila.errors import (
    AquilaError,
    CassetteError,
    CassetteMissing,
    FirstChunkTimeout,
    IdleTimeout,
    SilenceTimeout,
)
from aquila.testing import Answer, ScriptedTransport
from aquila.transport import OpenAITransport
from aquila.transport.base import Request, TransportResponse
from tests.wire import Connection, answer, delta, serve

FOREVER = 3600.0


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))


class NeverAnswers:
    """Takes a request and says nothing."""

    async def send(self, request: Request) -> TransportResponse:
        await anyio.sleep(FOREVER)
        raise AssertionError("nobody waits that long")

    async def aclose(self) -> None:
        """Free nothing."""


def stalling(*chunks: bytes) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=[*chunks, FOREVER]))


async def failure_of(stream: aquila.Stream) -> AquilaError:
    with pytest.raises(AquilaError) as caught:
        await stream
    return caught.value


@pytest.mark.parametrize(
    ("transport", "timeouts", "kind", "text"),
    [
        (NeverAnswers(), aquila.Timeouts(first_chunk=0.05), FirstChunkTimeout, ""),
        (stalling(), aquila.Timeouts(silence=0.05), SilenceTimeout, ""),
        (stalling(delta("Hel")), aquila.Timeouts(idle=0.05), IdleTimeout, "Hel"),
    ],
)
async def test_a_clock_that_ran_out_runs_out_again(
    transport: ScriptedTransport,
    timeouts: aquila.Timeouts,
    kind: type[AquilaError],
    text: str,
    tmp_path: Path,
) -> None:
    with use("a", mode="rewrite"):
        recorded = await failure_of(aquila.stream("Hi", transport=transport, timeout=timeouts))
    assert type(recorded) is kind
    (kept,) = read_cassette(tmp_path / "a.yaml") or ()
    assert kept.failure is not None
    assert (kept.end, kept.failure.error, kept.failure.seconds) == ("error", kind.__name__, 0.05)
    began = time.monotonic()

    with use("a", mode="none"):
        replayed = await failure_of(aquila.stream("Hi"))

    assert type(replayed) is kind
    assert getattr(replayed, "seconds", None) == 0.05
    assert (replayed.partial.text if replayed.partial else None) == text
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("library", ["aiohttp", "httpx", "httpx2"])
async def test_it_is_so_over_every_http_library(library: str, tmp_path: Path) -> None:
    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(delta("Hel"))

    clients = {"httpx": httpx.AsyncClient, "httpx2": httpx2.AsyncClient}
    async with serve(handler) as server:
        client = clients[library]() if library in clients else None
        transport = OpenAITransport(client=client) if client is not None else OpenAITransport()
        with use("a", mode="rewrite"):
            error = await failure_of(
                aquila.stream(
                    "Hi", base_url=server.url, transport=transport, timeout=aquila.Timeouts(idle=0.2)
                )
            )
        await transport.aclose()
        if client is not None:
            await client.aclose()

    assert isinstance(error, IdleTimeout)
    (kept,) = read_cassette(tmp_path / "a.yaml") or ()
    assert kept.failure is not None
    assert kept.failure.error == "IdleTimeout"


async def test_leaving_is_still_no_failure(tmp_path: Path) -> None:
    with use("a", mode="rewrite"), anyio.move_on_after(0.05):
        await aquila.stream("Hi", transport=stalling(delta("Hel")))

    (kept,) = read_cassette(tmp_path / "a.yaml") or ()
    assert kept.end == "cut"
    with use("a", mode="none"), pytest.raises(CassetteError, match="ended by its reader after 1 chunk"):
        await aquila.ask("Hi")


async def test_once_makes_no_file_of_a_time_out_alone(tmp_path: Path) -> None:
    with use("a", mode="once"):
        await failure_of(
            aquila.stream("Hi", transport=stalling(delta("Hel")), timeout=aquila.Timeouts(idle=0.05))
        )

    with use("a", mode="none"), pytest.raises(CassetteMissing):
        await aquila.ask("Hi")


@pytest.mark.parametrize("library", ["aiohttp", "httpx", "httpx2"])
async def test_a_server_that_never_says_it_is_done_is_replayed_as_it_was_recorded(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aquila.exchange._LATE_SECONDS", 0.1)

    async def handler(connection: Connection) -> None:
        connection.start()
        connection.send(delta("Hello") + delta(finish="stop"))

    clients = {"httpx": httpx.AsyncClient, "httpx2": httpx2.AsyncClient}
    async with serve(handler) as server:
        client = clients[library]() if library in clients else None
        transport = OpenAITransport(client=client) if client is not None else OpenAITransport()
        with use("a", mode="once"):
            recorded = await aquila.ask("Hi", base_url=server.url, transport=transport)
        await transport.aclose()
        if client is not None:
            await client.aclose()

    (kept,) = read_cassette(tmp_path / "a.yaml") or ()
    assert kept.end == "complete"
    with use("a", mode="none"):
        assert (await aquila.ask("Hi", base_url=server.url)).text == recorded.text == "Hello"


async def test_a_secret_in_an_answer_without_an_end_is_told_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aquila.exchange._LATE_SECONDS", 0.1)
    endless = stalling(delta("Hello"), delta(finish="stop"))

    with use("a", mode="rewrite", secrets=["Hello"]), pytest.raises(CassetteError, match="was not saved"):
        await aquila.ask("Hi", transport=endless)

    assert not (tmp_path / "a.yaml").exists()


async def test_an_answer_whose_reader_left_behind_its_end_is_whole(tmp_path: Path) -> None:
    provider = ScriptedTransport(Answer(chunks=[delta("Hello"), delta(finish="stop")]))
    with use("a", mode="rewrite"):
        await aquila.ask("Hi", transport=provider)
    (kept,) = read_cassette(tmp_path / "a.yaml") or ()
    write(tmp_path / "a.yaml", assemble([render(replace(kept, end="cut", document=None))]))

    with use("a", mode="none"):
        assert (await aquila.ask("Hi")).text == "Hello"


async def test_a_back_off_takes_no_time_in_a_replay_and_all_of_it_at_full_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Answer(
        status=503, headers={"content-type": "application/json", "retry-after": "0.3"}, chunks=[b"{}"]
    )
    provider = ScriptedTransport(slow, Answer(chunks=answer("Hello")))
    with use("a", mode="rewrite"):
        await aquila.ask("Hi", transport=provider)

    began = time.monotonic()
    with use("a", mode="none"):
        assert (await aquila.ask("Hi")).text == "Hello"
    at_once = time.monotonic() - began
    began = time.monotonic()
    with use("a", mode="none", speed=1):
        assert (await aquila.ask("Hi")).text == "Hello"

    assert at_once < 0.3
    assert time.monotonic() - began >= 0.3
