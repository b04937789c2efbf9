"""What the gateways in front of the models do differently, one test for each of their habits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.call import Call
from aquila.endpoint import PROFILES, ChatEndpoint, profile_for
from aquila.events import Chunk, ReasoningChunk, Status, ToolCall, Unknown, UsageUpdate
from aquila.messages import Message
from aquila.response import Usage
from aquila.tool_call import ToolResult
from tests.decoding import PROVIDER, chat_decoder, choice, feed, fragment, read_wire

USER = Message(role="user", content="hi")


def chunk(payload: Any) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def sent_again(turn: Message | None, provider: str = PROVIDER) -> dict[str, Any]:
    """The assistant's turn as the next request repeats it."""
    assert turn is not None
    body = ChatEndpoint(PROFILES["generic"], provider).body(Call(model="m", messages=(USER, turn)))
    message: dict[str, Any] = json.loads(body)["messages"][1]
    return message


def test_openrouter_keeps_its_connection_busy_with_comments() -> None:
    wire = b": OPENROUTER PROCESSING\n\n" + chunk(choice(content="x")) + b": OPENROUTER PROCESSING\n\n"

    assert read_wire(chat_decoder("openrouter"), wire + chunk(choice("stop")))[1:] == [
        Chunk("x"),
        Status("finished", {"finish_reason": "stop"}),
    ]


def test_openrouter_says_in_the_choice_that_the_provider_behind_it_failed() -> None:
    error = {"code": 502, "message": "Provider disconnected"}
    frame = {"id": "r", "provider": "x", "error": error, "choices": [{"index": 0, "delta": {"content": ""},
             "finish_reason": "error", "native_finish_reason": "error", "error": error}]}  # fmt: skip

    with pytest.raises(errors.InternalServerError, match="Provider disconnected"):
        feed(chat_decoder("openrouter"), frame)


def test_openrouter_gets_its_reasoning_details_back_whole() -> None:
    decoder = chat_decoder("openrouter")
    pieces = [
        {"type": "reasoning.text", "text": "Let ", "format": "anthropic", "index": 0},
        {"type": "reasoning.text", "text": "me", "format": "anthropic", "index": 0},
        {"type": "reasoning.text", "text": "", "signature": "s1g", "format": "anthropic", "index": 0},
        {"type": "reasoning.encrypted", "data": "AbC", "index": 1},
    ]

    events = feed(
        decoder,
        *[choice(content="", reasoning=piece.get("text"), reasoning_details=[piece]) for piece in pieces],
        choice(tool_calls=[fragment("{}", index=0, id="c", name="f")]),
        choice("tool_calls"),
        finish=True,
    )
    again = sent_again(decoder.turn())

    assert [event for event in events if isinstance(event, ReasoningChunk)] == [
        ReasoningChunk("Let "),
        ReasoningChunk("me"),
    ]
    assert again["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Let me", "format": "anthropic", "signature": "s1g", "index": 0},
        {"type": "reasoning.encrypted", "data": "AbC", "index": 1},
    ]
    assert again["reasoning"] == "Let me"
    assert set(sent_again(decoder.turn(), "elsewhere")) == {"role", "content", "tool_calls"}


def test_deepseek_wants_its_reasoning_back_in_tool_turns_and_refuses_it_elsewhere() -> None:
    with_call, without = chat_decoder("deepseek"), chat_decoder("deepseek")

    feed(
        with_call,
        choice(reasoning_content="hm"),
        choice(tool_calls=[fragment("{}", index=0, id="call_00_x", name="f")]),
        choice("tool_calls"),
        finish=True,
    )
    feed(without, choice(reasoning_content="hm"), choice(content="Hi"), choice("stop"), finish=True)

    assert sent_again(with_call.turn())["reasoning_content"] == "hm"
    assert sent_again(without.turn()) == {"role": "assistant", "content": "Hi"}


def test_deepseek_keeps_alive_with_comments() -> None:
    wire = b": keep-alive\n\n" * 3 + chunk(choice(content="x")) + chunk(choice("stop"))

    assert Chunk("x") in read_wire(chat_decoder("deepseek"), wire)


def test_azure_sends_its_filters_results_before_and_between_the_chunks() -> None:
    frames = [
        {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [{}]},
        choice(content="x"),
        {"id": "", "object": "", "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {},
         "content_filter_offsets": {"check_offset": 1}, "delta": None}]},
        choice("stop"),
    ]  # fmt: skip

    assert feed(chat_decoder("azure"), *frames) == [Chunk("x"), Status("finished", {"finish_reason": "stop"})]


def test_mistral_thinks_in_parts_of_its_content() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Hello"},
        {"type": "text", "text": ""},
        {"type": "reference", "reference_ids": [1]},
    ]

    assert feed(chat_decoder("mistral"), choice(content=parts)) == [
        ReasoningChunk("hm"),
        Chunk("Hello"),
        Unknown({"type": "reference", "reference_ids": [1]}),
    ]


def test_mistral_gets_no_stream_options_and_ids_of_nine_characters() -> None:
    calls = [{"id": "call_abc-123", "type": "function", "function": {"name": "f", "arguments": "{}"}},
             {"id": "ONDFzdtXe", "type": "function", "function": {"name": "f", "arguments": "{}"}}]  # fmt: skip
    history = (
        USER,
        Message(role="assistant", extra={"tool_calls": calls}),
        Message(role="tool", content="1", extra={"tool_call_id": "call_abc-123"}),
        Message(role="tool", content="2", extra={"tool_call_id": "ONDFzdtXe"}),
    )

    body = json.loads(ChatEndpoint(PROFILES["mistral"]).body(Call(model="m", messages=history)))
    ids = [call["id"] for call in body["messages"][1]["tool_calls"]]

    assert "stream_options" not in body
    assert [message.get("tool_call_id") for message in body["messages"][2:]] == ids
    assert ids[1] == "ONDFzdtXe"
    assert all(len(call_id) == 9 and call_id.isalnum() for call_id in ids)


def test_mistral_sends_a_call_in_one_chunk() -> None:
    frame = choice(
        "tool_calls", content="", tool_calls=[fragment('{"x": 1}', index=0, id="ONDFzdtXe", name="f")]
    )

    events = feed(chat_decoder("mistral"), frame, finish=True)

    assert events[-1] == ToolCall("ONDFzdtXe", "f", {"x": 1}, '{"x": 1}')


def test_groq_counts_and_fails_in_a_field_of_its_own() -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": 1}

    assert feed(chat_decoder("groq"), {**choice("stop"), "x_groq": {"id": "req", "usage": counts}})[
        -1
    ] == UsageUpdate(Usage(input_tokens=3, output_tokens=1))
    with pytest.raises(errors.ProviderStreamError, match="ran out"):
        feed(chat_decoder("groq"), {**choice(), "x_groq": {"id": "req", "error": "ran out"}})
    with pytest.raises(errors.ProviderStreamError, match="ran out"):
        feed(chat_decoder("groq"), {"error": "ran out"})


def test_groq_says_that_a_call_failed() -> None:
    facts = {"message": "Failed to call a function", "type": "invalid_request_error",
             "code": "tool_use_failed", "failed_generation": "<function=f>"}  # fmt: skip

    with pytest.raises(errors.ProviderStreamError, match="Failed to call") as caught:
        feed(chat_decoder("groq"), {"error": facts})

    assert caught.value.code == "tool_use_failed"


def test_gemini_signs_its_thoughts_behind_the_call() -> None:
    signed = {"google": {"thought_signature": "s1g"}}
    decoder = chat_decoder("gemini")

    feed(
        decoder,
        choice(tool_calls=[fragment('{"x":1}', id="a", name="f")]),
        choice(tool_calls=[{"extra_content": signed, "function": {"arguments": ""}, "type": "function"}]),
        choice("tool_calls"),
        finish=True,
    )

    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    assert sent_again(decoder.turn())["tool_calls"] == [{"extra_content": signed, **call}]
    assert sent_again(decoder.turn(), "elsewhere")["tool_calls"] == [call]


def test_gemini_reports_errors_in_a_list() -> None:
    body = b'[{"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}]'

    with pytest.raises(errors.RateLimitError, match="Resource exhausted"):
        chat_decoder("gemini").decode_whole(body)


def test_bedrock_sends_chunks_without_choices() -> None:
    frames = [{"id": "r", "amazon-bedrock-trace": {}}, choice(content="x"), choice("stop"),
              {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}]  # fmt: skip

    assert feed(chat_decoder(), *frames)[0] == Chunk("x")
    assert isinstance(feed(chat_decoder(), *frames)[-1], UsageUpdate)


def test_vertex_sends_usage_without_a_count() -> None:
    frames = [{**choice(content="x"), "usage": {"extra_properties": {"google": {}}}}, choice("stop")]

    assert not any(isinstance(event, UsageUpdate) for event in feed(chat_decoder(), *frames))


def test_litellm_gets_its_thinking_blocks_back_whole() -> None:
    decoder = chat_decoder("litellm")
    pieces = [
        {"type": "thinking", "thinking": "Let ", "signature": None},
        {"type": "thinking", "thinking": "me", "signature": None},
        {"type": "thinking", "thinking": "", "signature": "s1g"},
        {"type": "thinking", "thinking": "Again", "signature": None},
        {"type": "thinking", "thinking": "", "signature": "s2g"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "redacted_thinking", "data": "y"},
    ]

    feed(
        decoder,
        *[choice(thinking_blocks=[piece], provider_specific_fields={"n": n}) for n, piece in enumerate(pieces)],
        choice(tool_calls=[fragment("{}", index=0, id="toolu_1", name="f")]),
        choice("tool_calls"),
        finish=True,
    )  # fmt: skip
    again = sent_again(decoder.turn())

    assert again["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Let me", "signature": "s1g"},
        {"type": "thinking", "thinking": "Again", "signature": "s2g"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "redacted_thinking", "data": "y"},
    ]
    assert again["provider_specific_fields"] == {"n": 6}


def test_kimi_writes_ids_and_arguments_in_its_own_way() -> None:
    text = '{\n  "expression": "2+2"\n}'

    events = feed(
        chat_decoder(),
        choice(tool_calls=[fragment("", index=0, id="calculator:0", name="calculator")]),
        *[choice(tool_calls=[fragment(piece, index=0)]) for piece in text],
        choice("tool_calls"),
        finish=True,
    )

    assert events[-1] == ToolCall("calculator:0", "calculator", {"expression": "2+2"}, text)


def test_anthropic_behind_litellm_sends_empty_text_beside_its_call() -> None:
    frame = choice(content="", tool_calls=[fragment("{}", index=1, id="toolu_01", name="f")])

    assert feed(chat_decoder("litellm"), frame, choice("tool_calls"), finish=True)[-1] == ToolCall(
        "toolu_01", "f", {}, "{}"
    )


def test_xai_sends_a_call_in_one_chunk_without_a_type() -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"x":1}'}}

    assert feed(chat_decoder(), choice(tool_calls=[call]), choice("tool_calls"), finish=True)[-1] == ToolCall(
        "call_1", "f", {"x": 1}, '{"x":1}'
    )


def test_openai_says_when_the_sound_expires_behind_the_finish_reason() -> None:
    frames = [choice("stop"), choice(audio={"expires_at": 5})]

    assert feed(chat_decoder("openai"), *frames)[-1] == Status("audio", {"expires_at": 5})


def test_a_server_that_wants_blocks_gets_results_as_blocks() -> None:
    call = {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history = (
        USER,
        Message(role="assistant", extra={"tool_calls": [call]}),
        Message(role="tool", content=ToolResult("toolu_1", "f", "4").output, extra={"tool_call_id": "toolu_1"}),
    )  # fmt: skip
    profile = profile_for("https://anthropic.example/v1").evolve(tool_content="blocks")

    body = json.loads(ChatEndpoint(profile).body(Call(model="m", messages=history)))

    inner = [{"type": "output_text", "text": "4"}]
    assert body["messages"][2] == {
        "role": "tool",
        "tool_call_id": "toolu_1",
        "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": inner}],
    }
