"""What a request says to the model, item by item, whichever API it is written for. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from aquila.cassette.body.jsonbody import parse
from aquila.cassette.story.answer_events import api_of
from aquila.cassette.story.excerpt import excerpt
from aquila.sink.printable import one_line
from aquila.transport.base import Request

_LENGTH = 200


class Said(NamedTuple):
    """One thing that is said to the model."""

    #: `system`, `user`, `assistant`, `call`, `tool result`, `tools`, or what else the item calls itself.
    role: str
    text: str
    #: The id by which a call and its result belong together.
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one request says."""

    #: What each request repeats beside the conversation: instructions, and the names of the tools.
    frame: tuple[Said, ...] = ()
    #: The conversation.
    items: tuple[Said, ...] = ()
    #: The response that the provider keeps and this request goes on with; None if it says everything itself.
    previous: str | None = None


def read_sent(request: Request) -> Sent:
    """Read a request. A body that is no request to a model is one item, an excerpt."""
    api, body = api_of(request), parse(request.body)
    if api == "chat" and isinstance(body, dict):
        messages = _list(body.get("messages"))
        return Sent(frame=_tools(body), items=tuple(said for item in messages for said in _message(item)))
    if api == "responses" and isinstance(body, dict):
        given = body.get("input")
        items = [{"role": "user", "content": given}] if isinstance(given, str) else _list(given)
        previous = body.get("previous_response_id")
        instructions = body.get("instructions")
        spoken = (Said("system", _text(instructions)),) if instructions else ()
        return Sent(
            frame=(*spoken, *_tools(body)),
            items=tuple(said for item in items for said in _item(item)),
            previous=previous if isinstance(previous, str) else None,
        )
    return Sent(items=(Said("body", excerpt(request.body, request.headers)),) if request.body else ())


def _message(message: Any) -> Iterator[Said]:
    if not isinstance(message, dict):
        yield Said("unknown", _text(message))
        return
    role, content = str(message.get("role")), message.get("content")
    if role in {"tool", "function"}:
        yield Said("tool result", _text(content), _id(message.get("tool_call_id") or message.get("name")))
        return
    if content:
        yield Said("system" if role == "developer" else role, _text(content))
    if message.get("refusal"):
        yield Said(role, _text(message["refusal"]))
    for call in _list(message.get("tool_calls")):
        facts = call if isinstance(call, dict) else {}
        function = facts.get("function")
        yield _call(function if isinstance(function, dict) else {}, facts.get("id"))


def _item(item: Any) -> Iterator[Said]:
    if not isinstance(item, dict):
        yield Said("unknown", _text(item))
        return
    kind = item.get("type")
    if kind == "function_call":
        yield _call(item, item.get("call_id"))
    elif kind == "function_call_output":
        yield Said("tool result", _text(item.get("output")), _id(item.get("call_id")))
    elif kind == "reasoning":
        yield Said("reasoning", _text(item.get("summary") or "(encrypted)"))
    elif "role" in item:
        yield from _message({**item, "tool_calls": None})
    else:
        yield Said(one_line(str(kind), 40), _text(item))


def _call(function: dict[str, Any], call_id: object) -> Said:
    return Said("call", f"{function.get('name')}({_text(function.get('arguments') or '')})", _id(call_id))


def _tools(body: dict[str, Any]) -> tuple[Said, ...]:
    names = []
    for tool in _list(body.get("tools")):
        facts = tool if isinstance(tool, dict) else {}
        function = facts.get("function")
        inner = function if isinstance(function, dict) else facts
        names.append(str(inner.get("name") or facts.get("type")))
    return (Said("tools", ", ".join(names)),) if names else ()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(_part(part) for part in value)
    return _part(value)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        for name in ("text", "refusal"):
            if isinstance(part.get(name), str):
                return str(part[name])
    # A picture or a sound is long, and its beginning says what it is.
    try:
        text = json.dumps(part, ensure_ascii=False)
    except RecursionError:
        return "a value that is nested without end"
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}... ({len(text):,} characters)"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _id(value: object) -> str | None:
    return None if value is None else str(value)
