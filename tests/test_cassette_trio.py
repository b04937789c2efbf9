"""Recording and replaying in an event loop that is not asyncio's."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from aquila.cassette import CassetteTransport
from aquila.cassette.file.disk import read
from tests.tapes import HELLO
from tests.thread_server import reply, serve_in_thread

trio = pytest.importorskip("trio")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))


async def chunks(url: str, mode: str) -> list[bytes]:
    async with (
        httpx.AsyncClient(transport=CassetteTransport("a", mode=mode)) as client,
        client.stream("POST", url, json={}) as response,
    ):
        return [chunk async for chunk in response.aiter_raw()]


def test_an_answer_is_recorded_and_replayed_under_trio(tmp_path: Path) -> None:
    with serve_in_thread(reply(*HELLO)) as server:
        recorded = trio.run(chunks, server.url, "rewrite")

        assert trio.run(chunks, server.url, "none") == recorded == list(HELLO)


def test_a_cancelled_reader_under_trio_leaves_what_it_has_read(tmp_path: Path) -> None:
    async def leave(url: str) -> None:
        with trio.move_on_after(0.5):
            await chunks(url, "rewrite")

    with serve_in_thread(reply(HELLO[0], "LINGER")) as server:
        trio.run(leave, server.url)

    (kept,) = read(tmp_path / "a.yaml") or ()
    assert (kept.end, kept.body) == ("cut", HELLO[0])
