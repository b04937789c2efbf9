"""Tool calls put together from the fragments of a Chat Completions stream. Pure.

Servers disagree on how fragments say which call they belong to: the index may be missing, always 0, or start at 1; the
id may come once, with every fragment, late, or never. Keying on one of them alone merges calls, so both count:

- a fragment begins a new call if its index is new, or its id differs from the id at its index, or it carries a name
  without an id and the call it would join has another name or is complete;
- without index it belongs to the call with its id, without both to the last call;
- an empty id or name says nothing, and a name that is known says nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aquila.endpoint.wire_json import UNREADABLE, json_text, object_of, text_of
from aquila.events import Event, ToolCallChunk, ToolCallStarted
from aquila.tool_call import ToolCall

_STANDARD = {"index", "id", "type", "function"}


class Fragments:
    """Gathers the calls of one answer."""

    __slots__ = ("_at_index", "_by_id", "_calls")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._at_index: dict[int, _OpenCall] = {}
        self._by_id: dict[tuple[int | None, str], _OpenCall] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, fragment: Any) -> list[Event]:
        """Take one entry of `delta.tool_calls`; null says nothing.

        Raises:
            ProtocolError: It is no object, or its id or its function's name is no text.
        """
        if fragment is None:
            return []
        fragment = object_of(fragment, "tool_calls entry")
        facts = object_of(fragment.get("function"), "function")
        name, call_id = text_of(facts.get("name"), "function name"), text_of(fragment.get("id"), "call id")
        text = arguments_text(facts.get("arguments"))
        index = fragment.get("index")
        call = self._find(index if isinstance(index, int) else None, call_id, name, text)
        call.name = call.name or name
        call.extra.update({key: value for key, value in fragment.items() if key not in _STANDARD})
        return call.add(text)

    def complete(self) -> bool:
        """Say whether there are calls, each with a name and with arguments that can be read."""
        return bool(self._calls) and all(call.name and call.parsed() is not None for call in self._calls)

    def finished(self, answer_id: str | None) -> list[tuple[ToolCall, dict[str, Any], list[Event]]]:
        """Give each call, its unusual fields, and the events that are still owed.

        Args:
            answer_id: Makes the ids of calls unique for which the server gave none.
        """
        result: list[tuple[ToolCall, dict[str, Any], list[Event]]] = []
        ids: set[str] = set()
        for number, call in enumerate(self._calls):
            call.call_id = call.call_id or f"call_{answer_id or 'aquila'}_{number}"
            if call.call_id in ids:
                # Results are told apart by nothing else.
                call.call_id = f"{call.call_id}_{number}"
            ids.add(call.call_id)
            owed = call.add("")
            result.append((ToolCall(call.call_id, call.name, call.parsed(), call.text()), call.extra, owed))
        return result

    def _find(self, index: int | None, call_id: str, name: str, text: str) -> _OpenCall:
        if call_id and (known := self._known(index, call_id)):
            return known
        current = self._current(index)
        if current is None or current.differs(call_id, name, text):
            current = _OpenCall()
            self._calls.append(current)
        if index is not None:
            self._at_index[index] = current
        if call_id:
            current.call_id = call_id
            self._by_id[index, call_id] = current
        return current

    def _known(self, index: int | None, call_id: str) -> _OpenCall | None:
        if index is not None:
            return self._by_id.get((index, call_id))
        return next((call for call in reversed(self._calls) if call.call_id == call_id), None)

    def _current(self, index: int | None) -> _OpenCall | None:
        if index is not None:
            return self._at_index.get(index)
        return self._calls[-1] if self._calls else None


class _OpenCall:
    """A call whose arguments are still coming."""

    __slots__ = ("_parts", "_told", "call_id", "extra", "name")

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""
        self.extra: dict[str, Any] = {}
        self._parts: list[str] = []
        #: How many of the parts have been told in events; None before the call itself was.
        self._told: int | None = None

    def differs(self, call_id: str, name: str, text: str) -> bool:
        if call_id:
            # An id that comes late belongs to the call that has none, unless that one is done already.
            return bool(self.call_id) or (bool(name) and self._is_done())
        # A name alone, said again behind complete arguments, is a server that repeats itself.
        return bool(name) and bool(self.name) and (name != self.name or (bool(text) and self._is_done()))

    def add(self, text: str) -> list[Event]:
        if text:
            self._parts.append(text)
        if not (self.call_id and self.name):
            return []
        events: list[Event] = []
        if self._told is None:
            self._told = 0
            events.append(ToolCallStarted(self.call_id, self.name))
        events += [ToolCallChunk(self.call_id, part) for part in self._parts[self._told :]]
        self._told = len(self._parts)
        return events

    def text(self) -> str:
        return "".join(self._parts).strip() or "{}"

    def parsed(self) -> Mapping[str, Any] | None:
        return read_arguments(self.text())

    def _is_done(self) -> bool:
        return any(self._parts) and self.parsed() is not None


def read_arguments(text: str) -> Mapping[str, Any] | None:
    """Read a call's arguments; no text and `null` are no arguments, and what is no object is None."""
    try:
        value = msgspec.json.decode(text.strip() or "{}")
    except UNREADABLE:
        return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def arguments_text(value: Any) -> str:
    """Give arguments as text; some servers send the object itself.

    Raises:
        ProtocolError: The value is nested without end.
    """
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)


def sendable(call: ToolCall) -> str:
    """Give a call's arguments as a later turn may repeat them.

    Servers read the arguments of earlier turns, and refuse the whole conversation over one that is no JSON.
    """
    return call.text if call.arguments is not None else json_text({"invalid_json": call.text})
