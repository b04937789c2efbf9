"""Reads a streamed chat completion. Pure.

Source: OpenAI's API reference, and the dialects of gateways that follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aquila.endpoint.chat_payload import (
    Choice,
    Delta,
    LaxDelta,
    Payload,
    read_lax_payload,
    read_payload,
    unknown_fields,
)
from aquila.endpoint.counts import read_usage
from aquila.endpoint.extras import Extras
from aquila.endpoint.failure import error_of
from aquila.endpoint.fragments import Fragments, sendable
from aquila.endpoint.profile import Profile
from aquila.endpoint.think_tags import ThinkTags
from aquila.endpoint.wire_json import read_json, text_of
from aquila.errors import ProtocolError
from aquila.events import Annotation, Chunk, Event, ReasoningChunk, Status, Unknown, UsageUpdate
from aquila.messages import Message
from aquila.tool_call import ToolCall

_DONE = b"[DONE]"


class ChatDecoder:
    """Reads one streamed chat completion.

    Args:
        profile: What the server is like.
        provider: The server's name in the history.
        limit: The longest answer asked for, in tokens; it tells a call that was cut from one that is wrong.
    """

    __slots__ = (
        "_answer_id", "_created", "_extras", "_finish_reason", "_fragments", "_limit", "_output_tokens",
        "_profile", "_provider", "_read", "_reasoning", "_refusal", "_tags", "_text", "calls", "closed",
    )  # fmt: skip

    def __init__(self, profile: Profile, provider: str | None = None, limit: int | None = None) -> None:
        self._read = read_payload
        self._limit = limit
        self._profile = profile
        self._provider = provider
        self._fragments = Fragments()
        self._extras = Extras()
        self._tags = ThinkTags() if profile.think_tags else None
        self._answer_id: str | None = None
        self._created = False
        self._finish_reason: str | None = None
        self._output_tokens: int | None = None
        self._text: list[str] = []
        self._refusal: list[str] = []
        #: Reasoning by the name of the field it came in, which its author wants it back in.
        self._reasoning: dict[str, list[str]] = {}
        #: `[DONE]` has been seen.
        self.closed = False
        self.calls: Sequence[ToolCall] = ()

    @property
    def ended(self) -> bool:
        """True when a finish reason has been seen, or what stands for one on servers that send none."""
        if self._finish_reason is not None:
            return True
        lasting = bool(self._text) and self._profile.ends_without_finish_reason
        return self.closed and (lasting or self._fragments.complete())

    def decode(self, name: str, data: bytes) -> list[Event]:
        """Turn one server-sent event into events.

        Raises:
            ProtocolError: The payload is not JSON of the expected shape.
            AquilaError: The payload reports an error.
        """
        if data == _DONE:
            self.closed = True
            return []
        if data[:1] <= b" " and not data.strip():
            return []
        payload = self._read(data, name)
        events: list[Event] = []
        if not self._created:
            self._begin(payload, events)
        for choice in payload.choices or ():
            self._choice(choice, data, events)
        if payload.usage or payload.x_groq:
            self._usage(payload, events)
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

    def finish(self) -> list[Event]:
        """Give the calls, which only the end makes certain, and the reason it ended for.

        Raises:
            ProtocolError: A call has no name.
        """
        events: list[Event] = []
        if self._tags is not None and not self._tags.done:
            self._append(self._tags.flush(), events)
        calls: list[ToolCall] = []
        extras: list[dict[str, Any]] = []
        for call, extra, owed in self._fragments.finished(self._answer_id):
            if not call.name and self._finish_reason != "length":
                raise ProtocolError(f"the answer calls a tool without a name (arguments {call.text[:200]})")
            events += owed
            calls.append(call)
            extras.append(extra)
        self.calls = calls
        self._extras.fields |= _tool_calls(calls, extras)
        events += calls
        reason = self._final_reason()
        if reason != self._finish_reason:
            events.append(Status("finished", {"finish_reason": reason}))
        return events

    def turn(self) -> Message | None:
        """Give the answer as a turn of the conversation; None if it says nothing."""
        text = "".join(self._text)
        extra = dict(self._extras.fields)
        if self._refusal:
            extra["refusal"] = "".join(self._refusal)
        if not (text or extra):
            return None
        if self.calls:
            # Its author asks for it beside tool calls (DeepSeek) and refuses it elsewhere.
            extra |= {name: "".join(parts) for name, parts in self._reasoning.items()}
        return Message(role="assistant", content=text or None, extra=extra, provider=self._provider)

    def resume(self) -> None:
        """Give None: Chat Completions cannot pick up a lost stream."""

    def _begin(self, payload: Payload[Any], events: list[Event]) -> None:
        # Azure opens with the results of its filter, which belong to no answer yet.
        if payload.id or payload.choices:
            self._created = True
            self._answer_id = _name(payload.id)
            events.append(Status("created", {"response_id": self._answer_id, "model": _name(payload.model)}))

    def _choice(self, choice: Choice[Any], data: bytes, events: list[Event]) -> None:
        if choice.index:
            events.append(Unknown(read_json(data)))
            return
        if choice.error:
            raise error_of(choice.error)
        delta = choice.delta or choice.message
        if delta is not None:
            content = delta.content
            if (
                delta.tool_calls or delta.reasoning_content or delta.reasoning or delta.refusal or delta.function_call
                or delta.audio or delta.annotations or type(content) is list or type(delta) is LaxDelta
            ):  # fmt: skip
                self._unusual(delta, data, events)
            elif content and (self._tags is None or self._tags.done):
                # What nearly every chunk is stays free of calls.
                self._text.append(content)
                events.append(Chunk(content))
            elif content:
                self._append(self._read_text(content), events)
        if choice.finish_reason:
            events.append(self._finished(choice.finish_reason))

    def _finished(self, reason: str) -> Event:
        self._finish_reason = reason
        if reason == "error":
            raise error_of({"message": "the provider stopped with finish_reason error"})
        return Status("finished", {"finish_reason": reason})

    def _usage(self, payload: Payload[Any], events: list[Event]) -> None:
        groq = payload.x_groq if isinstance(payload.x_groq, dict) else {}
        if groq.get("error"):
            raise error_of(groq)
        usage = read_usage(payload.usage or groq.get("usage"), inputs="prompt", outputs="completion")
        if usage is not None:
            self._output_tokens = usage.output_tokens
            events.append(UsageUpdate(usage))

    def _unusual(self, delta: Delta, data: bytes, events: list[Event]) -> None:
        self._reason(delta, events)
        if isinstance(delta.content, str):
            self._append(self._read_text(delta.content), events)
        elif delta.content:
            self._append([event for part in delta.content for event in _content_part(part)], events)
        if delta.refusal:
            self._refusal.append(delta.refusal)
            events.append(Status("refusal", {"text": delta.refusal}))
        calls = [{"index": 0, "function": delta.function_call}] if delta.function_call else []
        for fragment in delta.tool_calls or calls:
            events += self._fragments.add(fragment)
        if delta.audio:
            events.append(
                Status("audio", delta.audio if isinstance(delta.audio, dict) else {"data": delta.audio})
            )
        events += [
            Annotation(item) if isinstance(item, dict) else Unknown(item) for item in delta.annotations or ()
        ]
        if type(delta) is LaxDelta:
            # From here on its chunks are not tried without the fields of the server's own.
            self._read = read_lax_payload
            self._extras.add(unknown_fields(data))

    def _read_text(self, text: str) -> list[Event]:
        if not text:
            return []
        return [Chunk(text)] if self._tags is None or self._tags.done else self._tags.feed(text)

    def _reason(self, delta: Delta, events: list[Event]) -> None:
        for name, value in (("reasoning_content", delta.reasoning_content), ("reasoning", delta.reasoning)):
            text = text_of(value.get("content") if isinstance(value, dict) else value, name)
            if text:
                self._reasoning.setdefault(name, []).append(text)
                # Servers that send both fields say the same in both.
                if name == "reasoning_content" or not delta.reasoning_content:
                    events.append(ReasoningChunk(text))

    def _append(self, news: list[Event], events: list[Event]) -> None:
        self._text += [event.text for event in news if isinstance(event, Chunk)]
        events += news

    def _final_reason(self) -> str:
        reason = self._finish_reason or ("tool_calls" if self.calls else "stop")
        whole = all(call.arguments is not None for call in self.calls)
        # Some servers say `tool_calls` of a call that the limit has cut.
        cut = self._limit is not None and (self._output_tokens or 0) >= self._limit
        return "length" if cut and not whole else reason


def _tool_calls(calls: list[ToolCall], extras: list[dict[str, Any]]) -> dict[str, Any]:
    if not calls:
        return {}
    return {
        "tool_calls": [
            {**extra, "id": call.call_id, "type": "function",
             "function": {"name": call.name, "arguments": sendable(call)}}
            for call, extra in zip(calls, extras, strict=True)
        ]
    }  # fmt: skip


def _content_part(part: Any) -> list[Event]:
    """Read a part of a content list (Mistral: `text`, and `thinking` with a list of texts)."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        text = text_of(part.get("text"), "text part")
        return [Chunk(text)] if text else []
    if kind == "thinking":
        inner = part.get("thinking")
        texts = inner if isinstance(inner, list) else [{"text": inner}]
        said = [text_of(item.get("text"), "thinking part") for item in texts if isinstance(item, dict)]
        return [ReasoningChunk("".join(said))] if any(said) else []
    return [Unknown(part)]


def _name(value: Any) -> str | None:
    return None if value is None else str(value)
