from __future__ import annotations

from typing import Any

import pytest

import aquila
from aquila.testing import Answer, Endpoint, ScriptedTransport

both = pytest.mark.parametrize("endpoint", ["chat", "responses"])


@both
async def test_a_scripted_text_is_a_whole_answer(endpoint: Endpoint) -> None:
    transport = ScriptedTransport(Answer.text("Hel", "lo", endpoint=endpoint))

    stream = aquila.stream("hi", transport=transport, endpoint=endpoint)
    pieces = [text async for text in stream.text]
    answer = await stream

    assert pieces == ["Hel", "lo"]
    assert (answer.text, answer.status, answer.finish_reason) == ("Hello", "completed", "stop")
    assert answer.usage == aquila.Usage(input_tokens=1, output_tokens=2, total_tokens=3)


@both
async def test_a_scripted_text_may_be_cut(endpoint: Endpoint) -> None:
    transport = ScriptedTransport(Answer.text("Hel", finish_reason="length", endpoint=endpoint))

    answer = await aquila.ask("hi", transport=transport, endpoint=endpoint)

    assert (answer.status, answer.finish_reason) == ("incomplete", "length")


@both
async def test_scripted_calls_run_tools(endpoint: Endpoint) -> None:
    seen: list[Any] = []

    def weather(city: str) -> str:
        """Look up the weather."""
        seen.append(city)
        return "21"

    calls = Answer.calls(
        ("c1", "weather", {"city": "Porto"}), ("c2", "weather", {"city": "Oslo"}), endpoint=endpoint
    )
    transport = ScriptedTransport(calls, Answer.text("21", endpoint=endpoint))

    answer = await aquila.ask("hi", tools=[weather], transport=transport, endpoint=endpoint)

    assert sorted(seen) == ["Oslo", "Porto"]
    assert [call.call_id for call in answer.tool_calls] == ["c1", "c2"]
    assert (answer.text, answer.finish_reason) == ("21", "stop")
