from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.call import Call
from aquila.endpoint import ChatEndpoint
from aquila.events import Chunk, Event, ReasoningChunk, Status, Unknown, UsageUpdate
from aquila.messages import Message
from aquila.response import Usage


def decode(*payloads: Any) -> list[Event]:
    decoder = ChatEndpoint().decoder()
    events = [event for payload in payloads for event in decoder.decode("", json.dumps(payload).encode())]
    return [event for event in events if not (isinstance(event, Status) and event.name == "created")]


def choice(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"id": "r", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def test_text_comes_out_token_by_token_repeated_ones_included() -> None:
    assert decode(choice(content="ha"), choice(content="ha"), choice(content="")) == [
        Chunk("ha"),
        Chunk("ha"),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param({"id": "r", "provider": "x", "choices": None}, id="routing metadata without choices"),
        pytest.param({"object": "", "choices": [], "prompt_filter_results": []}, id="Azure's first frame"),
        pytest.param({"object": "", "choices": [{"index": 0, "delta": None}]}, id="Azure's filter frame"),
        pytest.param({"choices": [{"index": 0}]}, id="delta missing"),
        pytest.param(choice(content=None), id="content null"),
        pytest.param({"choices": [], "usage": None}, id="usage null"),
        pytest.param({"choices": [], "usage": {}}, id="usage without counts"),
    ],
)
def test_frames_without_content_give_nothing(frame: dict[str, Any]) -> None:
    assert decode(frame) == []


def test_usage_is_read_with_its_details_wherever_it_stands() -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
              "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 1}}  # fmt: skip
    expected = UsageUpdate(
        Usage(input_tokens=9, output_tokens=4, total_tokens=13, cached_tokens=5, reasoning_tokens=1)
    )

    assert decode({"choices": [], "usage": counts}) == [expected]
    assert decode({"usage": counts}) == [expected]
    assert decode({**choice("stop"), "usage": counts})[-1] == expected


@pytest.mark.parametrize(
    ("delta", "expected"),
    [
        pytest.param({"reasoning_content": "hm"}, [ReasoningChunk("hm")], id="DeepSeek"),
        pytest.param({"reasoning": "hm"}, [ReasoningChunk("hm")], id="OpenRouter"),
        pytest.param({"reasoning": {"content": "hm"}}, [ReasoningChunk("hm")], id="an object"),
        pytest.param({"refusal": "no"}, [Status("refusal", {"text": "no"})], id="refusal"),
        pytest.param(
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                         {"type": "text", "text": "Hello"}, {"type": "new"}]},
            [ReasoningChunk("hm"), Chunk("Hello"), Unknown({"type": "new"})],
            id="Mistral's parts",
        ),
    ],
)  # fmt: skip
def test_content_of_other_kinds_is_told_apart(delta: dict[str, Any], expected: list[Event]) -> None:
    assert decode(choice(**delta)) == expected


def test_further_choices_are_not_mixed_into_the_text() -> None:
    second = choice(index=1, content="B")

    assert decode(choice(content="A"), second) == [Chunk("A"), Unknown(second)]


def test_tool_calls_pass_through_and_are_not_lost() -> None:
    frame = choice(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}])

    assert decode(frame) == [Unknown(frame)]


def test_only_a_finish_reason_ends_the_answer_and_only_done_ends_the_reading() -> None:
    decoder = ChatEndpoint().decoder()

    decoder.decode("", json.dumps(choice(content="x")).encode())
    assert (decoder.ended, decoder.closed) == (False, False)
    decoder.decode("", json.dumps(choice("length")).encode())
    assert (decoder.ended, decoder.closed) == (True, False)
    decoder.decode("", b"[DONE]")
    assert (decoder.ended, decoder.closed) == (True, True)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        pytest.param({"error": {"message": "slow down", "code": 429}}, errors.RateLimitError, id="numeric code"),
        pytest.param({"error": {"message": "x", "code": "429"}}, errors.RateLimitError, id="code as text"),
        pytest.param({"error": "no room"}, errors.ProviderStreamError, id="text"),
        pytest.param([{"error": {"message": "x", "code": 503}}], errors.OverloadedError, id="Gemini's list"),
        pytest.param({"type": "error", "message": "m", "code": "c"}, errors.ProviderStreamError, id="flat"),
        pytest.param({"error": {"type": "server_is_overloaded", "message": "x"}}, errors.OverloadedError, id="word"),
        pytest.param({"error": {"code": "insufficient_quota", "message": "x"}}, errors.QuotaExceededError, id="quota"),
        pytest.param(
            {"choices": [{"index": 0, "error": {"code": 502, "message": "x"}, "finish_reason": "error"}]},
            errors.InternalServerError, id="in the choice",
        ),
        pytest.param(choice("error"), errors.ProviderStreamError, id="finish reason error"),
    ],
)  # fmt: skip
def test_an_error_inside_the_stream_is_raised_as_its_class(payload: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(payload)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        pytest.param("error", b'{"message":"jinja failed"}', errors.ProviderStreamError, id="event: error"),
        pytest.param("error", b"out of memory", errors.ProviderStreamError, id="error: plain text"),
        pytest.param("", b'{"choices":[{"delta":{"content":"ha', errors.ProtocolError, id="cut JSON"),
        pytest.param("", b"<html>", errors.ProtocolError, id="HTML in an event"),
        pytest.param(
            "", b'{"choices":[{"delta":{"content":5}}]}', errors.ProtocolError, id="text that is a number"
        ),
    ],
)
def test_a_payload_that_cannot_be_read_is_an_error(name: str, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        ChatEndpoint().decoder().decode(name, data)


def test_a_whole_completion_is_read_like_a_stream() -> None:
    decoder = ChatEndpoint().decoder()
    body = {"id": "r", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip

    events = decoder.decode_whole(json.dumps(body, indent=1).encode())

    assert Chunk("Hi") in events
    assert decoder.ended
    assert decoder.closed


def test_the_body_holds_what_was_asked_and_nothing_unset() -> None:
    call = Call(
        model="m",
        messages=(Message(role="user", content="hi"),),
        temperature=0.0,
        max_output_tokens=5,
        metadata={"id": 1},
        extra_body={"seed": 7},
    )

    assert json.loads(ChatEndpoint("max_completion_tokens").body(call)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "max_completion_tokens": 5,
        "seed": 7,
    }


def test_metadata_reaches_the_provider_only_when_it_is_to_store_the_answer() -> None:
    call = Call(model="m", messages=(Message(role="user", content="hi"),), metadata={"id": "1"}, store=True)

    assert json.loads(ChatEndpoint().body(call))["metadata"] == {"id": "1"}
