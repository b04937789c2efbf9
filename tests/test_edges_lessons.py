"""What a run learns from a server's refusal, over a real socket: one more request for each cause, and no endless row."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

import aquila
from aquila import errors
from tests import wire
from tests.deciding import bad, deciding
from tests.fault_server import QUICK, Chat, Reply, refusal, reply


class City(BaseModel):
    """A city."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


HI = reply(*wire.answer("Hi"))


def hates_stream_options(payload: Any) -> Reply:
    return bad("Extra inputs: stream_options") if "stream_options" in payload else HI


async def test_a_field_of_ours_that_is_refused_is_left_out_and_stays_left_out() -> None:
    async with deciding(hates_stream_options) as server:
        first = await aquila.ask("hi", base_url=server.url, retry=0)
        second = await aquila.ask("hi", base_url=server.url, retry=0)

    assert (first.attempts, second.attempts) == (2, 1)
    assert ["stream_options" in connection.payload for connection in server.connections] == [
        True,
        False,
        False,
    ]


async def test_what_one_server_teaches_says_nothing_of_another() -> None:
    async with deciding(hates_stream_options) as first, deciding(hates_stream_options) as second:
        await aquila.ask("hi", base_url=first.url)
        await aquila.ask("hi", base_url=second.url)

    assert "stream_options" in second.connections[0].payload


async def test_a_lesson_that_did_not_help_is_not_remembered() -> None:
    async with deciding(lambda _: bad("stream_options, or the weather")) as server:
        for _ in range(2):
            with pytest.raises(errors.BadRequestError):
                await aquila.ask("hi", base_url=server.url, retry=QUICK)

    assert ["stream_options" in connection.payload for connection in server.connections] == [True, False] * 2


async def test_a_refusal_inside_the_stream_teaches_too() -> None:
    def decide(payload: Any) -> Reply:
        if "stream_options" in payload:
            return reply(wire.event({"error": {"message": "stream_options: unknown", "code": 400}}))
        return reply(*wire.answer("Hi"))

    async with deciding(decide) as server:
        answer = await aquila.ask("hi", base_url=server.url, retry=0)

    assert (answer.text, answer.attempts) == ("Hi", 2)


async def test_a_lesson_outlives_a_failure_behind_it() -> None:
    busy = iter([refusal("503 Busy")])

    def decide(payload: Any) -> Reply:
        return hates_stream_options(payload) if "stream_options" in payload else next(busy, HI)

    async with deciding(decide) as server:
        first = await aquila.ask("hi", base_url=server.url, retry=QUICK)
        second = await aquila.ask("hi", base_url=server.url, retry=QUICK)

    assert (first.attempts, second.attempts) == (3, 1)


async def test_a_recording_depends_on_nothing_that_was_sent_before(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    monkeypatch.setenv("AQUILA_CASSETTES", "once")

    async with deciding(hates_stream_options) as server:
        client = aquila.Client(base_url=server.url, retry=QUICK)
        before = await client.ask("hi")
        recorded = await client.ask("hi", cassette="recorded")
    monkeypatch.setenv("AQUILA_CASSETTES", "none")
    replayed = await aquila.ask("hi", base_url=server.url, retry=QUICK, cassette="recorded")

    assert (before.attempts, recorded.attempts, replayed.attempts) == (2, 2, 2)
    assert len(server.connections) == 4


async def test_a_lesson_costs_no_retry() -> None:
    def decide(payload: Any) -> Reply:
        if "stream_options" in payload:
            return bad("stream_options: unknown")
        if "max_completion_tokens" not in payload:
            return bad("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return reply(*wire.answer("Hi"))

    async with deciding(decide) as server:
        events = [
            event async for event in aquila.stream("hi", base_url=server.url, retry=0, max_output_tokens=5)
        ]
        again = await aquila.ask("hi", base_url=server.url, retry=0, max_output_tokens=5)

    done = events[-1]
    assert isinstance(done, aquila.Done)
    assert (done.response.text, done.response.attempts, again.attempts) == ("Hi", 3, 1)
    assert [(event.attempt, event.delay) for event in events if isinstance(event, aquila.Retrying)] == [
        (2, 0.0),
        (3, 0.0),
    ]


@pytest.mark.parametrize(
    "said",
    [
        "Unsupported value: 'temperature' does not support 0.2 with this model.",
        "max_tokens is too large: 99999",
        "registry.ollama.ai/library/gemma:2b does not support tools",
        "This model's maximum context length is 4096 tokens",
    ],
)
async def test_a_refusal_of_what_the_user_asked_for_is_one_request(said: str) -> None:
    async with deciding(lambda _: bad(said)) as server:
        with pytest.raises(errors.BadRequestError, match=said.split(maxsplit=1)[0]):
            await aquila.ask(
                "hi", base_url=server.url, retry=QUICK, temperature=0.2, max_output_tokens=9, tools=[add]
            )

    assert len(server.connections) == 1


async def test_what_the_user_put_into_the_body_is_not_taken_out_again() -> None:
    async with deciding(hates_stream_options) as server:
        with pytest.raises(errors.BadRequestError):
            await aquila.ask(
                "hi", base_url=server.url, retry=QUICK, extra_body={"stream_options": {"include_usage": True}}
            )

    assert len(server.connections) == 1


async def test_a_server_that_refuses_every_form_is_told_in_words_and_then_believed() -> None:
    seen: list[Any] = []

    def decide(payload: Any) -> Reply:
        form = payload.get("response_format", {})
        seen.append((form.get("type"), form.get("json_schema", {}).get("strict")))
        return bad("response_format and its json_schema with strict are not supported")

    async with deciding(decide) as server:
        with anyio.fail_after(5), pytest.raises(errors.BadRequestError):
            await aquila.ask("Vienna?", base_url=server.url, output=City, retry=QUICK)

    assert seen == [("json_schema", True), ("json_schema", False), ("json_object", None), (None, None)]
    assert "name" in json.dumps(server.connections[-1].payload["messages"])


async def test_a_lesson_behind_content_is_not_learnt() -> None:
    chunks = [*Chat.said("Hel"), wire.event({"error": {"message": "stream_options: no", "code": 400}})]

    async with deciding(lambda _: reply(*chunks)) as server:
        with pytest.raises(errors.BadRequestError) as caught:
            await aquila.ask("hi", base_url=server.url, retry=QUICK)

    assert caught.value.partial is not None
    assert (caught.value.partial.text, len(server.connections)) == ("Hel", 1)
