from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

import aquila
from aquila import errors
from aquila.cassette import use
from aquila.events import Resumed
from aquila.researching import TIMEOUTS, Research
from aquila.testing import Answer, ScriptedTransport
from aquila.timeouts import Timeouts
from tests import responses_wire as responses

OPENAI = "https://api.openai.com/v1"


def json_answer(payload: Any) -> Answer:
    return Answer(headers={"content-type": "application/json"}, chunks=[json.dumps(payload).encode()])


def stored(status: str, text: str = "", **facts: Any) -> Answer:
    output = [responses.message(text)] if text else []
    return json_answer(responses.response(status, output, **facts))


def body_of(transport: ScriptedTransport, number: int = 0) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(transport.requests[number].body)
    return body


def look_up(term: str) -> str:
    """Look a term up."""
    return term


async def test_a_run_is_started_in_the_background_and_given_as_it_is_then() -> None:
    transport = ScriptedTransport(stored("queued"))

    response = await aquila.research.create(
        "Why is the sky blue?",
        instructions="Cite.",
        transport=transport,
        base_url=OPENAI,
        metadata={"case": 7},
        store=True,
    )

    assert (response.status, response.response_id, response.attempts) == ("queued", "resp_1", 1)
    assert [message.role for message in response.messages] == ["system", "user"]
    assert response.meta == {"case": 7}
    request, body = transport.requests[0], body_of(transport)
    assert (request.method, request.url) == ("POST", f"{OPENAI}/responses")
    assert request.headers["accept"] == "application/json"
    assert body == {
        "model": "o3-deep-research",
        "input": [{"role": "user", "content": "Why is the sky blue?"}],
        "instructions": "Cite.",
        "stream": False,
        "background": True,
        "store": True,
        "metadata": {"case": 7},
        "tools": [{"type": "web_search_preview"}],
    } | {name: body[name] for name in ("tool_choice", "parallel_tool_calls") if name in body}


@pytest.mark.parametrize(
    ("tools", "kinds"),
    [
        ([], ["web_search_preview"]),
        ([{"type": "web_search"}], ["web_search"]),
        ([{"type": "web_search_preview_2025_03_11"}], ["web_search_preview_2025_03_11"]),
        ([{"type": "mcp", "server_label": "a"}], ["mcp"]),
        ([{"type": "file_search", "vector_store_ids": ["v"]}], ["file_search"]),
        ([{"type": "code_interpreter"}], ["code_interpreter", "web_search_preview"]),
        ([{"type": "image_generation"}], ["image_generation", "web_search_preview"]),
        ([look_up], ["function", "web_search_preview"]),
    ],
)
async def test_a_web_search_is_added_where_there_is_nothing_to_search_in(
    tools: list[Any], kinds: list[str]
) -> None:
    transport = ScriptedTransport(stored("queued"))

    await aquila.research.create("hi", tools=tools, transport=transport)

    assert [tool["type"] for tool in body_of(transport)["tools"]] == kinds


async def test_functions_are_flat_in_whatever_shape_they_are_given() -> None:
    transport = ScriptedTransport(stored("queued"))
    nested = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}

    await aquila.research.create("hi", tools=[look_up, nested], transport=transport)

    first, second, _ = body_of(transport)["tools"]
    assert (first["name"], second["name"]) == ("look_up", "find")
    assert "function" not in first
    assert "function" not in second


async def test_content_parts_are_a_question_as_well() -> None:
    transport = ScriptedTransport(stored("queued"))
    picture = aquila.image("https://a.example/b.png")

    await aquila.research.create(["What is this?", picture], transport=transport)

    assert body_of(transport)["input"][0]["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "https://a.example/b.png"},
    ]


async def test_starting_a_run_is_not_repeated_once_an_answer_has_begun() -> None:
    transport = ScriptedTransport(Answer(chunks=[b"{", errors.ConnectionFailed("it broke")]))

    with pytest.raises(errors.ConnectionFailed):
        await aquila.research.create("hi", transport=transport)

    assert len(transport.requests) == 1


async def test_a_run_is_fetched_and_cancelled_by_its_id() -> None:
    transport = ScriptedTransport(stored("in_progress"), stored("cancelled"))

    fetched = await aquila.research.fetch("resp_1", transport=transport)
    cancelled = await aquila.research.cancel("resp_1", transport=transport)

    assert (fetched.status, cancelled.status) == ("in_progress", "cancelled")
    assert [(request.method, request.url.partition("/v1")[2]) for request in transport.requests] == [
        ("GET", "/responses/resp_1"),
        ("POST", "/responses/resp_1/cancel"),
    ]


@pytest.mark.parametrize("last", ["completed", "failed", "cancelled", "incomplete"])
async def test_waiting_ends_with_the_run_however_it_ends(last: str) -> None:
    transport = ScriptedTransport(stored("queued"), stored("in_progress"), stored(last, "Blue."))

    response = await aquila.research.wait("resp_1", pause=0.001, transport=transport)

    assert (response.status, response.text, response.attempts) == (last, "Blue.", 3)
    assert transport.open == 0


async def test_waiting_too_long_gives_the_run_as_it_was() -> None:
    transport = ScriptedTransport(stored("in_progress", "Bl"))

    with anyio.fail_after(5), pytest.raises(errors.TotalTimeout) as caught:
        await aquila.research.wait("resp_1", pause=0.01, timeout=0.1, transport=transport)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "Bl"


async def test_a_wait_is_recorded_and_played_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    inner = ScriptedTransport(stored("queued"), stored("completed", "Blue."))

    with use("wait", mode="rewrite"):
        await aquila.research.wait("resp_1", pause=0.001, transport=inner)
    with use("wait", mode="none"):
        again = await aquila.research.wait("resp_1", pause=0.001)

    assert again.text == "Blue."


async def test_a_run_is_followed_in_the_background_with_clocks_that_wait() -> None:
    transport = ScriptedTransport(Answer(chunks=responses.answer("Blue", ".")))

    async with aquila.research.stream("Why?", transport=transport) as stream:
        text = "".join([piece async for piece in stream.text])

    body = body_of(transport)
    assert text == "Blue."
    assert (body["model"], body["stream"], body["background"]) == ("o3-deep-research", True, True)
    assert (TIMEOUTS.first_chunk, TIMEOUTS.idle, TIMEOUTS.total) == (None, None, 7200)


async def test_a_lost_connection_is_picked_up_where_it_was() -> None:
    whole = responses.answer("Blue", ".")
    transport = ScriptedTransport(
        Answer(chunks=[*whole[:5], errors.ConnectionFailed("it broke")]), Answer(chunks=whole[5:])
    )

    events = [event async for event in aquila.research.stream("Why?", transport=transport)]

    assert [event for event in events if isinstance(event, Resumed)] == [Resumed("resp_1", 4)]
    assert "".join(str(event) for event in events if isinstance(event, aquila.Chunk)) == "Blue."


async def test_a_run_that_runs_already_is_followed_from_any_event_on() -> None:
    transport = ScriptedTransport(Answer(chunks=responses.answer("Blue", ".")[4:]))

    response = await aquila.research.stream(response_id="resp/1", starting_after=3, transport=transport)

    request = transport.requests[0]
    assert (request.method, request.body) == ("GET", b"")
    assert request.url.endswith("/responses/resp%2F1?stream=true&starting_after=3")
    assert response.text == "Blue."
    assert [message.role for message in response.messages] == ["assistant"]


async def test_the_question_of_a_run_that_runs_already_completes_the_conversation() -> None:
    transport = ScriptedTransport(Answer(chunks=responses.answer("Blue.")))

    response = await aquila.research.stream("Why?", response_id="resp_1", transport=transport)

    assert transport.requests[0].url.endswith("?stream=true")
    assert [message.role for message in response.messages] == ["user", "assistant"]


async def test_leaving_a_run_leaves_it_at_the_provider() -> None:
    transport = ScriptedTransport(Answer(chunks=responses.answer("Blue", ".")))

    async with aquila.research.stream("Why?", transport=transport) as stream:
        async for event in stream:
            if isinstance(event, aquila.Chunk):
                break

    assert [request.method for request in transport.requests] == ["POST"]
    assert transport.open == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"starting_after": 3}, "starting_after"),
        ({"response_id": ""}, "response_id"),
        ({}, "nothing to send"),
    ],
)
def test_what_names_no_run_is_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.ConfigError, match=words):
        aquila.research.stream(**options)


async def test_defaults_hold_for_every_call_and_its_own_options_win() -> None:
    transport = ScriptedTransport(stored("queued"))
    research = Research({"transport": transport, "model": "o4-mini-deep-research", "temperature": 0.5})

    await research.create("hi")
    await research.create("hi", model="other")
    await research.fetch("resp_1")
    await research.cancel("resp_1", model="other")

    assert [body_of(transport, number)["model"] for number in (0, 1)] == ["o4-mini-deep-research", "other"]
    assert body_of(transport)["temperature"] == 0.5
    assert [request.model for request in transport.requests[2:]] == ["o4-mini-deep-research", "other"]


async def test_defaults_may_be_about_more_and_a_call_s_own_options_may_not() -> None:
    transport = ScriptedTransport(stored("queued"))
    research = Research({"transport": transport, "temperature": 0.5, "endpoint": "chat"})

    await research.create("hi")
    with pytest.raises(TypeError, match="temperature"):
        await research.fetch("resp_1", temperature=1)  # type: ignore[call-arg]

    assert transport.requests[0].url.endswith("/responses")


async def test_a_number_is_the_total_and_leaves_the_other_clocks_long() -> None:
    transport = ScriptedTransport(Answer(chunks=[30.0]))

    with anyio.fail_after(5), pytest.raises(errors.TotalTimeout):
        await aquila.research.stream("hi", timeout=0.05, transport=transport)
    with anyio.fail_after(5), pytest.raises(errors.SilenceTimeout):
        await aquila.research.stream("hi", timeout=Timeouts(silence=0.05), retry=0, transport=transport)
