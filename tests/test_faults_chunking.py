"""The same bytes in other reads are the same events, whatever the server and the network do to them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aquila
from aquila.errors import AquilaError
from aquila.testing import Answer, ScriptedTransport
from tests import wire
from tests.fault_server import BOTH, Api, Chat

STREAMS = {
    "an answer": lambda api: api.answer("Grüße", " \u2019\u2022\u00d7", "🏴\ufe0f", "\u2028", "5", "5"),
    "calls": lambda api: api.calls(("c1", "f", '{"n": 1}'), ("c2", "f", '{"n": "ü"}')),
    "a cut answer": lambda api: api.cut("Hel"),
    "an answer that breaks off": lambda api: api.said("Hel", "lo"),
    "an error behind content": lambda api: [*api.said("Hel", "lo"), api.error("boom", "server_is_overloaded")],
    "nonsense behind content": lambda api: [*api.said("Hel"), b"data: {nope\n\n"],
    "a whole answer": lambda api: [api.whole("Grüße")],
    "comments and blank lines": lambda api: [b": ping\n\n\n" + part for part in api.answer("a", "b")],
    "the line ends of another system": lambda api: [part.replace(b"\n", b"\r\n") for part in api.answer("a", "b")],
    "a mark at the start": lambda api: [b"\xef\xbb\xbf", *api.answer("a")],
    "no blank line at the end": lambda api: [b"".join(api.answer("a")).removesuffix(b"\n\n")],
}  # fmt: skip


async def told(api: Api, chunks: list[bytes]) -> list[Any]:
    """What a reader is told, and what the run ends in."""
    transport = ScriptedTransport(Answer(chunks=chunks))
    events: list[Any] = []
    stream = aquila.stream("hi", transport=transport, endpoint=api.endpoint, retry=0)  # type: ignore[arg-type]
    try:
        events += [event.to_dict() async for event in stream if event.type not in {"started", "done"}]
        answer: aquila.Response | None = await stream
    except AquilaError as error:
        events += [type(error).__name__, str(error)]
        answer = error.partial
    assert answer is not None
    return [*events, answer.text, answer.status, answer.usage, answer.tool_calls, answer.raw]


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("api", BOTH)
def test_any_cuts_of_a_stream_give_the_same_events(api: Api, kind: str) -> None:
    body = b"".join(STREAMS[kind](api))

    async def both(cuts: list[int]) -> None:
        places = [0, *sorted(cuts), len(body)]
        pieces = [body[start:end] for start, end in pairwise(places)]
        assert await told(api, pieces) == await told(api, [body])

    @settings(deadline=None)
    @given(st.lists(st.integers(0, len(body)), max_size=20))
    def check(cuts: list[int]) -> None:
        anyio.run(both, cuts)

    check()
    anyio.run(both, list(range(1, len(body))))


async def test_a_long_stream_in_reads_of_any_size_is_whole() -> None:
    texts = [f"{number} " for number in range(2000)]
    body = b"".join(wire.answer(*texts))

    for size in (1, 7, 1460, 65536):
        pieces = [body[place : place + size] for place in range(0, len(body), size)]
        answer = await aquila.ask(
            "hi", transport=ScriptedTransport(Answer(chunks=pieces)), endpoint=Chat.endpoint
        )  # type: ignore[arg-type]

        assert answer.text == "".join(texts)
