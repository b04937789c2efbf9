"""The conversation in the shape of Chat Completions. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aquila.endpoint.parts import chat_parts
from aquila.endpoint.profile import Profile
from aquila.messages import Message

#: Fields of a message that every server knows.
_STANDARD = {"name", "tool_calls", "tool_call_id", "refusal"}
_STANDARD_CALL = {"id", "type", "function"}
_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


def chat_messages(
    messages: Sequence[Message], profile: Profile, provider: str | None, *, words: str | None = None
) -> list[dict[str, Any]]:
    """Write a conversation for one server.

    Args:
        messages: The conversation.
        profile: What the server is like.
        provider: The server's name; turns of other providers lose their unusual fields.
        words: More system text; None for none.
    """
    wire = [_message(message, provider) for message in messages]
    names = _call_names(wire)
    wire = [
        _tool_message(message, profile, names) if message["role"] == "tool" else message for message in wire
    ]
    if profile.short_call_ids:
        wire = [_with_short_ids(message) for message in wire]
    return _with_words(wire, words) if words else wire


def _message(message: Message, provider: str | None) -> dict[str, Any]:
    extra: Mapping[str, Any] = message.extra
    if message.provider is not None and message.provider != provider:
        extra = {name: value for name, value in extra.items() if name in _STANDARD}
        if "tool_calls" in extra:
            extra = {**extra, "tool_calls": [_only(call, _STANDARD_CALL) for call in extra["tool_calls"]]}
    return {"role": message.role, "content": chat_parts(message.content), **extra}


def _call_names(wire: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    calls = [call for message in wire for call in message.get("tool_calls") or ()]
    return {str(call.get("id")): str((call.get("function") or {}).get("name")) for call in calls}


def _tool_message(message: dict[str, Any], profile: Profile, names: Mapping[str, str]) -> dict[str, Any]:
    call_id = str(message.get("tool_call_id"))
    if profile.tool_role == "function":
        name = message.get("name") or names.get(call_id)
        return {"role": "function", "name": name, "content": message["content"]}
    if profile.tool_content == "blocks":
        inner = _output(message["content"])
        return {**message, "content": [{"type": "tool_result", "tool_use_id": call_id, "content": inner}]}
    return message


def _output(content: Any) -> list[dict[str, Any]]:
    texts = [part.get("text") for part in content] if isinstance(content, list) else [content]
    return [{"type": "output_text", "text": text} for text in texts]


def _with_short_ids(message: dict[str, Any]) -> dict[str, Any]:
    changed = dict(message)
    if message.get("tool_calls"):
        changed["tool_calls"] = [
            {**call, "id": _short_id(str(call.get("id")))} for call in message["tool_calls"]
        ]
    if message.get("tool_call_id"):
        changed["tool_call_id"] = _short_id(str(message["tool_call_id"]))
    return changed


def _short_id(call_id: str) -> str:
    # The same id gives the same short one, so that a call and its result stay together.
    return call_id if _SHORT_ID.fullmatch(call_id) else hashlib.blake2b(call_id.encode()).hexdigest()[:9]


def _with_words(wire: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    first = wire[0]
    if first["role"] in {"system", "developer"} and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{words}"}, *wire[1:]]
    return [{"role": "system", "content": words}, *wire]


def _only(facts: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name in names}
