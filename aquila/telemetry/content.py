"""The conversation in OpenTelemetry's shape, for applications that opt in to it. Pure but for the switch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from aquila.messages import Message
from aquila.response import Response
from aquila.telemetry.attributes import Attributes

_SWITCH = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON = frozenset({"1", "true", "yes", "on", "span_only", "span_and_event"})
_SYSTEM = frozenset({"system", "developer"})


def captures_content() -> bool:
    """Say whether spans may hold what was asked and answered; the environment says so, and by default they may not."""
    return os.environ.get(_SWITCH, "").strip().lower() in _ON


def request_content(messages: Sequence[Message]) -> Attributes:
    """Give the prompt."""
    system = [part for message in messages if message.role in _SYSTEM for part in _parts(message)]
    turns = [
        {"role": message.role, "parts": _parts(message)}
        for message in messages
        if message.role not in _SYSTEM
    ]
    return {
        **({"gen_ai.system_instructions": as_json(system)} if system else {}),
        **({"gen_ai.input.messages": as_json(turns)} if turns else {}),
    }


def response_content(response: Response) -> Attributes:
    """Give the answer, or what had come of it."""
    reasoning = [{"type": "reasoning", "content": response.reasoning}] if response.reasoning else []
    text = [{"type": "text", "content": response.text}] if response.text else []
    refusal = [{"type": "refusal", "content": response.refusal}] if response.refusal else []
    calls = [
        {"type": "tool_call", "id": call.call_id, "name": call.name, "arguments": call.text}
        for call in response.tool_calls
    ]
    answer = {
        "role": "assistant",
        "parts": [*reasoning, *text, *refusal, *calls],
        "finish_reason": response.finish_reason or "unknown",
    }
    return {"gen_ai.output.messages": as_json([answer])}


def as_json(value: Any) -> str:
    """Encode a value; what JSON has no word for becomes text."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def _parts(message: Message) -> list[dict[str, Any]]:
    call_id = message.extra.get("tool_call_id")
    if message.role == "tool":
        return [{"type": "tool_call_response", "id": call_id, "response": message.content}]
    content = message.content
    parts = [{"type": "text", "content": content}] if isinstance(content, str) and content else []
    if isinstance(content, list):
        parts = [_part(part) for part in content]
    return [*parts, *(_tool_call(call) for call in message.extra.get("tool_calls") or ())]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    # An image or a file may be megabytes of base64; that there was one is enough.
    return {"type": str(part.get("type", "unknown"))}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }
