"""Turns that a run adds to a conversation, and conversations that were broken off. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aquila.messages import Message
from aquila.tool_call import ToolResult

_NO_RESULT = "no result: the run ended before this tool did"


def tool_message(result: ToolResult) -> Message:
    """Make the turn that tells the model what its tool gave."""
    return Message(role="tool", content=result.output, extra={"tool_call_id": result.call_id})


def call_ids(message: Message) -> list[str]:
    """Give the ids of the calls an assistant's turn makes."""
    calls: Any = message.extra.get("tool_calls") or ()
    return [str(call.get("id")) for call in calls]


def repair(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Give every call of a tool its result, as providers refuse a conversation with a call that has none.

    A run that was cancelled or failed between a call and its result leaves such a conversation behind.
    """
    repaired: list[Message] = []
    missing: list[str] = []
    for message in messages:
        if message.role == "tool":
            answered = str(message.extra.get("tool_call_id"))
            missing = [call_id for call_id in missing if call_id != answered]
        else:
            repaired += _stand_ins(missing)
            missing = call_ids(message) if message.role == "assistant" else []
        repaired.append(message)
    return (*repaired, *_stand_ins(missing))


def _stand_ins(missing: Iterable[str]) -> list[Message]:
    return [tool_message(ToolResult(call_id, "", _NO_RESULT, "error")) for call_id in missing]
