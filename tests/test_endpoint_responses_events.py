"""Every event of the Responses API and what it becomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.events import (
    Annotation,
    Chunk,
    Event,
    ReasoningChunk,
    Status,
    ToolCall,
    ToolCallChunk,
    ToolCallStarted,
    Unknown,
)
from tests.decoding import feed, response_event, responses_decoder

PART = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
CALL = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": ""}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
RESPONSE = {"id": "resp_1", "model": "m", "output": []}
FINISHED = {"finish_reason": "stop", "status": "completed"}

#: What comes before, the event, and what it becomes.
MEANT: list[tuple[list[dict[str, Any]], str, dict[str, Any], list[Event]]] = [
    ([], "created", {"response": RESPONSE}, []),
    ([], "queued", {"response": RESPONSE}, [Status("queued", {})]),
    ([], "in_progress", {"response": RESPONSE}, [Status("in_progress", {})]),
    ([], "completed", {"response": RESPONSE}, [Status("finished", FINISHED)]),
    (
        [], "incomplete", {"response": {**RESPONSE, "incomplete_details": {"reason": "max_output_tokens"}}},
        [Status("finished", {"finish_reason": "length", "status": "incomplete"})],
    ),
    ([], "output_item.added", {"output_index": 0, "item": MESSAGE}, [Status("output_item.added", {"item": MESSAGE})]),
    ([], "output_item.added", {"output_index": 0, "item": CALL}, [ToolCallStarted("call_1", "f")]),
    ([], "output_item.done", {"output_index": 0, "item": SEARCH}, [Status("output_item.done", {"item": SEARCH})]),
    (
        [], "output_item.done", {"output_index": 0, "item": {**CALL, "arguments": '{"x":1}'}},
        [ToolCallStarted("call_1", "f"), ToolCall("call_1", "f", {"x": 1}, '{"x":1}')],
    ),
    ([], "output_text.delta", {**PART, "delta": "Hi", "logprobs": []}, [Chunk("Hi")]),
    ([], "output_text.done", {**PART, "text": "Hi", "logprobs": []}, [Chunk("Hi")]),
    (
        [], "output_text.annotation.added", {**PART, "annotation_index": 0, "annotation": {"type": "url_citation"}},
        [Annotation({"type": "url_citation"})],
    ),
    ([], "refusal.delta", {**PART, "delta": "No"}, [Status("refusal", {"text": "No"})]),
    ([], "refusal.done", {**PART, "refusal": "No"}, [Status("refusal", {"text": "No"})]),
    ([], "reasoning_text.delta", {**PART, "delta": "hm"}, [ReasoningChunk("hm")]),
    ([], "reasoning_text.done", {**PART, "text": "hm"}, []),
    ([], "reasoning_summary_part.added", {"summary_index": 0, "part": {}}, []),
    ([], "reasoning_summary_part.added", {"summary_index": 1, "part": {}}, [ReasoningChunk("\n\n")]),
    ([], "reasoning_summary_part.done", {"summary_index": 0, "part": {}, "status": "incomplete"}, []),
    ([], "reasoning_summary_text.delta", {"summary_index": 0, "delta": "hm"}, [ReasoningChunk("hm")]),
    ([], "reasoning_summary_text.done", {"summary_index": 0, "text": "hm"}, []),
    (
        [response_event("output_item.added", output_index=0, item=CALL)],
        "function_call_arguments.delta", {"item_id": "fc_1", "output_index": 0, "delta": '{"x'},
        [ToolCallChunk("call_1", '{"x')],
    ),
    (
        [response_event("output_item.added", output_index=0, item=CALL)],
        "function_call_arguments.done", {"item_id": "fc_1", "output_index": 0, "arguments": "{}"}, [],
    ),
]  # fmt: skip

#: Passed on under their own name.
PASSED_ON = [
    "content_part.added", "content_part.done",
    "custom_tool_call_input.delta", "custom_tool_call_input.done",
    "web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed",
    "file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed",
    "code_interpreter_call.in_progress", "code_interpreter_call.interpreting", "code_interpreter_call.completed",
    "code_interpreter_call_code.delta", "code_interpreter_call_code.done",
    "image_generation_call.in_progress", "image_generation_call.generating",
    "image_generation_call.partial_image", "image_generation_call.completed",
    "mcp_call.in_progress", "mcp_call.completed", "mcp_call.failed",
    "mcp_call_arguments.delta", "mcp_call_arguments.done",
    "mcp_list_tools.in_progress", "mcp_list_tools.completed", "mcp_list_tools.failed",
    "shell_call_command.added", "shell_call_command.delta", "shell_call_command.done",
    "shell_call_output_content.delta", "shell_call_output_content.done",
    "compaction.compacting",
    "audio.delta", "audio.done", "audio.transcript.delta", "audio.transcript.done",
]  # fmt: skip


def test_the_tables_hold_every_event_of_the_api() -> None:
    # `response.failed` and `error` are exceptions and tested apart.
    assert len({name for _, name, _, _ in MEANT} | set(PASSED_ON)) + 2 == 59


@pytest.mark.parametrize(
    ("before", "name", "facts", "expected"), MEANT, ids=[f"{row[1]}-{n}" for n, row in enumerate(MEANT)]
)
def test_an_event_that_means_something_becomes_it(
    before: list[dict[str, Any]], name: str, facts: dict[str, Any], expected: list[Event]
) -> None:
    decoder = responses_decoder()
    feed(decoder, *before)

    assert feed(decoder, response_event(name, sequence_number=3, **facts)) == expected


@pytest.mark.parametrize("name", PASSED_ON)
def test_an_event_that_is_news_is_passed_on_under_its_own_name(name: str) -> None:
    facts = {"output_index": 1, "item_id": "i", "delta": "x"}

    events = feed(responses_decoder(), response_event(name, sequence_number=3, obfuscation="aX9", **facts))

    assert events == [Status(name, facts)]


@pytest.mark.parametrize(
    "kind", ["response.brand_new.delta", "response.reasoning.delta", "brand.new", "message"]
)
def test_an_event_of_no_known_family_passes_through_whole(kind: str) -> None:
    payload = {"type": kind, "sequence_number": 3, "delta": "x"}

    assert feed(responses_decoder(), payload) == [Unknown(payload)]


def test_a_known_tool_in_a_new_state_is_still_news_of_that_tool() -> None:
    assert feed(responses_decoder(), response_event("web_search_call.blocked", reason="x")) == [
        Status("web_search_call.blocked", {"reason": "x"})
    ]


@pytest.mark.parametrize(
    ("payload", "error", "says"),
    [
        pytest.param({"type": "error", "code": "server_error", "message": "boom", "param": None},
                     errors.ProviderStreamError, "boom", id="flat"),
        pytest.param({"type": "error", "error": {"type": "server_error", "code": "429", "message": "slow down"}},
                     errors.RateLimitError, "slow down", id="nested"),
        pytest.param({"type": "error", "code": None, "message": "boom", "error": None},
                     errors.ProviderStreamError, "boom", id="flat beside null"),
        pytest.param({"error": {"message": "boom", "code": 503}}, errors.OverloadedError, "boom", id="no type"),
        pytest.param({"type": "error"}, errors.ProtocolError, "without a word", id="without a word"),
        pytest.param(response_event("failed", response={**RESPONSE, "error": {"code": "server_error",
                     "message": "boom"}}), errors.ProviderStreamError, "boom", id="response.failed"),
        pytest.param(response_event("failed", response={**RESPONSE, "error": {"code": "rate_limit_exceeded",
                     "message": "slow"}}), errors.RateLimitError, "slow", id="response.failed with a known code"),
        pytest.param(response_event("failed", response={**RESPONSE, "error": None}),
                     errors.ProviderStreamError, "is failed, and not why", id="response.failed without an error"),
        pytest.param(response_event("failed", response=None),
                     errors.ProviderStreamError, "is failed, and not why", id="response.failed without a response"),
        pytest.param(response_event("completed", response={**RESPONSE, "status": "failed", "error": "boom"}),
                     errors.ProviderStreamError, "boom", id="failed inside"),
        pytest.param(response_event("cancelled", response={**RESPONSE, "status": "cancelled"}),
                     errors.ProviderStreamError, "is cancelled", id="response.cancelled"),
    ],
)  # fmt: skip
def test_a_failure_is_raised_whatever_its_shape(payload: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        feed(responses_decoder(), payload)


def test_an_event_named_error_is_one_whatever_it_holds() -> None:
    decoder = responses_decoder()

    with pytest.raises(errors.ProviderStreamError, match="out of memory"):
        decoder.decode("error", b"out of memory")
    with pytest.raises(errors.ProviderStreamError, match="boom"):
        decoder.decode("error", b'{"type":"response.output_text.delta","message":"boom"}')


@pytest.mark.parametrize("name", ["keepalive", "ping"])
def test_a_keepalive_says_nothing_in_any_form(name: str) -> None:
    decoder = responses_decoder()

    assert decoder.decode(name, b"{}") == []
    assert decoder.decode(name, b"now") == []
    assert decoder.decode("", json.dumps({"type": name, "sequence_number": 4}).encode()) == []


def test_done_is_tolerated_and_blank_data_too() -> None:
    decoder = responses_decoder()

    assert [event for data in (b"[DONE]", b"", b" ") for event in decoder.decode("", data)] == []
    assert not decoder.ended


def test_an_event_without_a_type_of_its_own_goes_by_the_name_on_the_wire() -> None:
    decoder = responses_decoder()
    events = [
        event
        for name, payload in (
            ("response.output_text.delta", {"output_index": 0, "content_index": 0, "delta": "Hi"}),
            ("response.completed", {"response": RESPONSE}),
        )
        for event in decoder.decode(name, json.dumps(payload).encode())
    ]

    assert events[0] == Chunk("Hi")
    assert events[-1] == Status("finished", FINISHED)
