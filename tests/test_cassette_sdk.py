"""The OpenAI SDK on our transports: it streams, retries and gives up as it does without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import openai
import pytest

from aquila.cassette.file.disk import read
from aquila.cassette.http_transport import CassetteTransport
from aquila.cassette.replay import ReplayTransport
from aquila.errors import CassetteMismatch
from tests import wire
from tests.tapes import KEY
from tests.thread_server import reply, serve_in_thread

# The library the SDK stands on: httpx2 since version 3.
library: Any = __import__(openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0])

SLOW_DOWN = reply(
    b'{"error": {"message": "slow down"}}', status=429, content_type="application/json", retry_after_ms="1"
)
WAYS = pytest.mark.parametrize("blocking", [False, True], ids=["async", "sync"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    return tmp_path


async def ask(transport: Any, url: str, *, blocking: bool, prompt: str = "hi") -> str:
    """Stream an answer and give its text."""
    options: dict[str, Any] = {"base_url": url, "api_key": KEY, "timeout": 5}
    call: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": True}

    def ask_sync() -> str:
        with openai.OpenAI(http_client=library.Client(transport=transport), **options) as client:
            return "".join(map(text, client.chat.completions.create(**call)))

    if blocking:
        return await anyio.to_thread.run_sync(ask_sync)
    async with openai.AsyncOpenAI(http_client=library.AsyncClient(transport=transport), **options) as client:
        return "".join([text(chunk) async for chunk in await client.chat.completions.create(**call)])


def text(chunk: Any) -> str:
    return "".join(choice.delta.content or "" for choice in chunk.choices)


@WAYS
async def test_a_stream_after_a_retry_is_recorded_and_replayed(blocking: bool, folder: Path) -> None:
    with serve_in_thread(SLOW_DOWN, reply(*wire.answer("Hel", "lo"))) as server:
        for transport in (CassetteTransport("a", mode="once"), CassetteTransport("a", mode="none"),
                          ReplayTransport(folder / "a.yaml")):  # fmt: skip
            assert await ask(transport, server.url, blocking=blocking) == "Hello"
    assert len(server.seen) == 2
    assert [item.status for item in read(folder / "a.yaml") or ()] == [429, 200]
    assert KEY not in (folder / "a.yaml").read_text()


@WAYS
async def test_a_lost_connection_is_tried_again_on_replay_too(blocking: bool, folder: Path) -> None:
    with serve_in_thread(reply("CLOSE", status=500), reply(*wire.answer("Hello"))) as server:
        for mode in ("once", "none"):
            assert await ask(CassetteTransport("a", mode=mode), server.url, blocking=blocking) == "Hello"
    assert len(server.seen) == 2


@WAYS
async def test_a_server_that_cannot_be_reached_is_the_error_the_sdk_knows(blocking: bool) -> None:
    with serve_in_thread(reply()) as server:
        url = server.url
    for mode in ("rewrite", "none"):
        with pytest.raises(openai.APIConnectionError):
            await ask(CassetteTransport("a", mode=mode), url, blocking=blocking)


@WAYS
async def test_another_prompt_is_told_in_our_words_and_not_tried_again(blocking: bool, folder: Path) -> None:
    with serve_in_thread(reply(*wire.answer("Hello"))) as server:
        await ask(CassetteTransport("a", mode="once"), server.url, blocking=blocking)
        with pytest.raises(CassetteMismatch, match=r"\[-hi-\]\{\+ho\+\}"):
            await ask(ReplayTransport(folder / "a.yaml"), server.url, blocking=blocking, prompt="ho")
