"""The calls of the user's tools in a response, by item. Pure.

Fragments of arguments name the item and not the call, results name the call and not the item; and some gateways send the
arguments only with the end of the item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aquila.endpoint.fragments import arguments_text, read_arguments
from aquila.endpoint.wire_json import text_of
from aquila.events import Event, ToolCallChunk, ToolCallStarted
from aquila.tool_call import ToolCall


class _OpenCall:
    __slots__ = ("call_id", "done", "name", "place", "text", "told")

    def __init__(self, place: int, call_id: str, name: str) -> None:
        self.place = place
        self.call_id = call_id
        self.name = name
        self.text = ""
        self.done = False
        self.told = False

    def start(self) -> list[Event]:
        """Tell that the call has begun, once, and only when its name is known."""
        if self.told or not self.name:
            return []
        self.told = True
        return [ToolCallStarted(self.call_id, self.name)]


class ResponseCalls:
    """Gathers the calls of one response."""

    __slots__ = ("_by_id", "_by_place", "_calls")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._by_id: dict[str, _OpenCall] = {}
        self._by_place: dict[int, _OpenCall] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def begin(self, item: Mapping[str, Any], place: int | None) -> list[Event]:
        """Take an item that has begun."""
        return [] if self._known(item, place) is not None else self._open(item, place).start()

    def add(self, item_id: str | None, place: int | None, text: str) -> list[Event]:
        """Take a fragment of arguments; one of a call that never began waits for the end of its item."""
        call = self._find(item_id, place)
        if call is None or not text:
            return []
        call.text += text
        return [ToolCallChunk(call.call_id, text)] if call.told else []

    def complete_arguments(self, item_id: str | None, place: int | None, arguments: Any) -> None:
        """Take the whole arguments of a call, which count more than their fragments."""
        call = self._find(item_id, place)
        if call is not None:
            call.text = arguments_text(arguments) or call.text

    def complete(self, item: Mapping[str, Any], place: int | None) -> list[Event]:
        """Take an item that has ended and give its call."""
        events = self.begin(item, place)
        call = self._known(item, place)
        if call is None or call.done:
            return events
        call.done = True
        call.name = call.name or text_of(item.get("name"), "function name")
        call.text = arguments_text(item.get("arguments")) or call.text
        return [*events, *call.start(), _tool_call(call)]

    def owed(self) -> list[Event]:
        """Give the calls whose items have not ended, though the response has."""
        open_calls = [call for call in self._calls if not call.done]
        for call in open_calls:
            call.done = True
        return [_tool_call(call) for call in open_calls]

    def all(self) -> list[ToolCall]:
        """Give every call, in the order of the items."""
        return [_tool_call(call) for call in sorted(self._calls, key=lambda call: call.place)]

    def _find(self, item_id: str | None, place: int | None) -> _OpenCall | None:
        found = self._by_id.get(item_id) if item_id else None
        if found is None and place is not None:
            found = self._by_place.get(place)
        return found

    def _known(self, item: Mapping[str, Any], place: int | None) -> _OpenCall | None:
        # The call's id is the same everywhere; an item's own may differ between the stream and the response, and some
        # gateways put every item at place 0.
        ids = [
            name
            for name in (text_of(item.get("call_id"), "call id"), text_of(item.get("id"), "item id"))
            if name
        ]
        if not ids:
            return self._find(None, place)
        return next((self._by_id[name] for name in ids if name in self._by_id), None)

    def _open(self, item: Mapping[str, Any], place: int | None) -> _OpenCall:
        item_id = text_of(item.get("id"), "item id")
        call_id = text_of(item.get("call_id"), "call id") or item_id or f"call_{len(self._calls)}"
        where = place if place is not None else len(self._calls)
        call = _OpenCall(where, call_id, text_of(item.get("name"), "function name"))
        self._calls.append(call)
        self._by_id[call_id] = call
        if item_id:
            self._by_id[item_id] = call
        self._by_place[where] = call
        return call


def _tool_call(call: _OpenCall) -> ToolCall:
    text = call.text.strip() or "{}"
    return ToolCall(call.call_id, call.name, read_arguments(text), text)
