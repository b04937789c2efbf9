"""Answers as a provider would write them, for fakes. Pure.

Source: the event types of OpenAI's API reference, with the fields that a reader needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

#: Id, name and arguments.
Call: TypeAlias = tuple[str, str, Mapping[str, Any]]

_ID = "scripted"
_CUT = {"length": "max_output_tokens"}


def chat_text(pieces: Sequence[str], finish_reason: str) -> list[bytes]:
    """Write an answer in text for Chat Completions."""
    return [*(_chunk({"content": piece}) for piece in pieces), *_chat_end(finish_reason, len(pieces))]


def chat_calls(calls: Sequence[Call]) -> list[bytes]:
    """Write an answer that calls tools for Chat Completions."""
    fragments = [
        {
            "index": place,
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": _json(arguments).decode()},
        }
        for place, (call_id, name, arguments) in enumerate(calls)
    ]
    return [
        *(_chunk({"tool_calls": [fragment]}) for fragment in fragments),
        *_chat_end("tool_calls", len(calls)),
    ]


def responses_text(pieces: Sequence[str], finish_reason: str) -> list[bytes]:
    """Write an answer in text for the Responses API."""
    item = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "".join(pieces), "annotations": []}],
    }
    deltas = [
        ("response.output_text.delta", {"output_index": 0, "content_index": 0, "delta": piece})
        for piece in pieces
    ]
    return _response([*deltas, _item_done(0, item)], [item], finish_reason, len(pieces))


def responses_calls(calls: Sequence[Call]) -> list[bytes]:
    """Write an answer that calls tools for the Responses API."""
    items = [
        {
            "id": f"fc_{call_id}",
            "type": "function_call",
            "call_id": call_id,
            "name": name,
            "arguments": _json(arguments).decode(),
        }
        for call_id, name, arguments in calls
    ]
    return _response([_item_done(place, item) for place, item in enumerate(items)], items, "stop", len(items))


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({"id": _ID, "object": "chat.completion.chunk", "model": _ID, "choices": [choice]})


def _chat_end(finish_reason: str, tokens: int) -> list[bytes]:
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1 + tokens}
    return [
        _chunk({}, finish_reason),
        _event({"id": _ID, "choices": [], "usage": usage}),
        b"data: [DONE]\n\n",
    ]


def _item_done(place: int, item: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return "response.output_item.done", {"output_index": place, "item": item}


def _response(
    events: Sequence[tuple[str, Mapping[str, Any]]],
    items: Sequence[Mapping[str, Any]],
    finish_reason: str,
    tokens: int,
) -> list[bytes]:
    status = "incomplete" if finish_reason in _CUT else "completed"
    usage = {"input_tokens": 1, "output_tokens": tokens, "total_tokens": 1 + tokens}
    response: dict[str, Any] = {
        "id": _ID,
        "object": "response",
        "model": _ID,
        "status": status,
        "output": items,
        "usage": usage,
    }
    if status == "incomplete":
        response["incomplete_details"] = {"reason": _CUT[finish_reason]}
    begun = {**response, "status": "in_progress", "output": []}
    told = [
        ("response.created", {"response": begun}),
        *events,
        (f"response.{status}", {"response": response}),
    ]
    return [
        _event({"type": kind, "sequence_number": number, **facts})
        for number, (kind, facts) in enumerate(told)
    ]


def _event(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + _json(payload) + b"\n\n"


def _json(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value)
