"""What a Response says beside its text, over a real socket: tokens, refusals, reasoning, sources, names and the history."""

from __future__ import annotations

from typing import Any

import pytest

import aquila
from aquila import errors
from aquila.response import Response, Usage
from tests import responses_wire, wire
from tests.fault_server import Chat, Responses, misbehave, reply

STOP = wire.delta(finish="stop")


def counted(prompt: int, completion: int, **facts: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        **facts,
    }


def chunk(choices: Any, **facts: Any) -> bytes:
    return wire.event({"id": "chatcmpl-1", "choices": choices, **facts})


def text(said: str, finish: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": {"content": said}, "finish_reason": finish}]


async def ask(*chunks: bytes, **options: Any) -> Response:
    """Ask a server that answers with these chunks."""
    async with misbehave(reply(*chunks)) as server:
        answer = await aquila.ask("hi", base_url=server.url, **options)
        assert len(server.connections) == 1
    return answer


SEVEN = Usage(input_tokens=7, output_tokens=2, total_tokens=9)


@pytest.mark.parametrize(
    ("chunks", "usage"),
    [
        pytest.param([chunk(text("x")), STOP, chunk([], usage=counted(7, 2)), wire.DONE], SEVEN, id="behind the end"),
        pytest.param([chunk(text("x")), chunk(text("", "stop"), usage=counted(7, 2)), wire.DONE], SEVEN, id="with the end"),
        pytest.param([chunk([], usage=counted(7, 2)), chunk(text("x")), STOP, wire.DONE], SEVEN, id="before the text"),
        pytest.param([wire.event({"usage": counted(7, 2)}), chunk(text("x")), STOP, wire.DONE], SEVEN, id="without choices"),
        pytest.param([chunk(text("x"), usage=None), chunk(text("", "stop"), usage=None),
                      chunk([], usage=counted(7, 2)), wire.DONE], SEVEN, id="null until the end"),
        pytest.param([chunk(text("x"), usage=counted(7, 1)), chunk(text("y"), usage=counted(7, 2)), STOP, wire.DONE], SEVEN,
                     id="so far, with each chunk"),
        pytest.param([chunk(text("x")), STOP, chunk([], usage=counted(7, 2)), chunk([], usage={}), wire.DONE], SEVEN,
                     id="an empty one behind it"),
        pytest.param([chunk(text("x")), STOP, chunk([], x_groq={"usage": counted(7, 2)}), wire.DONE], SEVEN, id="groq's"),
        pytest.param([chunk(text("x")), STOP, chunk([], usage=counted(0, 0)), wire.DONE],
                     Usage(input_tokens=0, output_tokens=0, total_tokens=0), id="zero"),
        pytest.param([chunk(text("x")), STOP, wire.DONE], None, id="none"),
        pytest.param([chunk(text("x")), STOP, chunk([], usage={"cost": 1}), wire.DONE], None, id="one without a count"),
    ],
)  # fmt: skip
async def test_tokens_are_counted_once_wherever_they_stand(chunks: list[bytes], usage: Usage | None) -> None:
    answer = await ask(*chunks)

    assert answer.usage == usage


async def test_tokens_that_were_counted_before_an_error_are_in_what_came() -> None:
    chunks = [chunk(text("Hel"), usage=counted(7, 2)), Chat.error("boom")]

    async with misbehave(reply(*chunks)) as server:
        with pytest.raises(errors.ProviderStreamError) as caught:
            await aquila.ask("hi", base_url=server.url)

    assert caught.value.partial is not None
    assert caught.value.partial.usage == SEVEN


@pytest.mark.parametrize(
    ("fragment", "facts"),
    [
        pytest.param({"refusal": "I will not."}, {"refusal": "I will not.", "text": ""}, id="a refusal"),
        pytest.param({"reasoning_content": "hm"}, {"reasoning": "hm", "text": ""}, id="DeepSeek's reasoning"),
        pytest.param({"reasoning": "hm"}, {"reasoning": "hm", "text": ""}, id="OpenRouter's reasoning"),
        pytest.param({"content": "<think>hm</think>\n\nHi"}, {"reasoning": "hm", "text": "Hi"}, id="reasoning in tags"),
        pytest.param({"content": "a <think> in prose"}, {"reasoning": "", "text": "a <think> in prose"}, id="a tag in prose"),
        pytest.param({"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]},
                     {"annotations": ({"type": "url_citation", "url_citation": {"url": "u"}},)}, id="a source"),
    ],
)  # fmt: skip
async def test_what_is_no_text_has_its_own_field(fragment: dict[str, Any], facts: dict[str, Any]) -> None:
    answer = await ask(wire.delta(**fragment), STOP, wire.DONE)

    assert {name: getattr(answer, name) for name in facts} == facts
    assert answer.status == "completed"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_cut_says_why(reason: str) -> None:
    answer = await ask(*Chat.said("Hel"), wire.delta(finish=reason), wire.DONE)

    assert (answer.text, answer.status, answer.finish_reason) == ("Hel", "incomplete", reason)


async def test_names_are_those_of_the_provider() -> None:
    answer = await ask(*Chat.answer("Hi"), model="gpt-4o-mini")

    assert (answer.model, answer.response_id) == ("m-2026", "chatcmpl-1")


def response_of(*items: dict[str, Any], **facts: Any) -> list[bytes]:
    """A response that is told by its items alone."""
    body = responses_wire.response("completed", list(items), **facts)
    return [
        responses_wire.event("response.created", 0, response=responses_wire.response("in_progress")),
        *(
            responses_wire.event("response.output_item.done", number, output_index=number - 1, item=item)
            for number, item in enumerate(items, 1)
        ),
        responses_wire.event("response.completed", len(items) + 1, response=body),
    ]


def said(words: str, item_id: str = "msg_1", *sources: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "output_text", "text": words, "annotations": list(sources)}
    return {**responses_wire.message(words, item_id), "content": [part]}


SOURCE = {"type": "url_citation", "url": "https://x.example", "title": "X", "start_index": 0, "end_index": 2}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "AbC"}
SEARCHES = [
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"id": "ws_2", "type": "web_search_call", "status": "completed", "action": {"type": "open_page", "url": None}},
    {"id": "ws_3", "type": "web_search_call", "status": "completed",
     "action": {"type": "find_in_page", "url": "u", "pattern": "p"}},
]  # fmt: skip


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([said("Hi")], "Hi", id="one message"),
        pytest.param([said("A.", "msg_1"), said("B.", "msg_2")], "A.B.", id="two messages"),
        pytest.param([THOUGHT, said("Hi")], "Hi", id="a thought without a summary"),
        pytest.param([*SEARCHES, said("Hi", "msg_1", SOURCE)], "Hi", id="searches, one without an address"),
    ],
)
async def test_the_text_of_items_is_told_once(items: list[dict[str, Any]], expected: str) -> None:
    answer = await ask(*response_of(*items), endpoint="responses")

    assert answer.text == expected


async def test_a_refusal_of_the_responses_api_is_no_text() -> None:
    item = {**responses_wire.message(""), "content": [{"type": "refusal", "refusal": "I will not."}]}

    answer = await ask(*response_of(item), endpoint="responses")

    assert (answer.text, answer.refusal, answer.status) == ("", "I will not.", "completed")


async def test_sources_keep_every_field() -> None:
    answer = await ask(*response_of(said("Hi", "msg_1", SOURCE)), endpoint="responses")

    assert answer.annotations == (SOURCE,)


async def test_a_cut_response_keeps_its_text_and_says_why() -> None:
    answer = await ask(*Responses.cut("Hel"), endpoint="responses")

    assert (answer.text, answer.status, answer.finish_reason) == ("Hel", "incomplete", "length")


async def test_thoughts_and_searches_go_back_to_whoever_had_them() -> None:
    first = response_of(THOUGHT, *SEARCHES, said("Hi", "msg_1", SOURCE))

    async with misbehave(reply(*first), reply(*Responses.answer("Bye"))) as server:
        client = aquila.Client(base_url=server.url, endpoint="responses", store=False)
        answer = await client.ask("hi")
        last = await client.ask("and?", messages=answer.messages)

    items = server.connections[1].payload["input"]
    assert [item.get("type", "message") for item in items] == [
        "message", "reasoning", "web_search_call", "web_search_call", "web_search_call", "message", "message",
    ]  # fmt: skip
    assert items[1]["encrypted_content"] == "AbC"
    assert items[1]["summary"] == []
    assert last.text == "Bye"


async def test_a_wrapped_id_of_241_characters_is_sent_back_as_it_came() -> None:
    wrapped = "resp_" + "A" * 236

    async with misbehave(reply(*responses_wire.answer("Hi", response_id=wrapped))) as server:
        answer = await aquila.ask("hi", base_url=server.url, endpoint="responses")
        await aquila.ask(
            "and?", base_url=server.url, endpoint="responses", previous_response_id=answer.response_id
        )

    assert server.connections[1].payload["previous_response_id"] == wrapped


async def test_a_conversation_of_chat_with_tools_is_understood_by_the_responses_api() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    call = ("call_1", "add", '{"a": 1, "b": 2}')
    async with misbehave(reply(*Chat.calls(call)), reply(*Chat.answer("3"))) as server:
        chat = await aquila.ask("1 + 2?", base_url=server.url, tools=[add])
    async with misbehave(reply(*Responses.answer("Yes"))) as server:
        await aquila.ask("Sure?", base_url=server.url, endpoint="responses", messages=chat.messages)

    items = server.connections[0].payload["input"]
    assert [item.get("type", item.get("role")) for item in items][1:3] == [
        "function_call",
        "function_call_output",
    ]
    assert items[1]["call_id"] == items[2]["call_id"] == "call_1"
    assert items[2]["output"] == "3"
    assert all(item.get("role") != "tool" for item in items)


async def test_pictures_of_the_user_stay_in_the_history() -> None:
    picture = aquila.image("https://x.example/cat.png")

    async with misbehave(reply(*Chat.answer("A cat."))) as server:
        first = await aquila.ask(["What is it?", picture], base_url=server.url)
        await aquila.ask("Sure?", base_url=server.url, messages=first.messages)

    before, after = (connection.payload["messages"] for connection in server.connections)
    assert after[0] == before[0]
    assert after[0]["content"][1]["image_url"]["url"] == "https://x.example/cat.png"
    assert [message["role"] for message in after] == ["user", "assistant", "user"]
