"""Reads a streamed response of the Responses API. Pure.

Source: the event types of OpenAI's API reference. Every event is mapped, or passed on as `Status` under its own name
without `response.`; a type of no known family is `Unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from aquila.endpoint.counts import read_usage
from aquila.endpoint.failure import error_of
from aquila.endpoint.fragments import sendable
from aquila.endpoint.responses_asides import Asides
from aquila.endpoint.responses_calls import ResponseCalls
from aquila.endpoint.responses_outcome import failure_of, finish_facts, outcome
from aquila.endpoint.responses_payload import (
    KEEPALIVES,
    PASSED_ON,
    Head,
    decode_head,
    news_of,
    read_response,
    unreadable,
)
from aquila.endpoint.responses_text import ResponseText
from aquila.endpoint.wire_json import UNREADABLE, list_of, object_of, read_json, text_of
from aquila.errors import ProtocolError
from aquila.events import Event, Status, Unknown, UsageUpdate
from aquila.messages import Message
from aquila.tool_call import ToolCall

_DONE = b"[DONE]"
_TEXT_DELTA = "response.output_text.delta"


_Handler: TypeAlias = "Callable[[ResponsesDecoder, Head, dict[str, Any]], list[Event]]"


class ResponsesDecoder:
    """Reads one streamed response.

    Args:
        provider: The server's name in the history.
        attached: A response that is picked up: its id, and the number of the last event that is known.
    """

    __slots__ = (
        "_asides", "_calls", "_created", "_floor", "_items", "_last", "_provider", "_response_id", "_text",
        "calls", "closed", "ended",
    )  # fmt: skip

    def __init__(self, provider: str | None = None, attached: tuple[str, int | None] | None = None) -> None:
        self._provider = provider
        self._text = ResponseText()
        self._asides = Asides()
        self._calls = ResponseCalls()
        #: Whole items by their place, as the end of each item gives them.
        self._items: dict[int, Mapping[str, Any]] = {}
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
        """  # noqa: DOC501 - what `unreadable` makes is one of these
        if data == _DONE or not data or data.isspace():
            # The API itself ends with its terminal event; some gateways say this as well.
            return []
        try:
            head = decode_head(data)
        except UNREADABLE as error:
            if name in KEEPALIVES:
                return []
            raise unreadable(data, name, error) from None
        number = head.sequence_number
        if number is not None:
            if self._floor is not None and number <= self._floor:
                return []
            self._last = number
        if head.type == _TEXT_DELTA and type(head.delta) is str:
            place = head.output_index if head.output_index is not None else head.item_id
            return [self._text.add((place, head.content_index), head.delta)] if head.delta else []
        return self._other(name, head, read_json(data))

    def decode_whole(self, body: bytes) -> list[Event]:
        """Turn a whole response into what has not been given out of it yet.

        Raises:
            ProtocolError: The body is not JSON of the expected shape.
            AquilaError: The body reports an error, or the response has failed.
        """
        response = read_response(body)
        events = self._begin(response)
        status = response.get("status")
        if status == "queued" or status == "in_progress":  # noqa: PLR1714 - it may be anything, also unhashable
            return [*events, Status(status, {})]
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
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": sendable(call)},
            }
            for call in self._calls.all()
        ]
        extra: dict[str, Any] = {"tool_calls": calls} if calls else {}
        if self._asides.refusal:
            extra["refusal"] = self._asides.refusal
        items = tuple(self._items[place] for place in sorted(self._items))
        if not (text or extra or items):
            return None
        return Message(
            role="assistant", content=text or None, extra=extra, items=items, provider=self._provider
        )

    def resume(self) -> tuple[str, int | None] | None:
        """Give where a lost stream can be picked up; None before the response has an id."""
        if self._response_id is None:
            return None
        self._floor = self._last
        return self._response_id, self._last

    def _other(self, name: str, head: Head, payload: dict[str, Any]) -> list[Event]:
        if name == "error" or head.type == "error" or (head.type is None and payload.get("error")):
            raise error_of(payload)
        head.type = kind = head.type or name
        if kind in KEEPALIVES:
            return []
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            return handler(self, head, payload)
        _, _, family = kind.partition("response.")
        return [Status(family, news_of(payload)) if family.startswith(PASSED_ON) else Unknown(payload)]

    def _begin(self, response: Mapping[str, Any]) -> list[Event]:
        if self._created or not response.get("id"):
            return []
        self._created = True
        self._response_id = text_of(response["id"], "response id")
        model = text_of(response.get("model"), "model") or None
        return [Status("created", {"response_id": self._response_id, "model": model})]

    def _end(self, facts: Mapping[str, Any]) -> list[Event]:
        failure = failure_of(facts)
        if failure is not None:
            raise failure
        items = self._whole(facts.get("output"))
        events = [*self._asides.owed(items), *self._text.complete(items)]
        for place, item in enumerate(items):
            if item.get("type") == "function_call":
                events += self._calls.complete(item, place)
        usage = read_usage(facts.get("usage"), inputs="input", outputs="output")
        if usage is not None:
            events.append(UsageUpdate(usage))
        self.ended = self.closed = True
        return [*events, Status("finished", finish_facts(facts, has_calls=bool(self._calls)))]

    def _whole(self, output: Any) -> list[Mapping[str, Any]]:
        """Give all items as the response says them, or as they ended where it does not."""
        done = [self._items[place] for place in sorted(self._items)]
        items = [object_of(item, "output item") for item in list_of(output, "output")]
        if len(items) > len(done):
            # What ended on the way is the better copy: what is encrypted in it differs in the response.
            better = {item_id: item for item in done if (item_id := text_of(item.get("id"), "item id"))}
            whole = [better.get(text_of(item.get("id"), "item id"), item) for item in items]
            self._items = dict(enumerate(whole))
        return items or done

    def _keep(self, item: Mapping[str, Any], place: int | None) -> None:
        known = self._items.get(place) if place is not None else None
        # Some gateways put every item at one place.
        taken = known is not None and known.get("id") != item.get("id")
        free = max(self._items, default=-1) + 1
        self._items[free if place is None or taken else place] = item

    # One method for each kind of event that means more than its name.

    def _on_lifecycle(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        events = self._begin(object_of(payload.get("response"), "response"))
        kind = str(head.type).removeprefix("response.")
        return events if kind == "created" else [*events, Status(kind, {})]

    def _on_end(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        if not payload:
            raise ProtocolError(f"the event {head.type} is empty, so nothing says how the answer ended")
        response = object_of(payload.get("response"), "response")
        events = self._begin(response)
        status = outcome(str(head.type).removeprefix("response."), response.get("status"))
        return [*events, *self._end({**response, "status": status})]

    def _on_item_added(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        item = object_of(payload.get("item"), "item")
        if item.get("type") == "message":
            place = head.output_index if head.output_index is not None else text_of(item.get("id"), "item id")
            self._text.begin(place, commentary=item.get("phase") == "commentary")
        if item.get("type") == "function_call":
            return self._calls.begin(item, head.output_index)
        return [Status("output_item.added", {"item": item})]

    def _on_item_done(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        item = object_of(payload.get("item"), "item")
        self._keep(item, head.output_index)
        if item.get("type") == "function_call":
            return self._calls.complete(item, head.output_index)
        return [Status("output_item.done", {"item": item})]

    def _on_text(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        # The usual ones are taken before: this one has no type of its own, or no text.
        place = head.output_index if head.output_index is not None else head.item_id
        text = text_of(head.delta, "delta")
        return [self._text.add((place, head.content_index), text)] if text else []

    def _on_text_done(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        place = head.output_index if head.output_index is not None else head.item_id
        return self._text.complete_part((place, head.content_index), text_of(payload.get("text"), "text"))

    def _on_arguments(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        return self._calls.add(head.item_id, head.output_index, text_of(head.delta, "delta"))

    def _on_arguments_done(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        self._calls.complete_arguments(head.item_id, head.output_index, payload.get("arguments"))
        return []

    def _on_reasoning(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        return self._asides.reason(text_of(head.delta, "delta"))

    def _on_summary_part(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        # The parts of a summary are paragraphs.
        return self._asides.reason("\n\n") if payload.get("summary_index") else []

    def _on_refusal(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        return self._asides.refuse(text_of(head.delta, "delta"))

    def _on_refusal_done(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        return self._asides.complete_refusal(text_of(payload.get("refusal"), "refusal"))

    def _on_annotation(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        return self._asides.annotate(payload.get("annotation"))

    def _on_repeat(self, head: Head, payload: dict[str, Any]) -> list[Event]:
        # All of it came in fragments.
        return []

    _HANDLERS: ClassVar[dict[str, _Handler]] = {
        **dict.fromkeys(("response.created", "response.queued", "response.in_progress"), _on_lifecycle),
        **dict.fromkeys(
            ("response.completed", "response.incomplete", "response.failed", "response.cancelled"),
            _on_end,
        ),
        "response.output_item.added": _on_item_added,
        "response.output_item.done": _on_item_done,
        _TEXT_DELTA: _on_text,
        "response.output_text.done": _on_text_done,
        "response.output_text.annotation.added": _on_annotation,
        "response.function_call_arguments.delta": _on_arguments,
        "response.function_call_arguments.done": _on_arguments_done,
        "response.reasoning_text.delta": _on_reasoning,
        "response.reasoning_text.done": _on_repeat,
        "response.reasoning_summary_text.delta": _on_reasoning,
        "response.reasoning_summary_text.done": _on_repeat,
        "response.reasoning_summary_part.added": _on_summary_part,
        "response.reasoning_summary_part.done": _on_repeat,
        "response.refusal.delta": _on_refusal,
        "response.refusal.done": _on_refusal_done,
    }
