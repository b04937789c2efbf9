"""The conversation as input items of the Responses API. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aquila.endpoint.fragments import read_arguments, sendable
from aquila.endpoint.parts import responses_parts
from aquila.messages import Message
from aquila.tool_call import ToolCall


def split_instructions(messages: Sequence[Message], known: int) -> tuple[str | None, Sequence[Message]]:
    """Take the system text that opens a conversation out of it, and leave out what the provider knows.

    The provider keeps the conversation behind `previous_response_id`, and never the instructions: they are said anew.

    Args:
        messages: The conversation.
        known: How many of the messages the provider knows.
    """
    first = messages[0] if messages else None
    if first is not None and first.role in {"system", "developer"} and isinstance(first.content, str):
        return first.content, messages[max(known, 1) :]
    return None, messages[known:]


def input_items(
    messages: Sequence[Message], provider: str | None, *, stored: bool = True
) -> list[Mapping[str, Any]]:
    """Write a conversation for one server.

    Args:
        messages: The conversation, without what `split_instructions` took out.
        provider: The server's name; only its own turns go back as the items they came as.
        stored: The provider keeps its reasoning; if not, only reasoning that came encrypted can be sent back.
    """
    items: list[Mapping[str, Any]] = []
    for message in messages:
        if message.items and message.provider == provider:
            items += [_repeatable(item) for item in message.items if stored or _stands_alone(item)]
        elif message.role == "tool":
            call_id = message.extra.get("tool_call_id")
            output = responses_parts(message.content, "user")
            items.append({"type": "function_call_output", "call_id": call_id, "output": output})
        else:
            items += _turn(message)
    return items


def _turn(message: Message) -> Iterator[Mapping[str, Any]]:
    if message.content:
        content = responses_parts(message.content, message.role)
        yield {"role": message.role, "content": content}
    elif refusal := message.extra.get("refusal"):
        yield {"role": message.role, "content": [{"type": "refusal", "refusal": refusal}]}
    for call in message.extra.get("tool_calls") or ():
        function = call.get("function") or {}
        yield {
            "type": "function_call",
            "call_id": call.get("id"),
            "name": function.get("name"),
            "arguments": function.get("arguments") or "{}",
        }


def _stands_alone(item: Mapping[str, Any]) -> bool:
    return item.get("type") != "reasoning" or bool(item.get("encrypted_content"))


def _repeatable(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give an item as a later turn may repeat it: gateways refuse a conversation over arguments that are no JSON."""
    text = item.get("arguments")
    if item.get("type") != "function_call" or not isinstance(text, str) or read_arguments(text) is not None:
        return item
    return {**item, "arguments": sendable(ToolCall("", "", None, text))}
