from __future__ import annotations

import json

import pytest

from aquila import events
from aquila.errors import ConnectionFailed
from aquila.events import EventBase
from aquila.response import Response, Usage
from aquila.tool_call import ToolCall, ToolResult

ALL = [
    (events.Started("r", "m", {"id": 1}), {"type": "started", "ref": "r", "model": "m", "meta": {"id": 1}}),
    (events.Chunk("x"), {"type": "chunk", "text": "x"}),
    (events.ReasoningChunk("x"), {"type": "reasoning_chunk", "text": "x"}),
    (events.ToolCallStarted("c", "f"), {"type": "tool_call_started", "call_id": "c", "name": "f"}),
    (events.ToolCallChunk("c", "{"), {"type": "tool_call_chunk", "call_id": "c", "text": "{"}),
    (ToolCall("c", "f", {"n": 1}, '{"n":1}'), {"type": "tool_call", "call_id": "c", "name": "f", "arguments": {"n": 1}, "text": '{"n":1}'}),
    (ToolResult("c", "f", "1"), {"type": "tool_result", "call_id": "c", "name": "f", "output": "1", "status": "ok"}),
    (events.Partial({"n": 1}), {"type": "partial", "value": {"n": 1}}),
    (events.Annotation({"url": "u"}), {"type": "annotation", "data": {"url": "u"}}),
    (events.Status("n", {"a": 1}), {"type": "status", "name": "n", "data": {"a": 1}}),
    (events.UsageUpdate(Usage(input_tokens=1)), {"type": "usage_update", "usage": {"input_tokens": 1}}),
    (events.Retrying(2, 0.5, ConnectionFailed("gone")), {"type": "retrying", "attempt": 2, "delay": 0.5, "error": "gone"}),
    (events.Resumed("r", 4), {"type": "resumed", "response_id": "r", "sequence_number": 4}),
    (events.Unknown([1]), {"type": "unknown", "raw": [1]}),
    (events.Done(Response(text="x")), {"type": "done", "response": Response(text="x").to_dict()}),
    (events.Failed(ConnectionFailed("gone")), {"type": "failed", "error": "ConnectionFailed", "message": "gone"}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "expected"), ALL, ids=[type(event).__name__ for event, _ in ALL])
def test_every_event_has_a_json_form(event: events.Event, expected: dict[str, object]) -> None:
    assert event.to_dict() == expected
    assert json.loads(json.dumps(event.to_dict())) == expected


def test_the_union_and_the_base_know_the_same_events() -> None:
    assert {kind.__name__ for kind in EventBase.__subclasses__()} == {
        kind.__name__ for kind in events.Event.__args__
    }
    assert {type(event) for event, _ in ALL} == set(events.Event.__args__)


def test_the_text_of_a_fragment_is_its_string() -> None:
    assert f"{events.Chunk('a')}{events.ReasoningChunk('b')}{events.ToolCallChunk('1', 'c')}" == "abc"
