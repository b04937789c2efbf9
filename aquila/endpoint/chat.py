"""The Chat Completions API: `POST /chat/completions`, streamed. Pure.

Source: OpenAI's API reference, and the dialects of gateways that follow it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aquila.call import Call
from aquila.endpoint.failure import UNREADABLE, Failure, read_failure, stream_error
from aquila.errors import AquilaError, ProtocolError
from aquila.events import Chunk, Event, ReasoningChunk, Status, Unknown, UsageUpdate
from aquila.response import Usage

_DONE = b"[DONE]"


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | dict[str, Any] | None = None
    refusal: str | None = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    error: Any = None


class _Payload(msgspec.Struct):
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode_payload = msgspec.json.Decoder(_Payload).decode


class ChatEndpoint:
    """Builds bodies for the Chat Completions API.

    Args:
        max_tokens_field: `max_completion_tokens` at OpenAI, whose reasoning models refuse the older `max_tokens`;
            `max_tokens` at most others.
    """

    path = "/chat/completions"

    def __init__(self, max_tokens_field: str = "max_tokens") -> None:
        self._max_tokens_field = max_tokens_field

    def body(self, call: Call) -> bytes:
        """Build the request's body."""
        options = {
            "temperature": call.temperature,
            "top_p": call.top_p,
            self._max_tokens_field: call.max_output_tokens,
            "service_tier": call.service_tier,
            "store": call.store,
            "metadata": dict(call.metadata) if call.store and call.metadata else None,
        }
        return msgspec.json.encode(
            {
                "model": call.model,
                "messages": [message.to_dict() for message in call.messages],
                "stream": True,
                "stream_options": {"include_usage": True},
                **{name: value for name, value in options.items() if value is not None},
                **call.extra_body,
            }
        )

    def decoder(self) -> ChatDecoder:
        """Make a decoder for one response."""
        return ChatDecoder()


class ChatDecoder:
    """Reads one streamed chat completion."""

    __slots__ = ("_created", "closed", "ended")

    def __init__(self) -> None:
        #: A finish reason has been seen.
        self.ended = False
        #: `[DONE]` has been seen.
        self.closed = False
        self._created = False

    def decode(self, name: str, data: bytes) -> list[Event]:
        """Turn one server-sent event into events.

        Raises:
            ProtocolError: The payload is not JSON of the expected shape.
            AquilaError: The payload reports an error.
        """
        if data == _DONE:
            self.closed = True
            return []
        if not data or data.isspace():
            return []
        payload = _read(data, name)
        events: list[Event] = []
        if not self._created:
            self._created = True
            events.append(
                Status("created", {"response_id": _name(payload.id), "model": _name(payload.model)})
            )
        for choice in payload.choices or ():
            self._choice(choice, data, events)
        if isinstance(payload.usage, dict) and (usage := _usage(payload.usage)):
            events.append(UsageUpdate(usage))
        return events

    def decode_whole(self, body: bytes) -> list[Event]:
        """Turn the JSON body of a provider that ignored `stream: true` into events.

        Raises:
            ProtocolError: The body is not JSON of the expected shape.
            AquilaError: The body reports an error.
        """
        events = self.decode("", body)
        self.closed = True
        return events

    def _choice(self, choice: _Choice, data: bytes, events: list[Event]) -> None:
        if choice.index not in {0, None}:
            events.append(Unknown(msgspec.json.decode(data)))
            return
        if choice.error:
            raise _error_of(choice.error)
        delta = choice.delta or choice.message
        if delta is not None:
            _delta(delta, data, events)
        if choice.finish_reason:
            self.ended = True
            if choice.finish_reason == "error":
                raise _error_of({"message": "the provider stopped with finish_reason error"})
            events.append(Status("finished", {"finish_reason": choice.finish_reason}))


def _read(data: bytes, name: str) -> _Payload:
    try:
        payload = _decode_payload(data)
    except UNREADABLE as error:
        raise _unreadable(data, name, error) from None
    if payload.error or name == "error":
        raise _error_of(msgspec.json.decode(data))
    if (
        payload.choices is None
        and payload.usage is None
        and (failure := read_failure(msgspec.json.decode(data)))
    ):
        raise stream_error(failure)
    return payload


def _error_of(value: object) -> AquilaError:
    failure = read_failure(value if isinstance(value, dict) and "error" in value else {"error": value})
    return (
        stream_error(failure)
        if failure
        else ProtocolError(f"the stream reported an error without a word: {value!r}")
    )


def _unreadable(data: bytes, name: str, error: Exception) -> AquilaError:
    # A list is no chat payload, but Gemini reports its errors in one; plain text follows llama.cpp's `error:` field.
    try:
        failure = read_failure(msgspec.json.decode(data))
    except UNREADABLE:
        failure = None
    if failure:
        return stream_error(failure)
    excerpt = data[:200].decode("utf-8", "replace")
    if name == "error":
        return stream_error(Failure(message=excerpt))
    return ProtocolError(f"the stream holds a payload that is no chat completion chunk ({error}): {excerpt}")


def _delta(delta: _Delta, data: bytes, events: list[Event]) -> None:
    if delta.reasoning_content or delta.reasoning:
        events.append(ReasoningChunk(_reasoning(delta)))
    if type(delta.content) is str:
        if delta.content:
            events.append(Chunk(delta.content))
    elif delta.content:
        events.extend(_content_part(part) for part in delta.content)
    if delta.refusal:
        events.append(Status("refusal", {"text": delta.refusal}))
    if delta.tool_calls or delta.function_call or delta.audio:
        events.append(Unknown(msgspec.json.decode(data)))


def _reasoning(delta: _Delta) -> str:
    if delta.reasoning_content:
        return delta.reasoning_content
    if isinstance(delta.reasoning, dict):
        return str(delta.reasoning.get("content") or "")
    return delta.reasoning or ""


def _content_part(part: Any) -> Event:
    """Read a part of a content list (Mistral: `text`, and `thinking` with a list of texts)."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return Chunk(str(part.get("text") or ""))
    if kind == "thinking":
        inner = part.get("thinking")
        texts = inner if isinstance(inner, list) else [{"text": inner}]
        return ReasoningChunk(
            "".join(str(item.get("text") or "") for item in texts if isinstance(item, dict))
        )
    return Unknown(part)


def _name(value: Any) -> str | None:
    return None if value is None else str(value)


def _usage(wire: dict[str, Any]) -> Usage | None:
    """Translate Chat's names; an object without one count (Vertex sends such) is no usage."""
    usage = Usage(
        input_tokens=_count(wire, "prompt_tokens"),
        output_tokens=_count(wire, "completion_tokens"),
        total_tokens=_count(wire, "total_tokens"),
        cached_tokens=_count(wire.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(wire.get("completion_tokens_details"), "reasoning_tokens"),
    )
    return usage if usage.to_dict() else None


def _count(wire: Any, name: str) -> int | None:
    value = wire.get(name) if isinstance(wire, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
