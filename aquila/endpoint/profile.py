"""What a server is like, as data: `Profile`. Pure.

Each field is one known difference between servers that all call themselves OpenAI-compatible.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from aquila.timeouts import Timeouts

#: How a server is told the shape of an answer, from the best to the last resort.
OutputMode = Literal["strict", "schema", "json_object", "prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of server; the defaults describe one that nothing is known of."""

    name: str
    #: The API that `endpoint="auto"` takes.
    endpoint: Literal["chat", "responses"] = "chat"
    #: The header that carries the key: `authorization` (as `Bearer`) or `api-key`.
    key_header: Literal["authorization", "api-key"] = "authorization"
    #: Chat's name for `max_output_tokens`: OpenAI's reasoning models refuse the older `max_tokens`, most others know
    #: only that.
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    #: Whether Chat is asked for usage with `stream_options`, which some servers refuse.
    include_usage: bool = True
    #: Chat: `[DONE]` behind content is the end, as the server never sends a finish reason.
    ends_without_finish_reason: bool = False
    #: Chat's way to say `reasoning`: `reasoning_effort`, or the whole object as `reasoning`.
    reasoning_field: Literal["reasoning_effort", "reasoning"] = "reasoning_effort"
    #: How the shape of an answer is asked for.
    output_mode: OutputMode = "strict"
    #: Chat: the role of a tool's result.
    tool_role: Literal["tool", "function"] = "tool"
    #: Chat: a tool's result as text, or as Anthropic's blocks.
    tool_content: Literal["text", "blocks"] = "text"
    #: Chat: ids of calls must be nine letters or digits (Mistral).
    short_call_ids: bool = False
    #: Chat: reasoning may stand in the text, between `<think>` and `</think>` at its start.
    think_tags: bool = True
    #: Responses: answers are stored, so that the next request may name one instead of repeating the conversation.
    keeps_responses: bool = False
    #: Tools may be strict.
    strict_tools: bool = True
    #: Pads its chunks against eavesdroppers unless told not to, which costs a fifth of the bytes.
    obfuscates: bool = False
    #: The longest answer in tokens where nobody says; None leaves it to the server.
    max_output_tokens: int | None = None
    #: Clocks that fit the server better than the general ones; None for those.
    timeouts: Timeouts | None = None

    def evolve(self, **changes: Any) -> Profile:
        """Copy this profile with some fields changed."""
        return replace(self, **changes)
