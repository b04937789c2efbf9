"""Responses API bytes for tests, written from OpenAI's specification."""

from __future__ import annotations

import json
from typing import Any

ID = "resp_1"


def event(kind: str, number: int, **facts: Any) -> bytes:
    """One server-sent event, with its number."""
    payload = {"type": kind, "sequence_number": number, **facts}
    return f"event: {kind}\ndata: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def response(status: str, output: list[Any] | None = None, **facts: Any) -> dict[str, Any]:
    """A response object."""
    return {
        "id": ID,
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "gpt-4o-mini-2024-07-18",
        "output": output or [],
        **facts,
    }


def usage(inputs: int, outputs: int) -> dict[str, Any]:
    """A usage object."""
    return {
        "input_tokens": inputs,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": inputs + outputs,
    }


def message(text: str, item_id: str = "msg_1") -> dict[str, Any]:
    """A message item."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def call(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A function call item."""
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": json.dumps(arguments),
    }


def numbered(events: list[tuple[str, dict[str, Any]]]) -> list[bytes]:
    """Events with their numbers."""
    return [event(kind, number, **facts) for number, (kind, facts) in enumerate(events)]


def answer(*texts: str, response_id: str = ID) -> list[bytes]:
    """A whole streamed answer, one read for each event."""
    text = "".join(texts)
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    start = response("in_progress", id=response_id)
    end = response("completed", [message(text)], usage=usage(7, len(texts)), id=response_id)
    return numbered([
        ("response.created", {"response": start}),
        ("response.in_progress", {"response": start}),
        ("response.output_item.added", {"output_index": 0, "item": {**message(""), "content": []}}),
        ("response.content_part.added", {**place, "part": {"type": "output_text", "text": ""}}),
        *[("response.output_text.delta", {**place, "delta": piece}) for piece in texts],
        ("response.output_text.done", {**place, "text": text}),
        ("response.content_part.done", {**place, "part": {"type": "output_text", "text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": message(text)}),
        ("response.completed", {"response": end}),
    ])  # fmt: skip


def calls(*items: dict[str, Any], response_id: str = ID) -> list[bytes]:
    """A whole streamed answer that calls functions."""
    start = response("in_progress", id=response_id)
    end = response("completed", list(items), usage=usage(9, 4), id=response_id)
    events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": start})]
    for place, item in enumerate(items):
        where = {"output_index": place, "item_id": item["id"]}
        half = len(item["arguments"]) // 2
        events += [
            ("response.output_item.added", {"output_index": place, "item": {**item, "arguments": ""}}),
            ("response.function_call_arguments.delta", {**where, "delta": item["arguments"][:half]}),
            ("response.function_call_arguments.delta", {**where, "delta": item["arguments"][half:]}),
            ("response.function_call_arguments.done", {**where, "arguments": item["arguments"]}),
            ("response.output_item.done", {"output_index": place, "item": item}),
        ]
    return numbered([*events, ("response.completed", {"response": end})])
