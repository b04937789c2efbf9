"""Reads a streamed response of the Responses API. Pure.

Source: the event types of OpenAI's API reference. Every event is mapped, or passed on as `Status` under its own name
without `response.`; a type that is not even of the API's form is `Unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from aquila.endpoint.failure import UNREADABLE, Failure, error_of, read_failure, stream_error
from aquila.endpoint.responses_calls import ResponseCalls
from aquila.endpoint.responses_outcome import failure_of, finish_facts, responses_usage
from aquila.endpoint.responses_text import ResponseText
from aquila.errors import AquilaError, ProtocolError
from aquila.events import Annotation, Event, ReasoningChunk, Status, Unknown, UsageUpdate
from aquila.messages import Message
from aquila.tool_call import ToolCall

_DONE = b"[DONE]"
_TEXT_DELTA = "response.output_text.delta"


class _Head(msgspec.Struct):
    """What all events have, and the fragment that most of them are."""

    type: str | None = None
    delta: Any = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    sequence_number: int | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_Handler: TypeAlias = "Callable[[ResponsesDecoder, _Head, dict[str, Any]], list[Event]]"


class ResponsesDecoder:
    """Reads one streamed response.

    Args:
        provider: The server's name in the history.
        attached: A response that is picked up: its id, and the number of the last event that is known.
    """

    __slots__ = (
        "_calls", "_created", "_floor", "_items", "_last", "_provider", "_refusal", "_response_id", "_text",
        "calls", "closed", "ended",
    )  # fmt: skip

    def __init__(
        self, provider: str | None = None, attached: tuple[str, int | None] | None = None
    ) -> None:
        self._provider = provider
        self._text = ResponseText()
        self._calls = ResponseCalls()
        #: Whole items by their place, as the end of each item gives them.
        self._items: dict[int, Mapping[str, Any]] = {}
        self._refusal: list[str] = []
        self._created = False
        self._response_id: str | None = attached[0] if attached is not None else None
        self._last: int | None = attached[1] if attached is not None else None
        #: Events up to this number have been given out before the stream was lost.
        self._floor: int | None = None
        #: A terminal event has been seen.
        self.ended = False
        self.closed = False
        self.calls: Sequence[ToolCall] = ()

    def decode(self, name: str, data: bytes) -> list[Event]:
        """Turn one server-sent event into events.

        Raises:
            ProtocolError: The payload is not JSON of the expected shape.
            AquilaError: The payload reports an error.
        """
        if data == _DONE or not data or data.isspace():
            # The API itself ends with its terminal event; some gateways say this as well.
            return []
        try:
            head = _decode_head(data)
        except UNREADABLE as error:
            raise _unreadable(data, name, error) from None
        number = head.sequence_number
        if number is not None:
            if self._floor is not None and number <= self._floor:
                return []
            self._last = number
        if head.type == _TEXT_DELTA and type(head.delta) is str:
            place = head.output_index if head.output_index is not None else head.item_id
            return [self._text.add((place, head.content_index), head.delta)] if head.delta else []
        return self._other(name, head, msgspec.json.decode(data))

    def decode_whole(self, body: bytes) -> list[Event]:
        """Turn a whole response into what has not been given out of it yet.

        Raises:
            ProtocolError: The body is not JSON of the expected shape.
            AquilaError: The body reports an error, or the response has failed.
        """
        try:
            response = msgspec.json.decode(body)
        except UNREADABLE as error:
            raise _unreadable(body, "", error) from None
        if not isinstance(response, dict) or "output" not in response:
            raise _no_response(response, body)
        events = self._begin(response)
        if response.get("status") in {"queued", "in_progress"}:
            return [*events, Status(str(response["status"]), {})]
        return [*events, *self._end(response)]

    def finish(self) -> list[Event]:
        """Give the calls whose items never ended.

        Raises:
            ProtocolError: A call has no name.
        """
        self.calls = self._calls.all()
        nameless = next((call for call in self.calls if not call.name), None)
        if nameless is not None:
            raise ProtocolError(f"the answer calls a tool without a name (arguments {nameless.text[:200]})")
        return self._calls.owed()

    def turn(self) -> Message | None:
        """Give the answer as a turn of the conversation; None if it says nothing."""
        text = str(self._text)
        calls = [
            {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
            for call in self._calls.all()
        ]
        extra: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if self._refusal:
            extra["refusal"] = "".join(self._refusal)
        items = tuple(self._items[place] for place in sorted(self._items))
        if not (text or extra or items):
            return None
        return Message(
            role="assistant", content=text or None, extra=extra, items=items, provider=self._provider
        )

    def resume(self) -> tuple[str, int] | None:
        """Give where a lost stream can be picked up; None if nothing was numbered."""
        if self._response_id is None or self._last is None:
            return None
        self._floor = self._last
        return self._response_id, self._last

    def _other(self, name: str, head: _Head, payload: dict[str, Any]) -> list[Event]:
        kind = head.type or name
        if kind == "error" or name == "error" or (head.type is None and payload.get("error")):
            raise error_of(payload)
        if kind in {"keepalive", "ping"}:
            return []
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, head, payload)
        if not kind.startswith("response."):
            return [Unknown(payload)]
        data = {key: value for key, value in payload.items() if key not in {"type", "sequence_number"}}
        return [Status(kind.removeprefix("response."), data)]

    def _begin(self, response: Any) -> list[Event]:
        if self._created or not isinstance(response, Mapping) or not response.get("id"):
            return []
        self._created = True
        self._response_id = str(response["id"])
        return [Status("created", {"response_id": self._response_id, "model": response.get("model")})]

    def _end(self, response: Any) -> list[Event]:
        facts: Mapping[str, Any] = response if isinstance(response, Mapping) else {}
        failure = failure_of(facts)
        if failure is not None:
            raise failure
        output = facts.get("output")
        items = [item for item in output if isinstance(item, Mapping)] if isinstance(output, list) else []
        events = self._text.complete(items)
        for place, item in enumerate(items):
            if item.get("type") == "function_call":
                events += self._calls.complete(item, place)
        if not self._items:
            self._items = dict(enumerate(items))
        usage = responses_usage(facts)
        if usage is not None:
            events.append(UsageUpdate(usage))
        self.ended = self.closed = True
        return [*events, Status("finished", finish_facts(facts, has_calls=bool(self._calls)))]

    # One method for each kind of event that means more than its name.

    def _on_lifecycle(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        events = self._begin(payload.get("response"))
        kind = str(head.type).removeprefix("response.")
        return events if kind == "created" else [*events, Status(kind, {})]

    def _on_end(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        response = payload.get("response")
        events = self._begin(response)
        status = str(head.type).removeprefix("response.")
        # Gateways forget the status inside; the event's own name says it.
        return [*events, *self._end({"status": status, **(response or {})})]

    def _on_item_added(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        item = payload.get("item") or {}
        if item.get("type") == "message" and item.get("phase") == "commentary":
            self._text.mark_commentary(head.output_index if head.output_index is not None else item.get("id"))
        if item.get("type") == "function_call":
            return self._calls.begin(item, head.output_index)
        return [Status("output_item.added", {"item": item})]

    def _on_item_done(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        item = payload.get("item") or {}
        self._items[head.output_index if head.output_index is not None else len(self._items)] = item
        if item.get("type") == "function_call":
            return self._calls.complete(item, head.output_index)
        return [Status("output_item.done", {"item": item})]

    def _on_text_done(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        place = head.output_index if head.output_index is not None else head.item_id
        return self._text.complete_part((place, head.content_index), str(payload.get("text") or ""))

    def _on_arguments(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        return self._calls.add(head.item_id, head.output_index, str(head.delta or ""))

    def _on_arguments_done(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        text = str(payload.get("arguments") or "")
        self._calls.complete_arguments(head.item_id, head.output_index, text)
        return []

    def _on_reasoning(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        return [ReasoningChunk(str(head.delta))] if head.delta else []

    def _on_summary_part(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        # The parts of a summary are paragraphs.
        return [ReasoningChunk("\n\n")] if payload.get("summary_index") else []

    def _on_refusal(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        self._refusal.append(str(head.delta or ""))
        return [Status("refusal", {"text": str(head.delta)})] if head.delta else []

    def _on_annotation(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        annotation = payload.get("annotation")
        return [Annotation(annotation)] if isinstance(annotation, dict) else [Unknown(payload)]

    def _on_repeat(self, head: _Head, payload: dict[str, Any]) -> list[Event]:
        # All of it came in fragments.
        return []


_HANDLERS: dict[str, _Handler] = {
    **dict.fromkeys(
        ("response.created", "response.queued", "response.in_progress"), ResponsesDecoder._on_lifecycle
    ),
    **dict.fromkeys(
        ("response.completed", "response.incomplete", "response.failed", "response.cancelled"),
        ResponsesDecoder._on_end,
    ),
    "response.output_item.added": ResponsesDecoder._on_item_added,
    "response.output_item.done": ResponsesDecoder._on_item_done,
    "response.output_text.done": ResponsesDecoder._on_text_done,
    "response.output_text.annotation.added": ResponsesDecoder._on_annotation,
    "response.function_call_arguments.delta": ResponsesDecoder._on_arguments,
    "response.function_call_arguments.done": ResponsesDecoder._on_arguments_done,
    "response.reasoning_text.delta": ResponsesDecoder._on_reasoning,
    "response.reasoning_text.done": ResponsesDecoder._on_repeat,
    "response.reasoning_summary_text.delta": ResponsesDecoder._on_reasoning,
    "response.reasoning_summary_text.done": ResponsesDecoder._on_repeat,
    "response.reasoning_summary_part.added": ResponsesDecoder._on_summary_part,
    "response.reasoning_summary_part.done": ResponsesDecoder._on_repeat,
    "response.refusal.delta": ResponsesDecoder._on_refusal,
    "response.refusal.done": ResponsesDecoder._on_repeat,
}


def _unreadable(data: bytes, name: str, error: Exception) -> AquilaError:
    excerpt = data[:200].decode("utf-8", "replace")
    if name == "error":
        return stream_error(Failure(message=excerpt))
    try:
        failure = read_failure(msgspec.json.decode(data))
    except UNREADABLE:
        failure = None
    if failure:
        return stream_error(failure)
    return ProtocolError(f"the stream holds a payload that is no event of a response ({error}): {excerpt}")


def _no_response(value: object, body: bytes) -> AquilaError:
    failure = read_failure(value)
    if failure:
        return stream_error(failure)
    excerpt = body[:200].decode("utf-8", "replace")
    return ProtocolError(f"the answer is no response: {excerpt}")
